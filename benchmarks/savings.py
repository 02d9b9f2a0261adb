"""What a promised saving rests on: the paper's own cost, where our hours go, and what our decisions save.

    python benchmarks/savings.py --configfile config/paper.yaml

It takes the options of `python -m soar_pipeline.cost` (docs/cost.md), and runs no model.
"""

import json
import sys
from copy import copy
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tabulate import tabulate

from soar_pipeline.config import FreshStudentConfig, Plan, SoarConfig, StudentConfig
from soar_pipeline.config.items import SoarRun, StudentRun
from soar_pipeline.cost.__main__ import machine_of, parser
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.speed import Speed
from soar_pipeline.cost.stages import JobCosts

# Section 5 of the paper, "cost reported", from and to: on H100 or H200, with Llama-3.2-3B-Instruct.
PAPER_SOAR_GPU_HOURS = (1536.0, 1920.0)
PAPER_FRESH_STUDENT_GPU_HOURS = (96.0, 96.0)
PAPER_PARAMETERS = 3_212_749_824
# Parts of a run's time, by what of a machine's speed they rest on.
PARTS = {
    "decoding": "decoding_step",
    "reading prompts": "prefill_seconds_per_token",
    "engine: waking, weights, sleeping": "draw_seconds",
    "forward passes": "forward_seconds_per_token",
    "backward passes": "backward_seconds_per_token",
    "optimizer": "optimizer_seconds",
    "moments from the machine's memory": "offload_seconds",
    "grading": "grading_seconds",
    "weights through files": "disk_bandwidth",
    "start": "job_start_seconds",
}


@dataclass(frozen=True)
class Comparison:
    """One kind of run beside the paper's. Rollouts are the students' training completions of one run."""

    run: str
    gpu_hours: float
    rollouts: float
    paper_gpu_hours: tuple[float, float]
    paper_rollouts: float
    parameters_ratio: float

    @property
    def work_ratio(self) -> float:
        """Our rollouts times parameters over the paper's."""
        return self.rollouts / self.paper_rollouts * self.parameters_ratio

    @property
    def cost_ratio(self) -> tuple[float, float]:
        """The paper's GPU-hours over ours."""
        low, high = self.paper_gpu_hours
        return low / self.gpu_hours, high / self.gpu_hours

    @property
    def unexplained(self) -> tuple[float, float]:
        """What is left of the ratio for the same work: it rests on throughput, not on a decision listed here."""
        low, high = self.cost_ratio
        return low * self.work_ratio, high * self.work_ratio


@dataclass(frozen=True)
class Saving:
    """One decision of ours; `factor` = cost without it / cost with it, of what `of` names."""

    decision: str
    of: str
    factor: float
    formula: str
    numbers: str


def comparisons(machine: Machine) -> list[Comparison]:
    """Each kind of grounded SOAR run and of fresh student beside the paper's cost; none on a CPU."""
    if machine.kind != "gpu":
        return []
    entries = [_soar_comparison(machine, run) for run in grounded_runs(machine)]
    students = {(run.dataset, run.arm): run for run in reversed(Plan(machine.config).fresh_students)}
    entries += [_fresh_student_comparison(machine, run) for run in reversed(students.values())]
    # Runs of the same size cost much the same: one line, named after the first.
    distinct: dict[Comparison, Comparison] = {}
    for entry in entries:
        distinct.setdefault(replace(entry, run="", gpu_hours=float(f"{entry.gpu_hours:.2g}")), entry)
    return list(distinct.values())


