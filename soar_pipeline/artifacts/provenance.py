"""How an artifact was made, and digests of what it was made from.

Columns that measure time (`MEASURED_COLUMNS`) differ between equal runs; digests leave them out, so two runs with the
same seeds have the same digests.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from soar_pipeline.artifacts.schemas import MEASURED_COLUMNS, ROWS_AT_ONCE

VERSIONED_PACKAGES = ("soar-pipeline", "torch", "transformers", "trl", "math-verify", "numpy")


PROVENANCE_KEY = b"soar_provenance"

# What a folder artifact consists of: weights, configuration and tokenizer of a model, attempts beside weights. Whatever
# else lies in it (Snakemake's mark, say) says nothing.
FOLDER_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.parquet")
# In these a trainer notes what only concerns its training; of a model that comes from elsewhere they count.
NOTED_BY_TRAINERS = ("config.json", "generation_config.json")


@dataclass(frozen=True)
class Provenance:
    """How a file was made. `inputs` are the digests of what it was made from, by path.

    `run` names the run that the file belongs to, as its columns do: a file without rows has no columns that could.
    `report` is what else the stage has to say about what it did (JSON).
    """

    stage: str
    config: dict[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    run: dict[str, str | int] = field(default_factory=dict)
    report: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; no clock, no host."""
        return {
            "stage": self.stage,
            "run": self.run,
            "config": self.config,
            "versions": package_versions(),
            "inputs": dict(self.inputs),
            "report": self.report or {},
        }

    def as_json(self) -> str:
        """Deterministic: sorted keys."""
        return json.dumps(self.as_dict(), sort_keys=True)


# To read them takes longer than to write a small file.
@cache
def package_versions() -> dict[str, str]:
    versions = {}
    for package in VERSIONED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance record in a file's metadata (empty if there is none)."""
    record = (pq.read_schema(path).metadata or {}).get(PROVENANCE_KEY)
    return json.loads(record) if record else {}


def read_run(path: Path) -> dict[str, Any]:
    """The run columns of a file, also of one without rows; empty if it belongs to no run."""
    return read_provenance(path).get("run", {})


def digest(path: Path) -> str:
    """sha256 of what a file or folder says: tables without measured columns, of a model its weights and tokenizer."""
    if path.is_dir():
        return _digest_of_folder(path, leave_out=NOTED_BY_TRAINERS)
    if path.suffix == ".parquet":
        with pq.ParquetFile(path, pre_buffer=False) as file:
            return _digest_of_rows(file)
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
        if not set(MEASURED_COLUMNS).isdisjoint(header):
            kept = [i for i, name in enumerate(header) if name not in MEASURED_COLUMNS]
            return hashlib.sha256(json.dumps([[row[i] for i in kept] for row in [header, *rows]]).encode()).hexdigest()
    return source_digest(path)


def source_digest(path: Path) -> str:
    """sha256 of what no stage wrote: of a file byte by byte, so it is not unpacked; of a model all its files."""
    if path.is_dir():
        return _digest_of_folder(path, leave_out=())
    sha = hashlib.sha256()
    _update(sha, path)
    return sha.hexdigest()


def _digest_of_folder(folder: Path, leave_out: Sequence[str]) -> str:
    sha = hashlib.sha256()
    for file in folder_files(folder):
        if file.name not in leave_out:
            sha.update(file.name.encode())
            if file.suffix == ".parquet":
                sha.update(digest(file).encode())
            else:
                _update(sha, file)
    return sha.hexdigest()


def folder_files(folder: Path) -> list[Path]:
    """The files that a folder artifact consists of, by name."""
    return sorted({file for pattern in FOLDER_FILES for file in folder.glob(pattern) if not file.name.startswith(".")})


def _digest_of_rows(file: pq.ParquetFile) -> str:
    sha = hashlib.sha256()
    kept = [name for name in file.schema_arrow.names if name not in MEASURED_COLUMNS]
    schema = pa.schema([file.schema_arrow.field(name).remove_metadata() for name in kept])
    with pa.ipc.new_stream(pa.PythonFile(_Hashed(sha), "w"), schema) as stream:
        # These batches are of equal size whatever the row groups.
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=kept):
            stream.write_batch(batch)
    return sha.hexdigest()


class _Hashed(io.RawIOBase):
    """A file to be written to, of which only the hash is kept."""

    def __init__(self, sha: "hashlib._Hash"):
        self.sha = sha

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        return len(data)


def _update(sha: "hashlib._Hash", file: Path) -> None:
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha.update(block)
