"""How far a run is, read from its checkpoints, artifacts, benchmark files and logs; nothing of the run is touched."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from soar_pipeline.artifacts.files import table
from soar_pipeline.artifacts.schemas import CURVE, PROMOTIONS, SOAR_QUESTIONS, STEPS
from soar_pipeline.config import Config, Plan, SerlRun, SoarRun, StudentRun
from soar_pipeline.reporting.frames import read_frame

SOAR_FILES = {"steps": STEPS, "promotions": PROMOTIONS, "questions": SOAR_QUESTIONS}
# A log that was not written to for so long says nothing about now.
RECENT_SECONDS = 120


@dataclass(frozen=True)
class Training:
    """Trainings of one kind that are told together: a SOAR run, or the students of an arm.

    done, total: steps of all of them; seconds: of a step, None before the first; rewards: by step, as far as known;
    promotions: None if it cannot promote.
    """

    rule: str
    name: str
    done: int
    total: int
    seconds: float | None
    rewards: list[float]
    promotions: int | None = None

    @property
    def seconds_left(self) -> float | None:
        return None if self.seconds is None else self.seconds * (self.total - self.done)


@dataclass(frozen=True)
class RunProgress:
    """A run at a moment; jobs_done, jobs: of the whole workflow; now: the last line of each log that is being written.

    frames: STEPS, PROMOTIONS and SOAR_QUESTIONS rows of all SOAR runs, as far as they are.
    """

    jobs_done: int
    jobs: int
    trainings: list[Training]
    now: dict[str, str]
    frames: dict[str, pd.DataFrame] = field(repr=False)

    @property
    def finished(self) -> bool:
        return all(one.done >= one.total for one in self.trainings)

    @property
    def seconds_left(self) -> float | None:
        """Of all trainings one after another; what has not begun counts as its kind does. None if nothing has begun."""
        known = {one.rule: [] for one in self.trainings}
        for one in self.trainings:
            if one.seconds is not None:
                known[one.rule].append(one.seconds)
        if not any(known.values()):
            return None
        left = 0.0
        for one in self.trainings:
            per_step = one.seconds if one.seconds is not None else _mean(known[one.rule])
            left += (per_step or 0.0) * (one.total - one.done)
        return left


def run_progress(config: Config, folder: Path, logs: Path) -> RunProgress:
    """How far a run is; folder: of its results, logs: of its logs. What is not there yet has not begun."""
    plan = Plan(config)
    soar = {run: _soar_frames(folder, run) for run in plan.soar_runs}
    trainings = [_soar_training(config, run, frames) for run, frames in soar.items()]
    for arm in dict.fromkeys((run.dataset, run.arm) for run in plan.fresh_students):
        runs = [run for run in plan.fresh_students if (run.dataset, run.arm) == arm]
        steps = config.fresh_student_of(arm[1], arm[0]).steps
        trainings.append(_student_training("train_fresh_student", " ".join(arm), folder, runs, steps))
    for dataset in dict.fromkeys(run.dataset for run in plan.serl_runs):
        runs = [run for run in plan.serl_runs if run.dataset == dataset]
        trainings.append(_student_training("train_serl", dataset, folder, runs, config.serl.steps))
    # Every rule but the last has one benchmark file for each of its jobs that ended.
    planned = pd.Series([job.rule for job in plan.jobs if job.rule != "all"]).value_counts()
    ended = {rule: len(list((folder / "benchmarks" / rule).rglob("*.tsv"))) for rule in planned.index}
    return RunProgress(
        jobs_done=sum(min(count, ended[rule]) for rule, count in planned.items()),
        jobs=int(planned.sum()),
        trainings=trainings,
        now=_now(logs),
        frames={name: pd.concat([frames[name] for frames in soar.values()], ignore_index=True) for name in SOAR_FILES}
        if soar
        else {},
    )


def _soar_frames(folder: Path, run: SoarRun) -> dict[str, pd.DataFrame]:
    place = folder / run.folder
    if (place / "promotions.parquet").exists():
        return {name: read_frame([place / f"{name}.parquet"], schema) for name, schema in SOAR_FILES.items()}
    record = _record(place / "state").get("record", {})
    return {name: _frame(record.get(name, []), schema, run.columns()) for name, schema in SOAR_FILES.items()}


def _soar_training(config: Config, run: SoarRun, frames: dict[str, pd.DataFrame]) -> Training:
    steps = frames["steps"]
    return Training(
        "train_soar",
        f"{run.dataset} {run.objective} t{run.teacher_seed}",
        done=len(steps),
        total=config.soar_of(run.dataset, run.objective).outer_steps,
        seconds=_mean(steps["seconds"]),
        rewards=list(steps["mean_reward"]),
        promotions=int(steps["promoted"].sum()) if config.objectives[run.objective].promotion else None,
    )


def _student_training(rule: str, name: str, folder: Path, runs: Iterable[StudentRun | SerlRun], steps: int) -> Training:
    """rewards: of the student that has come furthest."""
    curves, done, total = [], 0, 0
    for run in runs:
        place = folder / run.folder
        ended = (place / "training.parquet").exists()
        curve = (
            read_frame([place / "training.parquet"], CURVE)
            if ended
            else _frame(_record(place / "state").get("curve", []), CURVE, run.columns())
        )
        curve = curve[curve["step"] > 0]
        curves.append(curve)
        done += len(curve)
        # One whose questions were never promoted is not trained.
        total += len(curve) if ended else steps
    furthest = max(curves, key=len)
    seconds = pd.concat([curve["seconds"] for curve in curves])
    return Training(rule, name, done, total, _mean(seconds), list(furthest["train_reward"].dropna()))


def _record(state: Path) -> dict[str, Any]:
    """What the last checkpoint of a training holds besides weights (rl/checkpoints.py); empty if there is none."""
    try:
        return _read_record(state, (state / "current").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        # Not begun, finished, or replaced in this moment.
        return {}


@lru_cache(maxsize=1024)
def _read_record(state: Path, name: str) -> dict[str, Any]:
    return json.loads((state / name / "record.json").read_text(encoding="utf-8"))["record"]


def _frame(rows: list[dict[str, Any]], schema: pa.Schema, run: dict[str, Any]) -> pd.DataFrame:
    return table(rows, schema, **run).to_pandas()


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return sum(values) / len(values) if values else None


def _now(logs: Path) -> dict[str, str]:
    """By the job's log, its last line, of the logs that were written to lately."""
    lines = {}
    for log in sorted(logs.rglob("*.log")):
        try:
            if time.time() - log.stat().st_mtime < RECENT_SECONDS:
                with log.open("rb") as stream:
                    stream.seek(max(0, log.stat().st_size - 4096))
                    last = stream.read().decode("utf-8", errors="replace").split("\n")
                lines[log.relative_to(logs).with_suffix("").as_posix()] = next(filter(None, reversed(last)), "")
        except OSError:
            continue
    return {name: line for name, line in lines.items() if line}
