"""The estimate as text, and as values for JSON."""

from dataclasses import asdict
from typing import Any

from soar_pipeline.config import Section
from soar_pipeline.cost.assumptions import Assumptions
from soar_pipeline.cost.estimate import Estimate, StageCost
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.pools import stated_facts
from soar_pipeline.cost.savings import comparisons, savings
from soar_pipeline.cost.speed import Figure

COLUMNS = (
    "stage", "jobs", "students", "generated", "at most", "trained on", "at most", "{hours}", "at most", "hours", "disk",
    "scratch",
)  # fmt: skip


def as_text(machine: Machine, estimate: Estimate) -> str:
    """The whole report: machine, stages, assumptions, throughput, and what a saving rests on."""
    blocks = [
        _heading(machine),
        _table(machine, estimate),
        _notes(machine),
        _assumptions(machine, estimate),
        _throughput(machine),
        _savings(machine, estimate),
    ]
    return "\n\n".join(block for block in blocks if block)


def as_values(machine: Machine, estimate: Estimate) -> dict[str, Any]:
    """The same as plain values: hours, tokens and bytes, unrounded."""
    return {
        "run": machine.config.run,
        "machine": {"name": _machine_name(machine), "kind": machine.kind, "gpus": machine.gpus, "cores": machine.cores},
        "engine": machine.engine,
        "models": {name: asdict(size) for name, size in machine.sizes.items()},
        "stages": [asdict(row) for row in estimate.rows],
        "total": asdict(estimate.total),
        "assumptions": {
            name: {"value": getattr(machine.assumed.values, name), "source": source}
            for name, source in machine.assumed.sources.items()
        },
        "pools": {name: asdict(pool) for name, pool in estimate.expected.pools.items()},
        "paper": [
            asdict(entry) | {"work_ratio": entry.work_ratio, "unexplained": entry.unexplained}
            for entry in comparisons(machine, estimate)
        ],
        "savings": [asdict(entry) for entry in savings(machine, estimate)],
    }


def _machine_name(machine: Machine) -> str:
    return machine.measured[0].machine if machine.measured else machine.device.name


def _heading(machine: Machine) -> str:
    held = f"{machine.gpus} GPU(s), {machine.cores} cores" if machine.kind == "gpu" else f"{machine.cores} cores"
    models = ", ".join(f"{name} {_count(size.parameters)} parameters" for name, size in machine.sizes.items())
    return f"run {machine.config.run} on {_machine_name(machine)} ({held}), {machine.engine}; {models}"


def _table(machine: Machine, estimate: Estimate) -> str:
    hours = "GPU-hours" if machine.kind == "gpu" else "core-hours"
    header = [column.format(hours=hours) for column in COLUMNS]
    rows = [header, *(_cells(machine, row) for row in [*estimate.rows, estimate.total])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:-1], "-" * len(lines[0]), lines[-1]])


def _cells(machine: Machine, row: StageCost) -> list[str]:
    held = (row.gpu_hours, row.gpu_hours_upper)
    if machine.kind == "cpu":
        held = (row.core_hours, row.core_hours_upper)
    return [
        row.stage,
        str(row.jobs),
        _count(row.students),
        _count(row.generated),
        _count(row.generated_upper),
        _count(row.trained),
        _count(row.trained_upper),
        _hours(held[0]),
        _hours(held[1]),
        _hours(row.wall_hours),
        _bytes(row.kept_bytes),
        _bytes(row.scratch_bytes),
    ]


def _notes(machine: Machine) -> str:
    lines = [
        "Stages run one after another; hours are wall-clock, as many jobs of a stage at once as the machine holds.",
        "at most: every completion runs to the token limit, the base model solves nothing, every",
        "question takes all its draws, promotions come as soon as they can. trained on: completion tokens in a loss.",
        "scratch: checkpoints and students of running jobs, gone afterwards. Jobs that are killed are not counted.",
    ]
    if machine.engine == "vllm":
        lines.append("vLLM was not measured on a GPU by this project: its figures are assumptions.")
    if any(objective.reward_file for objective in machine.config.objectives.values()):
        lines.append("A reward of your own is taken to train students, as the grounded one does.")
    lines.append("Not estimated: embedding the questions for the Vendi score, and a judge's replies.")
    return "\n".join(lines)


