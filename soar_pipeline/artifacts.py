"""Every Parquet artifact: its schema, its atomic write, its provenance, and refusal of anything else.

A file appears under its name only when it is complete (written beside, synced, renamed). Its metadata says how
it was made: stage, that stage's slice of the config, seed, package versions and digests of the inputs. Columns
that measure time (`MEASURED_COLUMNS`) differ between equal runs; digests leave them out, so two runs with the
same seeds have the same digests.
"""

import errno
import fcntl
import glob
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

VERDICTS = ("right", "wrong", "no_box", "timeout")
PHASES = ("synthetic", "real", "mixed")
MEASURED_COLUMNS = ("seconds",)
# Files are written, and taken digests of, so many rows at a time: attempts of a large pool do not fit in memory.
ROWS_AT_ONCE = 8192
VERSIONED_PACKAGES = ("soar-pipeline", "torch", "transformers", "trl", "math-verify", "numpy")
# Errors of a file that cannot grow.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROVENANCE_KEY = b"soar_provenance"


class ArtifactError(ValueError):
    """A file that is not the artifact it should be; the message names it and says what to do."""


def _schema(**columns: pa.DataType | pa.Field) -> pa.Schema:
    """Columns are required unless given as `optional(type)`."""
    fields = []
    for name, column in columns.items():
        if isinstance(column, pa.Field):
            fields.append(column.with_name(name))
        else:
            fields.append(pa.field(name, column, nullable=False))
    return pa.schema(fields)


def optional(data_type: pa.DataType) -> pa.Field:
    return pa.field("", data_type, nullable=True)


TEXT, INTEGER, REAL, FLAG = pa.string(), pa.int32(), pa.float64(), pa.bool_()

PROBLEMS = _schema(
    problem_id=TEXT, dataset=TEXT, question=TEXT, answer=TEXT, subject=optional(TEXT), level=optional(TEXT)
)
ATTEMPTS = _schema(
    problem_id=TEXT,
    sample=INTEGER,
    completion=TEXT,
    extracted_answer=optional(TEXT),
    verdict=TEXT,
    tokens=INTEGER,
    truncated=FLAG,
)
# Attempts of one policy on test; `step` is the student's training step (0 for policies that are not trained).
EVALUATION = pa.schema([pa.field("step", INTEGER, nullable=False), *ATTEMPTS])
# Survivors of the filter, and their halves.
HARD = pa.schema([*PROBLEMS, pa.field("attempts_drawn", INTEGER, nullable=False)])
# `outer_step` is 0 for questions that were sampled after training.
QUESTIONS = _schema(
    question_id=TEXT,
    outer_step=INTEGER,
    dataset_index=INTEGER,
    question=TEXT,
    answer=TEXT,
    completion=TEXT,
    dataset_reward=optional(REAL),
    rejected_before=INTEGER,
)
STUDENTS = _schema(
    outer_step=INTEGER,
    dataset_index=INTEGER,
    repeat=INTEGER,
    baseline_accuracy=REAL,
    trained_accuracy=REAL,
    reward=REAL,
    seconds=REAL,
    tokens=pa.int64(),
)
STEPS = _schema(
    outer_step=INTEGER,
    mean_reward=REAL,
    moving_average=optional(REAL),
    promoted=FLAG,
    stage=INTEGER,
    baseline_train_accuracy=REAL,
    acceptance_rate=REAL,
    diversity=REAL,
    signal=FLAG,
    kl=optional(REAL),
    seconds=REAL,
)
PROMOTIONS = _schema(
    outer_step=INTEGER,
    dataset_index=INTEGER,
    repeat=INTEGER,
    dataset_reward=REAL,
    student_reward=REAL,
    stage=INTEGER,
    train_accuracy=REAL,
)
SCHEDULE = _schema(step=INTEGER, position=INTEGER, phase=TEXT, question_id=TEXT, question=TEXT, answer=TEXT)
# Every question that SeRL rolled out. kept: its majority's share was within bounds; trained: it was in the update.
SERL_QUESTIONS = _schema(
    question_id=TEXT,
    step=INTEGER,
    rollout=INTEGER,
    question=TEXT,
    majority_answer=optional(TEXT),
    agreement=REAL,
    kept=FLAG,
    trained=FLAG,
)
# pass@k columns are null between evaluations; which k exist depends on evaluation.samples.
CURVE = _schema(
    step=INTEGER,
    phase=optional(TEXT),
    train_reward=optional(REAL),
    kl=optional(REAL),
    no_signal_share=optional(REAL),
    pass_at_1=optional(REAL),
    pass_at_4=optional(REAL),
    pass_at_8=optional(REAL),
    pass_at_16=optional(REAL),
    pass_at_32=optional(REAL),
    seconds=REAL,
)
PASSK = _schema(dataset=TEXT, arm=TEXT, teacher_seed=INTEGER, student_seed=INTEGER, k=INTEGER, value=REAL)
DIVERSITY = _schema(
    dataset=TEXT,
    arm=TEXT,
    teacher_seed=INTEGER,
    questions=INTEGER,
    subsample=INTEGER,
    vendi_mean=optional(REAL),
    vendi_sd=optional(REAL),
)
# Of a question without a verdict, `reason` says why; tokens are empty where the judge does not count them.
TAXONOMY = _schema(
    dataset=TEXT,
    arm=TEXT,
    teacher_seed=INTEGER,
    question_id=TEXT,
    question=TEXT,
    answer=TEXT,
    well_posed=optional(FLAG),
    correct=optional(FLAG),
    error_type=optional(TEXT),
    correct_answer=optional(TEXT),
    attempts=INTEGER,
    reason=optional(TEXT),
    prompt_tokens=optional(pa.int64()),
    completion_tokens=optional(pa.int64()),
)


