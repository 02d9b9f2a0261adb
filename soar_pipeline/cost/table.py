"""The estimate as text, and as values for JSON."""

from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from soar_pipeline.config import Plan
from soar_pipeline.cost.assumptions import Assumptions
from soar_pipeline.cost.estimate import Row
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.stages import JobCosts
from soar_pipeline.cost.work import computed_tokens, forward_passes

NOTES = """\
Rules run one after another; hours are those of the clock, as many jobs of a rule at once as the machine holds.
at most: every completion runs to the token limit, the base model solves nothing, every question takes all its draws,
promotions come as soon as they can. trained on: completion tokens in a loss. longest: hours of the longest job.
disk: what stays. scratch: checkpoints and students of running jobs, gone afterwards. Not counted: jobs that are
killed, embeddings for the Vendi score, a judge's replies. A reward of your own is taken to train students."""


def as_text(machine: Machine, rows: list[Row], total: Row) -> str:
    """The report: machine, rules, assumptions, throughput."""
    held = f"{machine.gpus} GPU(s), {machine.cores} cores" if machine.kind == "gpu" else f"{machine.cores} cores"
    models = ", ".join(f"{name} {_short(size.parameters)} parameters" for name, size in machine.sizes.items())
    heading = f"run {machine.config.run} on {machine.name} ({held}), {machine.engine}; {models}"
    kept, scratch = total["kept_bytes"], total["scratch_bytes"]
    disk = f"Disk: {_short(kept, 'B')} when it is done, up to {_short(kept + scratch, 'B')} while it runs."
    rest = _assumptions(machine), _throughput(machine), _student_steps(machine)
    return "\n\n".join([heading, _rules(machine, [*rows, total]), disk, NOTES, *_soar_runs(machine), *rest])


def as_values(machine: Machine, rows: list[Row], total: Row) -> dict[str, Any]:
    """The same as plain values: hours, tokens and bytes, unrounded."""
    assumed = machine.assumed.model_dump().items()
    return {
        "run": machine.config.run,
        "machine": {"name": machine.name, "kind": machine.kind, "gpus": machine.gpus, "cores": machine.cores},
        "engine": machine.engine,
        "models": {name: asdict(size) for name, size in machine.sizes.items()},
        "stages": rows,
        "total": total,
        "assumptions": {name: {"value": value, "source": machine.sources[name]} for name, value in assumed},
        "pools": {name: asdict(pool) for name, pool in machine.pools.items()},
    }


def _rules(machine: Machine, rows: list[Row]) -> str:
    hours = "gpu_hours" if machine.kind == "gpu" else "core_hours"
    columns = {
        "rule": "stage", "jobs": "jobs", "students": "students", "generated": "generated", "at most": "generated_upper",
        "trained on": "trained", "at most ": "trained_upper", hours.replace("_", "-"): hours,
        "at most  ": f"{hours}_upper", "hours": "wall_hours", "longest": "longest_hours", "disk": "kept_bytes",
        "scratch": "scratch_bytes",
    }  # fmt: skip
    cells = [[_short(row[name], "B" * name.endswith("bytes")) for name in columns.values()] for row in rows]
    align = ["left"] + ["right"] * (len(columns) - 1)
    return tabulate(cells, list(columns), disable_numparse=True, colalign=align)


def _soar_runs(machine: Machine) -> list[str]:
    """What one SOAR run of each kind takes; nothing if there is none."""
    runs = {f"{run.dataset}/{run.objective}": run for run in Plan(machine.config).soar_runs}
    devices, unit = machine.gpus_of("train_soar") or machine.threads("train_soar"), machine.kind
    seconds = {name: JobCosts(machine).job("train_soar", run).seconds for name, run in runs.items()}
    rows = [(name, f"{of_run / 3600 * devices:,.3g}", f"{of_run / 3600:,.3g}") for name, of_run in seconds.items()]
    header = ("one SOAR run", f"{'GPU' if unit == 'gpu' else 'core'}-hours", "hours")
    return [tabulate(rows, header, disable_numparse=True, colalign=("left", "right", "right"))] if rows else []


def _assumptions(machine: Machine) -> str:
    options = [
        (f"--{name.replace('_', '-')}", value, machine.sources[name], Assumptions.model_fields[name].description)
        for name, value in machine.assumed.model_dump(exclude_none=True).items()
    ]
    pools = [
        (name, pool.problems, pool.hard(machine.config.filter.rounds), pool.solve_rate, pool.hard_share, pool.basis)
        for name, pool in machine.pools.items()
    ]
    header = ("problems of", "all", "hard", "mean solve rate", "unsolved by 128", "basis")
    table = tabulate(pools, header, floatfmt=("", "", ".0f", ".3g", ".3g"))
    return f"Assumptions (each is an option):\n{tabulate(options, tablefmt='plain', floatfmt='g')}\n\n{table}"


def _throughput(machine: Machine) -> str:
    if machine.measured:
        return "\n".join(f"Throughput, measured: {it.machine}; {it.model}; {it.note}" for it in machine.measured)
    other = "vllm" if machine.engine == "transformers" else "transformers"
    stated = machine.device.figures.items()
    figures = [(name, figure.value, figure.basis) for name, figure in stated if other not in name]
    table = tabulate(figures, tablefmt="plain", floatfmt=".4g")
    return f"Throughput, stated and not measured (resources/throughput, {machine.name}):\n{table}"


def _student_steps(machine: Machine) -> str:
    """What a student's step computes: counted by rules that benchmarks/step_work.py holds against the trainer."""
    student, rows = machine.config.student, []
    rollouts = student.batch_size * student.group_size
    for name in machine.sizes:
        units = machine.units(name, "train_soar")
        speed, text = units.speed, units.student
        forward, _ = computed_tokens(student, rollouts, student.group_size, text)
        number, real = forward_passes(student, rollouts), rollouts * (text.prompt + text.mean)
        step = speed.decoding_step(rollouts, text.prompt + text.mean / 2)
        passes = 1 / speed.forward_seconds_per_token, 1 / speed.backward_seconds_per_token
        rows.append((name, forward / number / real, number, rollouts / step, *passes))
    header = ("a student's step", "computed / real", "forward passes", "decoded/s", "forward/s", "backward/s")
    return tabulate(rows, header, floatfmt=("", ".2f", "", ".0f", ".0f", ".0f"))


def _short(value: float | str, unit: str = "") -> str:
    """A number in three digits, with M, G or T; a name as it is."""
    if isinstance(value, str) or not value:
        return value or "-"
    for size, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if value >= size:
            return f"{value / size:.3g}{prefix}{unit}"
    return f"{value:,.0f}{unit}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.2f}"
