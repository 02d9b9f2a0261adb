"""Reading and writing Parquet artifacts: atomic, with their provenance, and anything else is refused.

The metadata of a file says how it was made: stage, run, the keys of the configuration that decide its results, package
versions and digests of the inputs.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from soar_pipeline.artifacts import schemas
from soar_pipeline.artifacts.atomic import atomic_path
from soar_pipeline.artifacts.provenance import PROVENANCE_KEY, Provenance, digest, source_digest
from soar_pipeline.artifacts.records import made_file, record_job
from soar_pipeline.artifacts.schemas import ROWS_AT_ONCE

if TYPE_CHECKING:
    import pandas as pd


class ArtifactError(ValueError):
    """A file that is not the artifact it should be; the message names it and says what to do."""


def table(rows: Iterable[dict[str, Any]], schema: pa.Schema, **columns: str | int) -> pa.Table:
    """Rows as a table of exactly this schema, with `columns` that are the same in every row.

    ArtifactError names a column that does not fit.
    """
    rows = [{**row, **columns} for row in rows]
    for name in schema.names:
        if not schema.field(name).nullable and any(row.get(name) is None for row in rows):
            raise ArtifactError(f"column {name!r} has an empty value but is required")
    extra = {key for row in rows for key in row} - set(schema.names)
    if extra:
        raise ArtifactError(f"columns {sorted(extra)} are not in the schema")
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ArtifactError(str(error)) from None


def labelled(data: pa.Table, **columns: str | int) -> pa.Table:
    """The table with other values in some of its columns, the same in every row."""
    for name, value in columns.items():
        at = data.schema.get_field_index(name)
        field = data.schema.field(at)
        data = data.set_column(at, field, pa.repeat(pa.scalar(value, field.type), data.num_rows))
    return data


def write_parquet(path: Path, data: pa.Table, provenance: Provenance) -> None:
    """Write atomically, with the provenance in the file's metadata."""
    write_parts(path, data.schema, [data], provenance)


def write_parts(path: Path, schema: pa.Schema, parts: Iterable[pa.Table], provenance: Provenance) -> None:
    """`write_parquet` of what comes in parts, as they come: memory holds one row group."""
    schema = schema.with_metadata({PROVENANCE_KEY: provenance.as_json().encode()})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in _row_groups(parts):
            writer.write_table(group.cast(schema), ROWS_AT_ONCE)


@dataclass(frozen=True)
class Artifacts:
    """Writes the files of one job: every row says which run it is of, and every file how it was made.

    outputs: all files that the job makes; settings: the file of its settings, beside which its record lies (none: it
    leaves no record).
    """

    provenance: Provenance
    outputs: tuple[Path, ...] = ()
    settings: Path | None = None

    def table(self, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
        """Rows as a table of this schema, with the columns of the run."""
        return table(rows, schema, **self._columns(schema))

    def write(
        self, path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema, report: dict[str, Any] | None = None
    ) -> None:
        """Write rows; `report` is what else the stage has to say about what it did (JSON)."""
        write_parquet(path, self.table(rows, schema), replace(self.provenance, report=report))

    def write_parts(self, path: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
        """Write what comes in parts, as they come; rows of another run become rows of this one."""
        columns = self._columns(schema)
        write_parts(path, schema, (labelled(part, **columns) for part in parts), self.provenance)

    def digest(self, path: Path) -> str:
        """Of an input, as the job found it."""
        return self.provenance.inputs[path.as_posix()]

    @property
    def identity(self) -> str:
        """A digest of what decides the job's results: its settings and its inputs."""
        made_by = [self.provenance.config, sorted(self.provenance.inputs.values())]
        return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()

    def finish(self) -> None:
        """Record that all outputs are in place. A stage that can resume says so before it drops what it resumes from;
        of the others it is said at their end.
        """
        if self.settings is not None and not made_file(self.settings).exists():
            record_job(self.settings, self.provenance, self.outputs)

    def _columns(self, schema: pa.Schema) -> dict[str, str | int]:
        return {name: value for name, value in self.provenance.run.items() if name in schema.names}


def _row_groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Parts put together until they are worth a row group."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(one.num_rows for one in waiting) >= ROWS_AT_ONCE:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def read_parquet(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """The artifact at `path`, checked against its schema (further columns are allowed and kept).

    Only `columns` are read and checked, if they are given.
    """
    with _opened(path, schema, columns) as file:
        data = file.read(columns)
        _check_required(path, schema, data)
        return data


def read_parts(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """The columns of the schema in parts, for what does not fit in memory; checked like `read_parquet`."""
    with _opened(path, schema) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=schema.names):
            part = pa.Table.from_batches([batch]).select(schema.names)
            _check_required(path, schema, part)
            yield part


def digest_input(path: Path, *, source: bool) -> str:
    """The digest of what a stage reads; source: no stage of the run wrote it. ArtifactError if it cannot be read."""
    with _readable(path):
        return source_digest(path) if source else digest(path)


@contextmanager
def _opened(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> Iterator[pq.ParquetFile]:
    """The file, whose columns have the names and types of the schema; what cannot be read of it is an ArtifactError."""
    with _readable(path), pq.ParquetFile(path, pre_buffer=False) as file:
        for field in schema if columns is None else map(schema.field, columns):
            if field.name not in file.schema_arrow.names:
                raise ArtifactError(f"{path}: column {field.name!r} is missing; it has {file.schema_arrow.names}")
            kind = file.schema_arrow.field(field.name).type
            if kind != field.type:
                raise ArtifactError(f"{path}: column {field.name!r} is {kind}, expected {field.type}")
        yield file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What cannot be read of an artifact is an ArtifactError."""
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{path}: does not exist; make it with `snakemake {path}`") from None
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: is not readable Parquet ({error}); delete it and run again") from None


def _check_required(path: Path, schema: pa.Schema, data: pa.Table) -> None:
    for field in schema:
        if field.name in data.schema.names and not field.nullable and data.column(field.name).null_count:
            raise ArtifactError(f"{path}: column {field.name!r} has empty values but is required")


def read_rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """`read_parquet` as one dict per row."""
    return read_parquet(path, schema).to_pylist()


def read_artifact(path: Path | str) -> "pd.DataFrame":
    """Any Parquet artifact of a run as a frame, checked against the schema whose columns it has (docs/artifacts.md)."""
    path = Path(path)
    return read_parquet(path, schema_of(path)).to_pandas()


def schema_of(path: Path) -> pa.Schema:
    """The schema of the artifact that has the columns of this file, whatever their types."""
    with _opened(path, pa.schema([])) as file:
        columns = file.schema_arrow.names
    for schema in vars(schemas).values():
        if isinstance(schema, pa.Schema) and schema.names == columns:
            return schema
    raise ArtifactError(f"{path}: no artifact has the columns {columns}; docs/artifacts.md lists them")
