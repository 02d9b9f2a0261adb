"""The estimate of a whole configuration: one row per stage, and their sum."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from soar_pipeline.cost.jobs import Job, jobs_of
from soar_pipeline.cost.machine import Machine, makespan
from soar_pipeline.cost.pools import pools_of
from soar_pipeline.cost.stages import MODEL_RULES, Stages
from soar_pipeline.cost.work import Work


@dataclass(frozen=True)
class StageCost:
    """One row: a rule's jobs together. `_upper`: with every bound reached. Hours are expected where nothing is said."""

    stage: str
    jobs: int
    students: float
    generated: float
    generated_upper: float
    trained: float
    trained_upper: float
    gpu_hours: float
    gpu_hours_upper: float
    core_hours: float
    core_hours_upper: float
    wall_hours: float
    wall_hours_upper: float
    kept_bytes: float
    scratch_bytes: float


@dataclass(frozen=True)
class Estimate:
    """`expected` and `upper` hold the arithmetic behind the rows, for questions about a single run."""

    rows: list[StageCost]
    total: StageCost
    expected: Stages
    upper: Stages


def estimate(machine: Machine) -> Estimate:
    """The cost of the machine's configuration."""
    expected, upper = (_stages(machine, upper=bound) for bound in (False, True))
    rows: dict[str, list[Job]] = {}
    for job in jobs_of(machine.config):
        rows.setdefault(job.rule, []).append(job)
    costs = [_stage_cost(machine, rule, jobs, expected, upper) for rule, jobs in rows.items()]
    return Estimate(costs, _total(costs), expected, upper)


def _stages(machine: Machine, *, upper: bool) -> Stages:
    return Stages(
        config=machine.config,
        assumed=machine.assumed,
        pools=pools_of(machine.config, machine.project, machine.assumed.values, upper=upper),
        units=machine.units,
        parallel_students=machine.parallel_students,
        upper=upper,
    )


def _stage_cost(machine: Machine, rule: str, jobs: list[Job], expected: Stages, upper: Stages) -> StageCost:
    work, bound = [expected.work(job) for job in jobs], [upper.work(job) for job in jobs]
    if rule not in MODEL_RULES:
        work = bound = [Work(seconds=machine.plumbing)] * len(jobs)
    total, total_bound = sum(work, Work()), sum(bound, Work())
    slots, gpus, threads = machine.slots(rule), machine.gpus_of(rule), machine.threads(rule)
    cores = 0 if gpus else threads
    return StageCost(
        stage=rule,
        jobs=len(jobs),
        students=total.students,
        generated=total.generated,
        generated_upper=total_bound.generated,
        trained=total.trained,
        trained_upper=total_bound.trained,
        gpu_hours=total.seconds * gpus / 3600,
        gpu_hours_upper=total_bound.seconds * gpus / 3600,
        core_hours=total.seconds * cores / 3600,
        core_hours_upper=total_bound.seconds * cores / 3600,
        wall_hours=makespan([item.seconds for item in work], slots) / 3600,
        wall_hours_upper=makespan([item.seconds for item in bound], slots) / 3600,
        kept_bytes=total.kept,
        scratch_bytes=sum(sorted((item.scratch for item in work), reverse=True)[:slots]),
    )


def _total(rows: Iterable[StageCost]) -> StageCost:
    """The sum; stages run one after another, so scratch is the largest of theirs."""
    rows = list(rows)
    sums = {field.name: sum(getattr(row, field.name) for row in rows) for field in fields(StageCost)[1:]}
    return StageCost(stage="in all", **sums | {"scratch_bytes": max(row.scratch_bytes for row in rows)})
