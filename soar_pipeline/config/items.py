"""What a job is about. What tells one run from another are the fields of these tuples: the wildcards of its rules, and
the columns that its files begin with.
"""

import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from soar_pipeline.config.arms import SERL


class Model(NamedTuple):
    model: str

    def columns(self) -> dict[str, Any]:
        return {}


class Pool(NamedTuple):
    """Problems: of a data set, or real questions that are not filtered."""

    pool: str

    def columns(self) -> dict[str, Any]:
        return {"dataset": self.pool}


class Dataset(NamedTuple):
    dataset: str

    def columns(self) -> dict[str, Any]:
        return self._asdict()


class Shard(NamedTuple):
    """One job's share of the attempts at a pool; counted from 0."""

    dataset: str
    shard: int

    def columns(self) -> dict[str, Any]:
        return {"dataset": self.dataset}


class SoarRun(NamedTuple):
    """One run of the meta-RL loop."""

    dataset: str
    objective: str
    teacher_seed: int

    @property
    def folder(self) -> str:
        """Of its files, within the run's."""
        return f"{self.dataset}/soar/{self.objective}/t{self.teacher_seed}"

    def columns(self) -> dict[str, Any]:
        return self._asdict()


class QuestionSet(NamedTuple):
    """The extra questions of an arm's fresh students; teacher seed 0: no teacher wrote them, and they are drawn once.

    If real questions are drawn several times, the teacher seed says which of the draws it is.
    """

    dataset: str
    arm: str
    teacher_seed: int

    def columns(self) -> dict[str, Any]:
        return self._asdict()


class StudentRun(NamedTuple):
    """One fresh student, or one policy that exists and is only asked; teacher seed 0: the arm has no teacher."""

    dataset: str
    arm: str
    teacher_seed: int
    student_seed: int

    @property
    def folder(self) -> str:
        """Of a fresh student's files, within the run's."""
        return f"{self.dataset}/students/{self.arm}/t{self.teacher_seed}-s{self.student_seed}"

    def columns(self) -> dict[str, Any]:
        return self._asdict()


class SerlRun(NamedTuple):
    """One training by self-play, for all the arms that report it."""

    dataset: str
    student_seed: int

    @property
    def folder(self) -> str:
        """Of its files, within the run's."""
        return f"{self.dataset}/serl/s{self.student_seed}"

    def columns(self) -> dict[str, Any]:
        return StudentRun(self.dataset, SERL, 0, self.student_seed).columns()


class Figure(NamedTuple):
    figure: str

    def columns(self) -> dict[str, Any]:
        return {}


class WholeRun(NamedTuple):
    """Of rules with one job per run."""

    def columns(self) -> dict[str, Any]:
        return {}


def file_name(item: "Item") -> str:
    """What the files of an item's jobs are called: `shuffles-soar_pq-t1-s2`."""
    letters = {"teacher_seed": "t", "student_seed": "s"}
    return "-".join(f"{letters.get(name, '')}{value}" for name, value in item._asdict().items()) or "run"


Item = Model | Pool | Dataset | Shard | SoarRun | QuestionSet | StudentRun | SerlRun | Figure | WholeRun


_ITEMS = {frozenset(kind._fields): kind for kind in typing.get_args(Item)}


def item_of(wildcards: Mapping[str, Any]) -> Item:
    """The item that a rule's wildcards name."""
    kind = _ITEMS[frozenset(wildcards)]
    types = typing.get_type_hints(kind)
    return kind(**{name: types[name](value) for name, value in wildcards.items()})