@dataclass(frozen=True)
class Provenance:
    """How a file was made. `inputs` are paths; their digests are taken when the file is written.

    `report` is what else the stage has to say about what it did (JSON).
    """

    stage: str
    config: dict[str, Any]
    seed: int | None = None
    inputs: tuple[Path, ...] = ()
    report: dict[str, Any] | None = None

    def as_json(self) -> str:
        """Deterministic: sorted keys, no clock, no host."""
        record = {
            "stage": self.stage,
            "config": self.config,
            "seed": self.seed,
            "versions": package_versions(),
            "inputs": {path.name: digest(path) for path in self.inputs},
            "report": self.report or {},
        }
        return json.dumps(record, sort_keys=True)


def package_versions() -> dict[str, str]:
    versions = {}
    for package in VERSIONED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def table(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of exactly this schema; ArtifactError names a column that does not fit."""
    rows = list(rows)
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


def write_parquet(path: Path, data: pa.Table, provenance: Provenance) -> None:
    """Write atomically, with the provenance in the file's metadata."""
    write_parts(path, data.schema, [data], provenance)


def write_parts(path: Path, schema: pa.Schema, parts: Iterable[pa.Table], provenance: Provenance) -> None:
    """`write_parquet` of what comes in parts, as they come: memory holds one row group."""
    schema = schema.with_metadata({_PROVENANCE_KEY: provenance.as_json().encode()})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in _row_groups(parts):
            writer.write_table(group.cast(schema), ROWS_AT_ONCE)


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

    Only `columns` are read and checked, where they are given.
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


@contextmanager
def _opened(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> Iterator[pq.ParquetFile]:
    """The file, whose columns have the names and types of the schema; what cannot be read of it is an ArtifactError."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for field in schema if columns is None else map(schema.field, columns):
                if field.name not in file.schema_arrow.names:
                    raise ArtifactError(f"{path}: column {field.name!r} is missing; it has {file.schema_arrow.names}")
                found = file.schema_arrow.field(field.name).type
                if found != field.type:
                    raise ArtifactError(f"{path}: column {field.name!r} is {found}, expected {field.type}")
            yield file
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


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance record in a file's metadata (empty where there is none)."""
    found = (pq.read_schema(path).metadata or {}).get(_PROVENANCE_KEY)
    return json.loads(found) if found else {}


def digest(path: Path) -> str:
    """sha256 of what a file or model folder says: Parquet without measured columns, weights of a folder."""
    sha = hashlib.sha256()
    if path.is_dir():
        for file in sorted(path.glob("*.safetensors")):
            sha.update(file.name.encode())
            _update(sha, file)
    elif path.suffix == ".parquet":
        with pq.ParquetFile(path, pre_buffer=False) as file:
            kept = [name for name in file.schema_arrow.names if name not in MEASURED_COLUMNS]
            schema = pa.schema([file.schema_arrow.field(name).remove_metadata() for name in kept])
            with pa.ipc.new_stream(pa.PythonFile(_Hashed(sha), "w"), schema) as stream:
                # These batches are of equal size whatever the row groups.
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=kept):
                    stream.write_batch(batch)
    else:
        _update(sha, path)
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


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; on success it is synced and renamed, on failure removed."""
    with unfinished(path, _new_file) as temporary:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes private files; artifacts follow the umask like any other output.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        sync_folder(path.parent)


@contextmanager
def unfinished(path: Path, make: Callable[[Path], Path]) -> Iterator[Path]:
    """What `make` makes beside `path`, a file or a folder; removed in the end unless it was renamed.

    It is held by a lock as long as this process lives. What killed processes left beside `path` is held by nobody, and
    removed first; what living ones are writing stays. An OSError that names no file gets the name of `path`, as does
    one of a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        _remove_unless_held(left)
    while True:
        temporary = make(path)
        descriptor = os.open(temporary, os.O_RDONLY if temporary.is_dir() else os.O_RDWR)
        if _hold(descriptor) and temporary.exists():
            break
        # Taken for a leftover in the moment before it was held.
        os.close(descriptor)
    try:
        yield temporary
    except OSError as error:
        # Of a full disk some do not say where, and others name the temporary file or the one they copied from.
        if error.filename is None or error.errno in NO_ROOM:
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)
        os.close(descriptor)


def put_in_place(folder: Path, target: Path) -> None:
    """Rename a finished folder to `target`, in place of what is there, once its files are on the disk."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(folder)
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)
    sync_folder(target.parent)


def new_folder(path: Path) -> Path:
    """A new private folder beside `path`, for `unfinished`."""
    return Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))


def _new_file(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    return Path(name)


def _hold(descriptor: int) -> bool:
    """Whether nobody else holds it; a file system without locks holds nothing, and nothing is taken for a leftover."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _remove_unless_held(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