def savings(machine: Machine) -> list[Saving]:
    """The decisions whose factor follows from the configuration and the assumptions."""
    config, entries = machine.config, []
    for dataset, pool in machine.pools.items():
        drawn, k = pool.attempts(config.filter.rounds), sum(config.filter.rounds)
        entries.append(
            Saving(
                "the filter stops at a problem's first right answer",
                f"completions of sample_attempts, {dataset}",
                k / drawn,
                "k / sum_i r_i S(r_1 + ... + r_(i-1)), S(j) = share of problems unsolved by j samples",
                f"{k} / {drawn:.1f}",
            )
        )
    plan = Plan(config)
    if plan.soar_runs:
        wanted = sum(
            len(config.datasets_of(name)) * len(plan.teacher_seeds(name))
            for name, arm in config.arms.items()
            if arm.soar_objective is not None
        )
        entries.append(
            Saving(
                "arms of one objective share its SOAR runs, as the paper's may",
                "SOAR runs",
                wanted / len(plan.soar_runs),
                "sum over arms of their teacher seeds / SOAR runs",
                f"{wanted} / {len(plan.soar_runs)}",
            )
        )
    return entries + ([_reset(machine)] if grounded_runs(machine) else [])


def parts_of(machine: Machine, run: SoarRun) -> dict[str, float]:
    """GPU-hours (on a CPU: hours) of a SOAR run by part: what it would take less if the part took no time."""
    gpus = machine.gpus_of("train_soar") or 1
    seconds = JobCosts(machine).job("train_soar", run).seconds
    parts = {}
    for part, attribute in PARTS.items():
        other = copy(machine)
        other.speed = partial(_speed_without, attribute, machine)
        parts[part] = (seconds - JobCosts(other).job("train_soar", run).seconds) / 3600 * gpus
    return parts


class _Without:
    """A speed of which one part takes no time."""

    def __init__(self, speed: Speed, attribute: str):
        self._speed, self._attribute = speed, attribute

    def __getattr__(self, name: str):
        if name != self._attribute:
            return getattr(self._speed, name)
        return {"decoding_step": lambda sequences, context: 0.0, "disk_bandwidth": inf}.get(name, 0.0)


def _speed_without(attribute: str, machine: Machine, model: str, rule: str, *, shared: bool = False) -> _Without:
    return _Without(machine.speed(model, rule, shared=shared), attribute)


def grounded_runs(machine: Machine) -> list[SoarRun]:
    """One run of each data set and objective whose SOAR runs train students."""
    runs = {(run.dataset, run.objective): run for run in reversed(Plan(machine.config).soar_runs)}
    return [run for run in reversed(runs.values()) if JobCosts(machine).job("train_soar", run).students]


def _soar_comparison(machine: Machine, run: SoarRun) -> Comparison:
    config, costs, paper = machine.config, JobCosts(machine), SoarConfig()
    promotions = costs.promotions(run.dataset, run.objective)
    return Comparison(
        run=f"SOAR run {run.dataset}/{run.objective}",
        gpu_hours=costs.job("train_soar", run).seconds / 3600 * machine.gpus_of("train_soar"),
        rollouts=_rollouts(config.soar_of(run.dataset, run.objective), config.student, promotions),
        paper_gpu_hours=PAPER_SOAR_GPU_HOURS,
        # The paper's cost is that of a run with promotions: as many as are assumed of ours.
        paper_rollouts=_rollouts(paper, StudentConfig(), machine.assumed.promotions),
        parameters_ratio=_parameters_ratio(machine, run.dataset),
    )


def _fresh_student_comparison(machine: Machine, run: StudentRun) -> Comparison:
    config, paper, paper_student = machine.config, FreshStudentConfig(), StudentConfig()
    student, fresh = config.student_of(run.arm, run.dataset), config.fresh_student_of(run.arm, run.dataset)
    seconds = JobCosts(machine).job("train_fresh_student", run).seconds
    return Comparison(
        run=f"fresh student {run.dataset}/{run.arm}",
        gpu_hours=seconds / 3600 * machine.gpus_of("train_fresh_student"),
        rollouts=fresh.steps * student.batch_size * student.group_size,
        paper_gpu_hours=PAPER_FRESH_STUDENT_GPU_HOURS,
        paper_rollouts=paper.steps * paper_student.batch_size * paper_student.group_size,
        parameters_ratio=_parameters_ratio(machine, run.dataset),
    )


