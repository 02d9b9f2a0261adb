"""Tables as CSV files of typed rows: one dataclass per table, a column per field, empty where unknown."""

import csv
import io
import types
import typing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from soar_pipeline.artifacts import ArtifactError, write_text

Row = TypeVar("Row")
DECIMALS = 4


def write_csv(path: Path, row_type: type[Row], rows: list[Row]) -> None:
    """Write atomically; floats are rounded to four decimals."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(row_type)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in asdict(row).items()})
    write_text(path, text.getvalue())


def read_csv(path: Path, row_type: type[Row]) -> list[Row]:
    """The rows of a file that `write_csv` wrote; ArtifactError where a column is missing or a cell does not fit."""
    kinds = typing.get_type_hints(row_type)
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = set(kinds) - set(reader.fieldnames or ())
        if missing:
            raise ArtifactError(f"{path}: columns {sorted(missing)} are missing")
        try:
            return [row_type(**{name: _value(line[name], kind) for name, kind in kinds.items()}) for line in reader]
        except ValueError as error:
            raise ArtifactError(f"{path}: {error}") from None


def _cell(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value


def _value(text: str, kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        if text == "":
            return None
        kind = next(member for member in typing.get_args(kind) if member is not types.NoneType)
    return kind(text)
