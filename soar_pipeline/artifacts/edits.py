"""A file of a run that somebody has edited, taken as it is."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from soar_pipeline.artifacts.atomic import atomic_path
from soar_pipeline.artifacts.files import ArtifactError, read_parquet, schema_of
from soar_pipeline.artifacts.provenance import PROVENANCE_KEY, digest, read_provenance
from soar_pipeline.artifacts.records import Record, run_of


def accept(path: Path) -> str:
    """Take an edited file of a run as what its job wrote; returns what to expect of it, as text.

    A Parquet file gets the types and the provenance of its kind back, which other programs drop. ArtifactError if no
    job of the run has made a file of this name, or if its columns are not those of its kind.
    """
    file, record = _record_of(path)
    name = path.absolute().relative_to(run_of(file).absolute()).as_posix()
    if digest(path) == record.outputs[name]:
        return f"{path}: is what its job wrote; there is nothing to accept"
    if path.suffix == ".parquet":
        _restore(path, record)
    before = record.accepted.get(name, record.outputs[name])
    changed = replace(
        record,
        outputs={**record.outputs, name: digest(path)},
        accepted={**record.accepted, name: before},
    )
    changed.write(file)
    return f"{path}: accepted; the next run makes anew what was made from it, and the report names it"


def _record_of(path: Path) -> tuple[Path, Record]:
    """The record of the job that made a file, the last one if there are several, and where it lies."""
    found = []
    for run in path.absolute().parents:
        for file in (run / "settings").glob("*/*.made.json"):
            record = Record.read(file)
            if record and path.absolute().relative_to(run).as_posix() in record.outputs:
                found.append((file.stat().st_mtime_ns, file, record))
    if not path.exists() or not found:
        raise ArtifactError(f"{path}: {'no job of a run has made this file' if path.exists() else 'does not exist'}")
    _, file, record = max(found, key=lambda entry: entry[0])
    return file, record


def _restore(path: Path, record: Record) -> None:
    """Write the file anew with its kind's types and with its provenance."""
    schema = schema_of(path)
    with pq.ParquetFile(path, pre_buffer=False) as file:
        data = file.read()
    try:
        data = data.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise ArtifactError(
            f"{path}: its columns have not the types of its kind ({error}); see docs/artifacts.md"
        ) from None
    made = read_provenance(path) or {**record.provenance, "inputs": record.inputs | record.sources}
    schema = schema.with_metadata({PROVENANCE_KEY: json.dumps({**made, "accepted": True}, sort_keys=True).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(data.cast(schema), temporary, compression="zstd")
    read_parquet(path, schema)