def _assumptions(machine: Machine, estimate: Estimate) -> str:
    lines = ["Assumptions (each is an option):"]
    for name, field in Assumptions.model_fields.items():
        value = getattr(machine.assumed.values, name)
        if value is not None:
            option = f"--{name.replace('_', '-')} {value:g}"
            lines.append(f"  {option:26} {machine.assumed.sources[name]:9} {field.description}")
    for name, pool in estimate.expected.pools.items():
        mean, share = pool.rates.mean, pool.rates.hard_share
        hard = pool.hard(machine.config.filter.rounds)
        lines.append(
            f"  {name}: {pool.problems} problems; Beta-distributed solve rates of mean {mean:g}, {share:.3g} of them "
            f"unsolved by 128 samples; {hard:.0f} survive this filter ({_pool_basis(machine, name)})"
        )
    return "\n".join(lines)


def _pool_basis(machine: Machine, name: str) -> str:
    if "given" in (machine.assumed.sources["solve_rate"], machine.assumed.sources["hard_share"]):
        return "given"
    return stated_facts(machine.config, name, machine.project)["basis"]


def _throughput(machine: Machine) -> str:
    if machine.measured:
        lines = [f"Throughput, measured: {item.machine}; {item.model}; {item.note}" for item in machine.measured]
        return "\n".join(lines)
    lines = [f"Throughput, stated and not measured (resources/throughput, {machine.device.name}):"]
    lines += [f"  {name:50} {figure.value:9.4g}  {figure.basis}" for name, figure in _figures(machine)]
    for name in machine.sizes:
        speed = machine.speed(name, "train_soar")
        batch = machine.config.student.batch_size * machine.config.student.group_size
        units = machine.units(name, "train_soar")
        limit = machine.config.generation.student_max_new_tokens
        step = speed.decoding_step(batch, units.student_prompt + machine.assumed.student.tokens(limit) / 2)
        lines.append(
            f"  so {name}: {batch / step:.0f} tokens/s decoded by {batch} sequences; "
            f"{1 / speed.forward(1):.3g} tokens/s forward, {1 / speed.backward(1):.3g} backward"
        )
    return "\n".join(lines)


def _figures(machine: Machine) -> list[tuple[str, Figure]]:
    """The figures of the device that this estimate uses, by dotted name."""

    def walk(prefix: str, value: object) -> list[tuple[str, Figure]]:
        if isinstance(value, Figure):
            return [(prefix, value)]
        items = value.items() if isinstance(value, dict) else value if isinstance(value, Section) else ()
        return [found for key, inner in items for found in walk(f"{prefix}.{key}".lstrip("."), inner)]

    other = "vllm" if machine.engine == "transformers" else "transformers"
    return [(name, figure) for name, figure in walk("", machine.device) if other not in name.split(".")]


def _savings(machine: Machine, estimate: Estimate) -> str:
    lines = ["What a promised saving rests on:"]
    for entry in comparisons(machine, estimate):
        low, high = entry.cost_ratio
        left_low, left_high = entry.unexplained
        lines += [
            f"  {entry.run}: {_figure(entry.gpu_hours)} GPU-hours here, {_span(*entry.paper_gpu_hours)} in the paper: "
            f"{_span(low, high)} times",
            f"    work = rollouts * parameters: {_count(entry.rollouts)} / {_count(entry.paper_rollouts)} * "
            f"{entry.parameters_ratio:.3g} = {entry.work_ratio:.3g} of the paper's; for the same work "
            f"{_span(left_low, left_high)} times",
        ]
    if machine.kind == "gpu":
        lines.append(
            "  The paper does not say where its hours go. Of the decisions below only the reset touches such a run:\n"
            "  what is left of the ratio rests on the throughput and the lengths above, until both are measured."
        )
    else:
        lines.append("  The paper's hours are those of GPUs: no comparison on a CPU.")
    for entry in savings(machine, estimate):
        lines += [
            f"  {entry.factor:.3g} times: {entry.decision} ({entry.of})",
            f"    {entry.formula} = {entry.numbers}",
        ]
    lines.append(
        "  Resuming saves nothing in an undisturbed run; a killed one repeats one outer step, not all of them."
    )
    return "\n".join(lines)


def _span(low: float, high: float) -> str:
    return _figure(low) if low == high else f"{_figure(low)}-{_figure(high)}"


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _count(number: float) -> str:
    if not number:
        return "-"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{number:.0f}"


def _hours(hours: float) -> str:
    return "-" if not hours else f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"


def _bytes(number: float) -> str:
    return "-" if not number else f"{_count(number)}B".replace("- B", "-")
