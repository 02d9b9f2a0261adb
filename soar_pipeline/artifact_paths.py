"""Which run a file belongs to, read from its place in `results/<run>/<dataset>/…` (docs/artifacts.md)."""

import re
from pathlib import Path
from typing import NamedTuple

from soar_pipeline.artifacts import ArtifactError

_STUDENT = re.compile(r"(?P<dataset>[^/]+)/(?:evaluation|students)/(?P<arm>[^/]+)/t(?P<teacher>\d+)-s(?P<student>\d+)")
_SERL = re.compile(r"(?P<dataset>[^/]+)/serl/s(?P<student>\d+)/[^/]+$")
_TEACHER = re.compile(r"(?P<dataset>[^/]+)/(?:soar|questions|taxonomy)/(?P<name>[^/]+)/t(?P<teacher>\d+)")
_DATASET = re.compile(r"(?P<dataset>[^/]+)/(?:attempts/)?[^/]+$")
# SeRL trains one student for all the arms that report it, at different steps; its runs carry this in place of an arm.
SERL = "<serl>"


class StudentRun(NamedTuple):
    dataset: str
    arm: str
    teacher_seed: int
    student_seed: int


class TeacherRun(NamedTuple):
    """`name` is the objective of a SOAR run, or the arm of a question set."""

    dataset: str
    name: str
    teacher_seed: int


def student_run(path: Path) -> StudentRun:
    """Of `<dataset>/evaluation/<arm>/t<t>-s<s>.parquet` and of what lies in `<dataset>/students/<arm>/t<t>-s<s>/`.

    And of what lies in `<dataset>/serl/s<s>/`.
    """
    if serl := _SERL.search(path.as_posix()):
        return StudentRun(serl["dataset"], SERL, 0, int(serl["student"]))
    found = _match(_STUDENT, path)
    return StudentRun(found["dataset"], found["arm"], int(found["teacher"]), int(found["student"]))


def teacher_run(path: Path) -> TeacherRun:
    """Of `<dataset>/questions/<arm>/t<t>.parquet`, of its verdicts in `<dataset>/taxonomy/`, and of SOAR runs' files.

    Those lie in `<dataset>/soar/<objective>/t<t>/`.
    """
    found = _match(_TEACHER, path)
    return TeacherRun(found["dataset"], found["name"], int(found["teacher"]))


def dataset_of(path: Path) -> str:
    """Of `<dataset>/<file>` and `<dataset>/attempts/<shard>.parquet`."""
    return _match(_DATASET, path)["dataset"]


def _match(pattern: re.Pattern[str], path: Path) -> re.Match[str]:
    found = pattern.search(path.as_posix())
    if found is None:
        raise ArtifactError(f"{path}: does not lie where the workflow writes such a file (docs/artifacts.md)")
    return found
