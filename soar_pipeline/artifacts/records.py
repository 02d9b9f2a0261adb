"""What a finished job leaves beside its settings: how its files were made, and what they held.

`<run>/settings/<rule>/<job>.made.json` is the record; what it says, and what lies on the disk, decide whether a job is
due (`due_jobs.py`). `….seen.json` spares whoever asks again from reading large files a second time; it may be lost.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.provenance import Provenance, digest, folder_files, source_digest

# Of a file: size, time of the last change and inode; another file of equal size has another inode or time.
Stamp = list[list[Any]]


@dataclass(frozen=True)
class Record:
    """How a job was made. Paths of the run's files are relative to its folder, so the folder may be moved.

    config: the keys that decided the results. inputs, outputs: digests of the run's files by path. sources: digests of
    other files. accepted: outputs that somebody changed afterwards, on purpose, with the digest of what the job wrote.
    """

    provenance: dict[str, Any]
    inputs: dict[str, str]
    sources: dict[str, str]
    outputs: dict[str, str]
    accepted: dict[str, str]

    @property
    def config(self) -> dict[str, Any]:
        return self.provenance["config"]

    @classmethod
    def read(cls, file: Path) -> "Record | None":
        """None if there is none, or none that can be read."""
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            parts = {name: values.pop(name) for name in ("inputs", "sources", "outputs", "accepted")}
            values["config"]
            return cls(values, **parts)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, file: Path) -> None:
        parts = {name: getattr(self, name) for name in ("inputs", "sources", "outputs", "accepted")}
        write_text(file, json.dumps(self.provenance | parts, sort_keys=True, indent=1) + "\n")


def run_of(settings: Path) -> Path:
    """The folder of the run that a job's settings lie in."""
    return settings.parents[2]


def job_of(file: Path) -> tuple[str, str]:
    """The rule and the name of the job whose settings or record the file is."""
    return file.parent.name, file.name.split(".")[0]


def made_file(settings: Path) -> Path:
    """The record of the job that has these settings."""
    return _beside(settings, ".made.json")


def seen_file(settings: Path) -> Path:
    return _beside(settings, ".seen.json")


def _beside(settings: Path, suffix: str) -> Path:
    return settings.with_name(job_of(settings)[1] + suffix)


def in_run(path: Path, run: Path) -> str | None:
    """The name of a file within the run's folder; None if it lies elsewhere."""
    return path.relative_to(run).as_posix() if path.is_relative_to(run) else None


def record_job(settings: Path, provenance: Provenance, outputs: Iterable[Path]) -> None:
    """Say that a job is finished, once its outputs are in place."""
    run, seen = run_of(settings), Digests()
    named = {path: in_run(Path(path), run) for path in provenance.inputs}
    written = {path: seen.of(path) for path in outputs}
    Record(
        {name: value for name, value in provenance.as_dict().items() if name != "inputs"},
        inputs={name: provenance.inputs[path] for path, name in named.items() if name},
        sources={path: provenance.inputs[path] for path, name in named.items() if not name},
        outputs={in_run(path, run) or path.as_posix(): value for path, value in written.items() if value},
        accepted={},
    ).write(made_file(settings))
    seen.save(seen_file(settings), run, list(written))


class Digests:
    """Digests of files, each read once; `load` and `save` keep them from one process to the next."""

    def __init__(self) -> None:
        self._of: dict[Path, str | None] = {}
        self._kept: dict[Path, tuple[Stamp, str]] = {}

    def of(self, path: Path, *, source: bool = False) -> str | None:
        """None if the file is not there or is damaged. source: no stage of the run wrote it."""
        if path not in self._of:
            stamp = _stamp(path)
            kept = self._kept.get(path)
            if kept and kept[0] == stamp:
                self._of[path] = kept[1]
            else:
                self._of[path] = None if stamp is None else _digest(path, source)
        return self._of[path]

    def load(self, file: Path, run: Path) -> None:
        """What was kept of a run's files; a damaged file keeps nothing."""
        try:
            for name, (stamp, value) in json.loads(file.read_text(encoding="utf-8")).items():
                self._kept[run / name] = (stamp, value)
        except (OSError, ValueError, TypeError, AttributeError):
            return

    def save(self, file: Path, run: Path, paths: Iterable[Path]) -> None:
        """Keep the digests of some files, as they are on the disk now."""
        kept: dict[Path, tuple[Stamp, str]] = {}
        for path in paths:
            value, stamp = self._of.get(path), _stamp(path)
            if value is not None and stamp is not None:
                kept[path] = (stamp, value)
        if any(self._kept.get(path) != entry for path, entry in kept.items()):
            self._kept |= kept
            text = json.dumps({_name(path, run): list(entry) for path, entry in kept.items()}) + "\n"
            # It only saves time: somebody else's results may be looked at, and a disk may be full.
            with suppress(OSError):
                write_text(file, text)


def _name(path: Path, run: Path) -> str:
    # `run / name` of an absolute path is that path.
    return in_run(path, run) or path.absolute().as_posix()


def _digest(path: Path, source: bool) -> str | None:
    try:
        return source_digest(path) if source else digest(path)
    except (OSError, ValueError, pa.ArrowException):
        return None


def _stamp(path: Path) -> Stamp | None:
    """None if there is no such file."""
    files = folder_files(path) if path.is_dir() else [path]
    try:
        stats = [(file.name, file.stat()) for file in files]
    except OSError:
        return None
    return [[name, stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, stat in stats]
