"""Rows of a source, the problems they hold, and errors that name the source and the row."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts.files import ArtifactError

# Characters of a text at most; the longest question of MATH has 4,300.
LONGEST_TEXT = 100_000
# White space apart, a control character is what is left of a backslash that was not doubled in JSON (`\frac`, `\b…`).
_CONTROL = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")


class LeftOut(Exception):
    """A row that is well formed and yet no problem to be used; the message is the reason, the same for all such rows.

    What is malformed is an ArtifactError instead. A published file cannot be corrected without breaking its checksum,
    so that what it is known to hold must not stop a run.
    """


@dataclass(frozen=True)
class Problem:
    """A row of PROBLEMS without its dataset; `solution`: worked; `remark` says what is special about grading it."""

    problem_id: str
    question: str
    answer: str
    subject: str | None = None
    level: str | None = None
    solution: str | None = None
    remark: str | None = None


@dataclass
class Pool:
    """The problems of a source in its order; ids of the rows left out, by reason; ids of problems, by remark."""

    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One row; `number` counts from 1 (the line of a JSONL file), `id_fields` together identify it."""

    source: str
    number: int
    values: dict[str, Any]
    id_fields: tuple[str, ...] = ("id",)

    def text(self, field: str) -> str:
        """The field as text without surrounding space; ArtifactError if it is missing, empty or not text."""
        content = self.optional_text(field)
        if content is None:
            if field in self.values:
                raise self.error(f"{field!r} is null; fill it or drop the row")
            raise self.error(f"{field!r} is missing; it has {sorted(self.values)}")
        if not content:
            raise self.error(f"{field!r} is empty; fill it or drop the row")
        return content

    def optional_text(self, field: str) -> str | None:
        """`text` of a field that may be missing, null or NaN (all None)."""
        value = self.values.get(field)
        # pandas writes NaN if there is nothing.
        if value is None or value != value:
            return None
        return self.text_of(field, value)

    def usable_text(self, field: str) -> str | None:
        """`text` of a field that no problem needs; None if there is none, or none that a prompt could hold."""
        try:
            return self.optional_text(field) or None
        except (ArtifactError, LeftOut):
            return None

    def text_of(self, field: str, value: Any) -> str:
        """A value of the field, or of the list in it, as text; LeftOut if no prompt could hold it."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.error(f"{field!r} is {type(value).__name__}, expected text; write it as a string")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(f"{field!r} is {value}, expected text or a finite number")
        content = str(value)
        if any("\ud800" <= character <= "\udfff" for character in content):
            raise self.error(f"{field!r} holds half a surrogate pair, which is no character; correct it")
        if len(content) > LONGEST_TEXT:
            raise LeftOut(f"{field!r} has more than {LONGEST_TEXT:,} characters")
        # Before stripping, which takes a form feed for space: `\frac` would become `rac`.
        if control := _CONTROL.search(content):
            raise LeftOut(f"{field!r} holds the control character U+{ord(control.group()):04X}")
        return content.strip()

    def flag(self, field: str) -> bool:
        """A field that may be missing or null (both False); ArtifactError if it is neither true nor false."""
        value = self.values.get(field)
        if value is not None and not isinstance(value, bool):
            raise self.error(f"{field!r} is {type(value).__name__}, expected true or false")
        return bool(value)

    @property
    def problem_id(self) -> str:
        """The row's `id_fields`, joined by a slash, else source and row."""
        parts = [self.optional_text(field) for field in self.id_fields]
        return "/".join(parts) if all(parts) else self.place

    @property
    def place(self) -> str:
        """Source and row as an id, for a row without one of its own."""
        return f"{Path(self.source.removesuffix('.zip')).stem}-{self.number:05d}"

    def error(self, what: str) -> ArtifactError:
        return ArtifactError(f"{self.source}: row {self.number}: {what}")


def problems_in(rows: Iterable[Row], problem_of: Callable[[Row], Problem]) -> Pool:
    """Every row as a problem or as left out; ArtifactError if one is malformed or two problems share an id."""
    pool, seen = Pool(), {}
    for row in rows:
        name = row.place
        try:
            name = row.problem_id
            problem = problem_of(row)
        except LeftOut as reason:
            pool.left_out.setdefault(str(reason), []).append(name)
            continue
        first = seen.setdefault(problem.problem_id, row)
        if first is not row:
            raise row.error(f"its id {problem.problem_id!r} is that of row {first.number} too; make ids unique")
        pool.problems.append(problem)
        if problem.remark:
            pool.remarks.setdefault(problem.remark, []).append(problem.problem_id)
    return pool
