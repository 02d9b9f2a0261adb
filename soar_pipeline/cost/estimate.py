"""The estimate of a configuration: a row of plain figures for each rule, and their total."""

from collections import Counter, defaultdict
from pathlib import Path

from soar_pipeline.config import Config, Plan
from soar_pipeline.config.plan import Job
from soar_pipeline.cost.assumptions import Options
from soar_pipeline.cost.machine import MODEL_RULES, Machine
from soar_pipeline.cost.stages import JobCosts
from soar_pipeline.cost.work import Work

Row = dict[str, float | str]


def estimate(machine: Machine) -> tuple[list[Row], Row]:
    """A row for each rule, and the total: expected figures and, with `_upper` after the name, every bound reached."""
    costs, rows = {"": JobCosts(machine), "_upper": JobCosts(machine, upper=True)}, []
    for rule, jobs in _kinds(machine.config).items():
        row: Row = {"stage": rule, "jobs": jobs.total()}
        for suffix, of in costs.items():
            work = [one for job, number in jobs.items() for one in [of.job(*job)] * number]
            row |= {name + suffix: figure for name, figure in _figures(machine, rule, work).items()}
        rows.append(row)
    # Rules run one after another.
    combine = {name: max if name.startswith(("scratch", "longest")) else sum for name in list(rows[0])[1:]}
    total = {name: of(row[name] for row in rows) for name, of in combine.items()}
    return rows, {"stage": "total"} | total


def long_jobs(config: Config, project: Path) -> list[str]:
    """A line for each rule in `resources` whose longest job will take longer than its `runtime`, by stated figures."""
    lines = []
    try:
        costs = JobCosts(Machine(config, project, Options(), count=False))
        for rule, jobs in _kinds(config).items():
            longest = max(jobs, key=lambda job: costs.job(*job).seconds)
            hours, allowed = costs.job(*longest).seconds / 3600, config.resources_of(rule).runtime / 60
            if rule in MODEL_RULES and config.resources and hours > allowed:
                lines.append(
                    f"{rule} of {longest.item[0]}: a job takes {hours:,.1f} hours by the estimate (docs/cost.md), "
                    f"and resources.{rule}.runtime allows {allowed:,.1f}; raise it or give the job more devices"
                )
    except ValueError as error:  # ConfigError, or ArtifactError of a problem file
        lines.append(f"runtimes are not checked: {error}")
    return lines


def _kinds(config: Config) -> dict[str, Counter[Job]]:
    """How many jobs of each kind a rule has: seeds and shards make no difference."""
    kinds: dict[str, Counter[Job]] = defaultdict(Counter)
    for rule, item in Plan(config).jobs:
        alike = dict.fromkeys({"teacher_seed", "student_seed", "shard"} & set(item._fields), 0)
        kinds[rule][Job(rule, item._replace(**alike))] += 1
    return kinds


def _figures(machine: Machine, rule: str, work: list[Work]) -> dict[str, float]:
    total, gpus, slots = sum(work, Work()), machine.gpus_of(rule), machine.slots(rule)
    return {
        "students": total.students,
        "generated": total.generated,
        "trained": total.trained,
        "gpu_hours": total.seconds * gpus / 3600,
        "core_hours": 0 if gpus else total.seconds * machine.threads(rule) / 3600,
        "wall_hours": makespan([job.seconds for job in work], slots) / 3600,
        "longest_hours": max(job.seconds for job in work) / 3600,
        "kept_bytes": total.kept,
        "scratch_bytes": sum(sorted((job.scratch for job in work), reverse=True)[:slots]),
    }


def makespan(seconds: list[float], slots: int) -> float:
    """Seconds until all jobs are done, `slots` at a time, the longest first."""
    busy = [0.0] * slots
    for duration in sorted(seconds, reverse=True):
        busy[busy.index(min(busy))] += duration
    return max(busy)
