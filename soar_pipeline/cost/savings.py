"""What a promised saving rests on: the paper's own cost, and which of our decisions save what, each by its formula."""

from dataclasses import dataclass, replace

from soar_pipeline.config import FreshStudentConfig, SoarConfig, StudentConfig
from soar_pipeline.cost.estimate import Estimate
from soar_pipeline.cost.jobs import Job
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.stages import reward_samples

# Spec section 5, "cost reported", from and to: on H100 or H200, with Llama-3.2-3B-Instruct.
PAPER_SOAR_GPU_HOURS = (1536.0, 1920.0)
PAPER_FRESH_STUDENT_GPU_HOURS = (96.0, 96.0)
PAPER_PARAMETERS = 3_212_749_824


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


def comparisons(machine: Machine, estimate: Estimate) -> list[Comparison]:
    """Each kind of grounded SOAR run and of fresh student beside the paper's cost; none on a CPU."""
    if machine.kind != "gpu":
        return []
    config = machine.config
    entries = [_soar_comparison(machine, estimate, *run) for run in _grounded_runs(machine)]
    entries += [
        _fresh_student_comparison(machine, estimate, name, dataset)
        for name, arm in config.arms.items()
        if arm.policy == "fresh_student"
        for dataset in config.datasets_of(name)
    ]
    # Runs of the same size cost much the same: one line, named after the first.
    distinct: dict[Comparison, Comparison] = {}
    for entry in entries:
        distinct.setdefault(replace(entry, run="", gpu_hours=float(f"{entry.gpu_hours:.2g}")), entry)
    return list(distinct.values())


def _grounded_runs(machine: Machine) -> list[tuple[str, str]]:
    """Data set and objective of the SOAR runs that train students."""
    config = machine.config
    kinds = dict.fromkeys((dataset, objective) for dataset, objective, _ in config.soar_runs())
    return [kind for kind in kinds if not reward_samples(config.objectives[kind[1]].reward, config.soar_of(*kind))]


def _soar_comparison(machine: Machine, estimate: Estimate, dataset: str, objective: str) -> Comparison:
    config, stages = machine.config, estimate.expected
    soar, paper = config.soar_of(dataset, objective), SoarConfig()
    before = stages.steps_before_promotion(dataset, objective)
    # The paper's cost is that of a run with promotions: as many as are assumed of ours.
    paper_before = paper.outer_steps / (stages.assumed.values.promotions + 1)
    seconds = stages.work(Job("train_soar", dataset, objective, 1)).seconds
    return Comparison(
        run=f"SOAR run {dataset}/{objective}",
        gpu_hours=seconds / 3600 * machine.gpus_of("train_soar"),
        rollouts=_rollouts(soar, config.student, before),
        paper_gpu_hours=PAPER_SOAR_GPU_HOURS,
        paper_rollouts=_rollouts(paper, StudentConfig(), paper_before),
        parameters_ratio=_parameters_ratio(machine, dataset),
    )


def _fresh_student_comparison(machine: Machine, estimate: Estimate, arm: str, dataset: str) -> Comparison:
    config, paper, paper_student = machine.config, FreshStudentConfig(), StudentConfig()
    student, fresh = config.student_of(arm), config.fresh_student_of(arm, dataset)
    seconds = estimate.expected.fresh_student(arm, dataset).seconds
    return Comparison(
        run=f"fresh student {dataset}/{arm}",
        gpu_hours=seconds / 3600 * machine.gpus_of("train_fresh_student"),
        rollouts=fresh.steps * student.batch_size * student.group_size,
        paper_gpu_hours=PAPER_FRESH_STUDENT_GPU_HOURS,
        paper_rollouts=paper.steps * paper_student.batch_size * paper_student.group_size,
        parameters_ratio=_parameters_ratio(machine, dataset),
    )


def savings(machine: Machine, estimate: Estimate) -> list[Saving]:
    """The decisions whose factor follows from the configuration and the assumptions."""
    config, stages = machine.config, estimate.expected
    found = []
    for dataset, pool in stages.pools.items():
        drawn, k = pool.attempts(config.filter.rounds), sum(config.filter.rounds)
        found.append(
            Saving(
                "the filter stops at a problem's first right answer",
                f"completions of sample_attempts, {dataset}",
                k / drawn,
                "k / sum_i r_i S(r_1 + ... + r_(i-1)), S(j) = share of problems unsolved by j samples",
                f"{k} / {drawn:.1f}",
            )
        )
    runs = config.soar_runs()
    if runs:
        asked = sum(
            len(config.datasets_of(name)) * len(config.teacher_seeds(name))
            for name, arm in config.arms.items()
            if arm.soar_objective is not None
        )
        found.append(
            Saving(
                "arms of one objective share its SOAR runs, as the paper's may",
                "SOAR runs",
                asked / len(runs),
                "sum over arms of their teacher seeds / SOAR runs",
                f"{asked} / {len(runs)}",
            )
        )
    return found + ([_reset(machine, estimate)] if _grounded_runs(machine) else [])


def _reset(machine: Machine, estimate: Estimate) -> Saving:
    """Without the reset, every student would be a job of its own that starts Python and loads the model."""
    config, seconds, starts = machine.config, 0.0, 0.0
    for dataset, objective in _grounded_runs(machine):
        soar = config.soar_of(dataset, objective)
        runs = sum(run[:2] == (dataset, objective) for run in config.soar_runs())
        seconds += runs * estimate.expected.work(Job("train_soar", dataset, objective, 1)).seconds
        students = soar.outer_steps * soar.datasets * soar.repeats / machine.parallel_students
        starts += runs * students * machine.speed(config.datasets[dataset].model, "train_soar").job_start
    return Saving(
        "a worker is reset for the next student, where a job per student would start anew",
        "time of the SOAR runs that train students",
        (seconds + starts) / seconds,
        "(runs + students / parallel students * start of a process) / runs",
        f"({seconds / 3600:.4g} h + {starts / 3600:.4g} h) / {seconds / 3600:.4g} h",
    )


def _rollouts(soar: SoarConfig, student: StudentConfig, before: float) -> float:
    """Training completions of one SOAR run, its inner loop longer after `before` outer steps."""
    inner = soar.inner_steps * before + soar.inner_steps_after_promotion * (soar.outer_steps - before)
    return soar.datasets * soar.repeats * inner * student.batch_size * student.group_size


def _parameters_ratio(machine: Machine, dataset: str) -> float:
    return machine.sizes[machine.config.datasets[dataset].model].parameters / PAPER_PARAMETERS
