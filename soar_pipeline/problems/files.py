"""Files of problems: JSONL, zipped JSONL, a JSON list, Parquet; their checks against what is expected of them."""

import hashlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from soar_pipeline.artifacts.files import ArtifactError

# A row as it stands in the source, and its number from 1 (the line of a JSONL file).
NumberedRow = tuple[int, dict[str, Any]]

MIB = 2**20
# Rows of a Parquet file that are unpacked at once.
PARQUET_BATCH = 64
# What a row takes at least, once it is read.
ROW_BYTES = 64
# What a packed file may grow to, in bytes, and by which factor beyond its first MiB (text shrinks about tenfold).
UNPACKED_LIMIT = 1024 * MIB
UNPACKED_RATIO = 100
# What reading a damaged, encrypted or unknown archive raises.
_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)


def file_rows(path: Path, sha256: str | None = None) -> list[NumberedRow]:
    """The rows of a `.jsonl`, `.zip` (one JSONL in it), `.json` (a list) or `.parquet` file. Blank lines are skipped.

    Raises ArtifactError if it cannot be read, or is not the file of this SHA-256.
    """
    readers = {".jsonl": _jsonl_rows, ".zip": _zip_rows, ".json": _json_rows, ".parquet": _parquet_rows}
    if path.suffix not in readers:
        raise ArtifactError(
            f"{path}: the name must end in .jsonl (one JSON object a line), .zip (one .jsonl in it), .json (a list of "
            "objects) or .parquet"
        )
    try:
        if sha256 is not None:
            _check_digest(path, sha256)
        return list(readers[path.suffix](path))
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error.strerror or error}); check `path` of the data set"
        ) from None


def _check_digest(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected.lower():
        raise ArtifactError(
            f"{path}: its SHA-256 is {actual}, but `sha256` of the data set is {expected}; get the file again or "
            "correct `sha256`"
        )


def _jsonl_rows(path: Path) -> Iterator[NumberedRow]:
    with path.open("rb") as lines:
        yield from _lines_as_rows(path, lines)


def _zip_rows(path: Path) -> Iterator[NumberedRow]:
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_member(path, archive)
            with archive.open(member) as unpacked:
                yield from _lines_as_rows(path, _bounded(path, unpacked))
    except _BAD_ZIP as error:
        raise ArtifactError(f"{path}: is not a readable ZIP archive ({error}); get the file again") from None


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [
        # macOS adds its own notes on each file.
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1 or not members[0].filename.endswith(".jsonl"):
        first = f" (the first is {members[0].filename[:80]!r})" if members else ""
        raise ArtifactError(
            f"{path}: holds {len(members)} files{first}, expected one .jsonl; unpack it and give the .jsonl as `path`"
        )
    return members[0]


def _bounded(path: Path, unpacked: zipfile.ZipExtFile) -> Iterator[bytes]:
    """The lines, up to the limits above."""
    limit, read = _unpacked_limit(path), 0
    while line := unpacked.readline(limit - read + 1):
        read += len(line)
        if read > limit:
            raise _too_large(path, limit)
        yield line


def _lines_as_rows(path: Path, lines: Iterable[bytes]) -> Iterator[NumberedRow]:
    # Bytes end in \n only: a JSON string may hold other line separators, such as U+2028.
    for number, line in enumerate(lines, start=1):
        text = _decoded(f"{path}: row {number}", line, "utf-8-sig" if number == 1 else "utf-8")
        if text.strip():
            yield number, _as_object(path, number, _parsed(f"{path}: row {number}", text, "correct or drop the line"))


def _json_rows(path: Path) -> Iterator[NumberedRow]:
    advice = "correct the file, or name it .jsonl if it holds one object a line"
    values = _parsed(str(path), _decoded(str(path), path.read_bytes(), "utf-8-sig"), advice)
    if not isinstance(values, list):
        raise ArtifactError(f"{path}: is {type(values).__name__}, not a list; write a list of objects, or .jsonl")
    for number, value in enumerate(values, start=1):
        yield number, _as_object(path, number, value)


def _decoded(where: str, text: bytes, encoding: str) -> str:
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{where}: is not UTF-8 text ({error.reason} at byte {error.start}); convert it") from None


def _parsed(where: str, text: str, advice: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{where}: is not JSON ({error}); {advice}") from None


def _as_object(path: Path, number: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArtifactError(
            f"{path}: row {number}: is {type(value).__name__}, not a JSON object; write one for each row"
        )
    return value


def _parquet_rows(path: Path) -> Iterator[NumberedRow]:
    """In small batches: a page of a few bytes may stand for millions of equal long texts."""
    limit, read, number = _unpacked_limit(path), 0, 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                # A row of nulls takes no bytes here, and becomes an object all the same.
                read += batch.nbytes + ROW_BYTES * batch.num_rows
                if read > limit:
                    raise _too_large(path, limit)
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pa.ArrowException as error:
        raise ArtifactError(f"{path}: is not readable Parquet ({error})") from None


def _unpacked_limit(path: Path) -> int:
    """Bytes; sizes that a packed file states of itself are not trusted."""
    return min(UNPACKED_LIMIT, max(MIB, UNPACKED_RATIO * path.stat().st_size))


def _too_large(path: Path, limit: int) -> ArtifactError:
    return ArtifactError(
        f"{path}: unpacks to more than {limit:,} bytes (at most {UNPACKED_LIMIT:,}, and {UNPACKED_RATIO} times its own "
        "size); if that is right, unpack it and give it as .jsonl"
    )
