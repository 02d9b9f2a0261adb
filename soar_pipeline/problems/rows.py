"""Rows of a problem file (JSONL or Parquet), and errors that name the file and the row."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from soar_pipeline.artifacts import ArtifactError

# `problem_id`, `question`, `answer`, `subject`, `level`: a row of PROBLEMS without its dataset.
Problem = dict[str, str | None]


@dataclass(frozen=True)
class Row:
    """One row; `number` counts from 1 (the line of a JSONL file)."""

    path: Path
    number: int
    values: dict[str, Any]

    def text(self, field: str) -> str:
        """The field as text without surrounding space; ArtifactError where it is missing, empty or not text."""
        found = self.optional_text(field)
        if found is None:
            raise self.error(f"{field!r} is missing; it has {sorted(self.values)}")
        if not found:
            raise self.error(f"{field!r} is empty; fill it or drop the row")
        return found

    def optional_text(self, field: str) -> str | None:
        """`text` of a field that may be missing (None)."""
        value = self.values.get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.error(f"{field!r} is {type(value).__name__}, expected text; write it as a string")
        found = str(value).strip()
        if any("\ud800" <= character <= "\udfff" for character in found):
            raise self.error(f"{field!r} holds half a surrogate pair, which is no character; correct it")
        return found

    @property
    def problem_id(self) -> str:
        """The row's own `id`, else file and row."""
        return self.optional_text("id") or f"{self.path.stem}-{self.number:05d}"

    def error(self, what: str) -> ArtifactError:
        return ArtifactError(f"{self.path}: row {self.number}: {what}")


def problems_in(path: Path, problem_of: Callable[[Row], Problem]) -> list[Problem]:
    """Every row of the file as a problem; ArtifactError where one is malformed or two share an id."""
    problems, rows = [], {}
    for row in file_rows(path):
        problem = problem_of(row)
        first = rows.setdefault(problem["problem_id"], row)
        if first is not row:
            raise row.error(f"its id {problem['problem_id']!r} is that of row {first.number} too; make ids unique")
        problems.append(problem)
    return problems


def file_rows(path: Path) -> list[Row]:
    """The rows of a `.jsonl` or `.parquet` file; ArtifactError where it cannot be read. Blank lines are skipped."""
    readers = {".jsonl": _json_rows, ".parquet": _parquet_rows}
    if path.suffix not in readers:
        raise ArtifactError(f"{path}: the name must end in .jsonl (one JSON object a line) or .parquet")
    try:
        return readers[path.suffix](path)
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}); convert it") from None
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error.strerror or error}); check `path` of the data set"
        ) from None


def _json_rows(path: Path) -> list[Row]:
    # Not splitlines(): a JSON string may hold other line separators, such as U+2028.
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [_json_row(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _json_row(path: Path, number: int, line: str) -> Row:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: row {number}: is not JSON ({error}); correct or drop the line") from None
    if not isinstance(values, dict):
        raise ArtifactError(
            f"{path}: row {number}: is {type(values).__name__}, not a JSON object; write one object a line"
        )
    return Row(path, number, values)


def _parquet_rows(path: Path) -> list[Row]:
    try:
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise ArtifactError(f"{path}: is not readable Parquet ({error})") from None
    return [Row(path, number, values) for number, values in enumerate(rows, start=1)]
