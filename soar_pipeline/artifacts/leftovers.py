"""Files of a run that a reader should know of: edited by hand, recorded by no job, or left by jobs of other settings.

Snakemake names them at its start, the report has them in a section, and `python -m soar_pipeline.artifacts` accepts the
edited and removes the left ones.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from soar_pipeline.artifacts.file_lock import LOCK, file_lock
from soar_pipeline.artifacts.job_costs import costs_file
from soar_pipeline.artifacts.records import Digests, Record, job_of, seen_file
from soar_pipeline.config.items import SerlRun, SoarRun, StudentRun, file_name
from soar_pipeline.config.plan import Plan

EDITED = (
    "is not what its job wrote (edited, or written anew by another program), so nothing is made from it; "
    "`python -m soar_pipeline.artifacts accept FILE` takes it as it is, deleting it makes it again"
)
ACCEPTED = "was edited after its job wrote it, and accepted"
LEFT = "is of a job that this configuration does not have"
ASIDE = "is an unfinished training of other settings, moved aside"
UNKNOWN = "has no record of the job that made it; what the run makes under this name, it makes again"
# Beside the files of a training: its checkpoints, its lock and what trackers wrote, finished or not.
STATE = "state"
# Folders that no artifact lies in.
NOT_ARTIFACTS = ("settings", "benchmarks", STATE, "cache", "tables", "figures")
SHOWN = 3


class Stray(NamedTuple):
    """A file or folder of the run, and what is to be said of it: EDITED, ACCEPTED, LEFT, ASIDE or UNKNOWN."""

    path: Path
    what: str


def stray_files(run: Path, plan: Plan, digests: Digests | None = None) -> list[Stray]:
    """Those of a run's folder, by path; digests: what is known of its files already."""
    strays, digests, wanted = [], digests or Digests(), _jobs(plan)
    records = [(job_of(file) in wanted, file, record) for file, record in _records(run)]
    # What a job of the plan has made is not left, even if another job made it before.
    made = {name for is_wanted, _, record in records for name in record.outputs if is_wanted}
    known: set[Path] = set()
    for is_wanted, file, record in records:
        digests.load(seen_file(file), run)
        for name, written in record.outputs.items():
            path = run / name
            known.add(path)
            if not path.exists() or (not is_wanted and name in made):
                continue
            if not is_wanted:
                strays.append(Stray(path, LEFT))
            elif digests.of(path) != written:
                strays.append(Stray(path, EDITED))
            elif name in record.accepted:
                strays.append(Stray(path, ACCEPTED))
    strays += [Stray(state, LEFT) for state in _states(run, plan)]
    for path in _others(run):
        if path.suffix != ".parquet":
            strays.append(Stray(path, ASIDE))
        # A run without any record was made by something else.
        elif records and known.isdisjoint((path, *path.parents)):
            strays.append(Stray(path, UNKNOWN))
    return sorted(strays)


def lines_about(strays: list[Stray]) -> list[str]:
    """One line for each edited file, and one for each other kind."""
    lines = [f"{path}: {EDITED.replace('FILE', str(path))}" for path, what in strays if what == EDITED]
    for kind in (ACCEPTED, LEFT, ASIDE, UNKNOWN):
        paths = [str(path) for path, what in strays if what == kind]
        if paths:
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            each = f" (each {kind})" if len(paths) > 1 else f" {kind}"
            lines.append(f"{', '.join(paths[:SHOWN])}{more}{each}{_REMEDY.get(kind, '')}")
    return lines


_REMEDY = dict.fromkeys((LEFT, ASIDE), "; `python -m soar_pipeline.artifacts leftovers` lists and removes such files")


def remove_leftovers(run: Path, plan: Plan) -> None:
    """Remove what jobs left that the plan does not have, with settings and benchmarks, and trainings set aside.

    Raises ArtifactError, with nothing removed, if one of these trainings is running: it holds its lock.
    """
    left = [path for path, what in stray_files(run, plan) if what in (LEFT, ASIDE)]
    for state in (path for path in left if path.name == STATE):
        with file_lock(state / LOCK):
            # Let go at once: NFS does not remove a folder with an open file.
            pass
    for path in left:
        _remove(path)
        _remove_empty(path.parent, run)
    wanted = _jobs(plan)
    for settings in sorted((run / "settings").glob("*/[!.]*")):
        if job_of(settings) not in wanted:
            settings.unlink()
            costs_file(settings).unlink(missing_ok=True)


def _jobs(plan: Plan) -> set[tuple[str, str]]:
    return {(job.rule, file_name(job.item)) for job in (*plan.jobs, *plan.on_request)}


def _records(run: Path) -> Iterator[tuple[Path, Record]]:
    for file in sorted((run / "settings").glob("*/*.made.json")):
        if record := Record.read(file):
            yield file, record


def _states(run: Path, plan: Plan) -> Iterator[Path]:
    """The folders STATE of trainings that the plan does not have."""
    trained = {run / one.folder for one in (*plan.soar_runs, *plan.fresh_students, *plan.serl_runs)}
    for kind in (SoarRun, StudentRun, SerlRun):
        # Such folders alone: an arm or a data set may be called `state` too.
        anywhere = kind(*"*" * len(kind._fields)).folder
        yield from (state for state in run.glob(f"{anywhere}/{STATE}") if state.parent not in trained)


def _others(run: Path) -> Iterator[Path]:
    """Parquet files where artifacts lie, and folders of trainings that were moved aside."""
    for folder, folders, files in os.walk(run):
        yield from (Path(folder, name) for name in folders if name.startswith("state-"))
        folders[:] = [name for name in folders if name not in NOT_ARTIFACTS and not name.startswith(("state-", "."))]
        yield from (Path(folder, name) for name in files if name.endswith(".parquet"))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(folder: Path, run: Path) -> None:
    while folder != run and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
