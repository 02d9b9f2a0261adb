"""Which jobs are due: those that were made by other settings, or from other inputs, than there are now.

What decides is the record that every finished job leaves (`records.py`), held against the settings and the digests of
the files on the disk. Snakemake decides by time stamps, so these are set to say the same: a copy, a clone or a touched
input makes nothing due, and a job of other settings has settings that are newer than its files.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts.records import Digests, Record, in_run, made_file, run_of, seen_file


@dataclass(frozen=True)
class JobFiles:
    """The files of a job as Snakemake names them."""

    settings: Path
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]

    @property
    def existing(self) -> list[Path]:
        """What Snakemake takes the age of the job from."""
        return [path for path in self.outputs if path.exists()]


@dataclass
class Marking:
    """What was found of a run's jobs.

    due: by settings files. edited: outputs that are not what their job wrote, though it is not due.
    """

    due: set[Path] = field(default_factory=set)
    edited: list[Path] = field(default_factory=list)
    digests: Digests = field(default_factory=Digests)


def mark(jobs: Iterable[JobFiles]) -> Marking:
    """Set the time stamps of the run's files so that Snakemake runs the jobs that are due, and no others.

    Jobs that follow from these are Snakemake's to find. Raises OSError if a time stamp cannot be set.
    """
    return _Marker(list(jobs)).mark()


class _Marker:
    def __init__(self, jobs: list[JobFiles]):
        self.jobs, self.found = jobs, Marking()
        self.digests, self.marked = self.found.digests, set[Path]()
        self.maker = {path: job for job in jobs for path in job.outputs}
        self.records = {job.settings: Record.read(made_file(job.settings)) for job in jobs}
        for job in jobs:
            self.digests.load(seen_file(job.settings), run_of(job.settings))

    def mark(self) -> Marking:
        for job in self.jobs:
            self._mark(job)
        return self.found

    def _mark(self, job: JobFiles) -> None:
        """After the jobs that made its inputs, whose time stamps may change."""
        if job.settings in self.marked:
            return
        self.marked.add(job.settings)
        for path in job.inputs:
            if path in self.maker:
                self._mark(self.maker[path])
        if not any(path.exists() for path in job.outputs):
            return
        if self._is_due(job):
            self.found.due.add(job.settings)
            _make_newer(job.settings, max(map(_time, job.existing)))
        else:
            newest = max((_time(path) for path in job.inputs if path.exists() and path != job.settings), default=0)
            for path in job.existing:
                if _time(path) < newest:
                    _set_time(path, newest)
            _set_time(job.settings, min(map(_time, job.existing)))
        run = run_of(job.settings)
        sources = [path for path in job.inputs if in_run(path, run) is None]
        self.digests.save(seen_file(job.settings), run, [*job.outputs, *sources])

    def _is_due(self, job: JobFiles) -> bool:
        record, run = self.records[job.settings], run_of(job.settings)
        made = {in_run(path, run) or path.as_posix(): path for path in job.outputs if path.exists()}
        if record is None or record.config != _settings(job) or not self._same_inputs(job, record):
            return True
        digests = {name: self.digests.of(path) for name, path in made.items()}
        # One that cannot be read, or that the job did not make then, is made again.
        if None in digests.values() or not digests.keys() <= record.outputs.keys():
            return True
        self.found.edited += [path for name, path in made.items() if digests[name] != record.outputs[name]]
        return False

    def _same_inputs(self, job: JobFiles, record: Record) -> bool:
        """Files of the run count by name and content, others by content alone."""
        run, of_run, sources = run_of(job.settings), {}, []
        for path in job.inputs:
            name = in_run(path, run)
            if name is None:
                sources.append(self.digests.of(path, source=True))
            elif path != job.settings:
                of_run[name] = self._digest(path, name)
        return of_run == record.inputs and sorted(map(str, sources)) == sorted(record.sources.values())

    def _digest(self, path: Path, name: str) -> str | None:
        """Of a file that is gone, what its job wrote: weights may be removed once they are evaluated."""
        if path.exists() or path not in self.maker:
            return self.digests.of(path)
        made = self.records[self.maker[path].settings]
        return made.outputs.get(name) if made else None


def _settings(job: JobFiles) -> Any:
    return json.loads(job.settings.read_text(encoding="utf-8"))


def _time(path: Path) -> int:
    """When a file changed last, as Snakemake sees it, in nanoseconds."""
    return max(_carrier(path).stat().st_mtime_ns, path.lstat().st_mtime_ns if path.is_symlink() else 0)


def _set_time(path: Path, time: int) -> None:
    if _time(path) != time:
        os.utime(_carrier(path), ns=(time, time))


def _make_newer(settings: Path, time: int) -> None:
    """Now, or after `time`, which may lie in the future."""
    os.utime(settings)
    if _time(settings) <= time:
        _set_time(settings, time + 10**9)


def _carrier(path: Path) -> Path:
    """The file that carries a folder's time for Snakemake, if it has made one."""
    mark = path / ".snakemake_timestamp"
    return mark if mark.exists() else path