def _reset(machine: Machine) -> Saving:
    """Without the reset, every student would be a job of its own that starts Python and loads the model."""
    config, costs, seconds, starts = machine.config, JobCosts(machine), 0.0, 0.0
    for run in grounded_runs(machine):
        runs = sum(other[:2] == run[:2] for other in Plan(config).soar_runs)
        work = costs.job("train_soar", run)
        seconds += runs * work.seconds
        start = machine.speed(config.datasets[run.dataset].model, "train_soar").job_start_seconds
        starts += runs * work.students / machine.parallel_students * start
    return Saving(
        "a worker is reset for the next student, where a job per student would start anew",
        "time of the SOAR runs that train students",
        (seconds + starts) / seconds,
        "(runs + students / parallel students * start of a process) / runs",
        f"({seconds / 3600:.4g} h + {starts / 3600:.4g} h) / {seconds / 3600:.4g} h",
    )


def _rollouts(soar: SoarConfig, student: StudentConfig, promotions: int) -> float:
    """Training completions of one SOAR run, its inner loop longer after the first of evenly spaced promotions."""
    before = soar.outer_steps / (promotions + 1)
    inner = soar.inner_steps * before + soar.inner_steps_after_promotion * (soar.outer_steps - before)
    return soar.datasets_per_step * soar.repeats * inner * student.batch_size * student.group_size


def _parameters_ratio(machine: Machine, dataset: str) -> float:
    return machine.sizes[machine.config.datasets[dataset].model].parameters / PAPER_PARAMETERS


def as_text(machine: Machine) -> str:
    """The comparisons and the savings, in lines."""
    lines = []
    for entry in comparisons(machine):
        lines += [
            f"{entry.run}: {_figure(entry.gpu_hours)} GPU-hours here, {_span(*entry.paper_gpu_hours)} in the paper: "
            f"{_span(*entry.cost_ratio)} times",
            f"  work = rollouts * parameters: {entry.rollouts:,.0f} / {entry.paper_rollouts:,.0f} * "
            f"{entry.parameters_ratio:.3g} = {entry.work_ratio:.3g} of the paper's; for the same work "
            f"{_span(*entry.unexplained)} times",
        ]
    if machine.kind == "gpu":
        lines.append(
            "The paper does not say where its hours go. Of the decisions below only the reset touches such a run:\n"
            "what is left of the ratio rests on the throughput and the lengths, until both are measured."
        )
    else:
        lines.append("The paper's hours are those of GPUs: no comparison on a CPU.")
    for entry in savings(machine):
        lines += [
            f"{entry.factor:.3g} times: {entry.decision} ({entry.of})",
            f"  {entry.formula} = {entry.numbers}",
        ]
    for run in grounded_runs(machine)[:1]:
        parts = parts_of(machine, run)
        unit = "GPU-hours" if machine.kind == "gpu" else "hours"
        header = (f"SOAR run {run.dataset}/{run.objective}", unit)
        lines += ["", tabulate([*parts.items(), ("total", sum(parts.values()))], header, floatfmt=",.1f"), ""]
    lines.append("Resuming saves nothing in an undisturbed run; a killed one repeats one outer step, not all of them.")
    return "\n".join(lines)


def as_values(machine: Machine) -> dict[str, list[dict]]:
    """The same as plain values."""
    paper = [
        asdict(entry) | {"work_ratio": entry.work_ratio, "unexplained": entry.unexplained}
        for entry in comparisons(machine)
    ]
    return {"paper": paper, "savings": [asdict(entry) for entry in savings(machine)]}


def _span(low: float, high: float) -> str:
    return _figure(low) if low == high else f"{_figure(low)}-{_figure(high)}"


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def main() -> None:
    options = vars(parser(__doc__).parse_args())
    as_json = options.pop("json")
    machine = machine_of(**options)
    print(json.dumps(as_values(machine), indent=2) if as_json else as_text(machine))


if __name__ == "__main__":
    main()
