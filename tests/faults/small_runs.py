"""A small training to be disturbed, and ways to disturb it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from soar_pipeline.artifacts import digest
from soar_pipeline.slices import FreshStudentSlice
from soar_pipeline.stages.command import run_stage
from soar_pipeline.stages.train_fresh_student import train_fresh_student

ARTIFACTS = ("curve.parquet", "attempts.parquet", "model")


@dataclass(frozen=True)
class StudentRun:
    """The training of one fresh student in a folder: 4 steps, evaluated and saved after 2 and 4."""

    config: FreshStudentSlice
    base_model: Path
    schedule: Path
    test: Path
    folder: Path

    @property
    def options(self) -> dict[str, Any]:
        files = {name: self.folder / f"{name}.parquet" for name in ("curve", "attempts")}
        return {
            "base_model": self.base_model,
            "schedule": self.schedule,
            "test": self.test,
            "teacher_seed": 0,
            "student_seed": 1,
            "sharding": "none",
            "report_to": "none",
            "state": self.state,
            **files,
            "model": self.folder / "model",
        }

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self) -> "StudentRun":
        """In this process."""
        train_fresh_student(self.config, **self.options)
        return self

    def command(self) -> list[str]:
        """As Snakemake starts it."""
        command = [sys.executable, "-m", "soar_pipeline.stages.train_fresh_student"]
        command += ["--config", self.config.model_dump_json(), "--log", str(self.folder / "log")]
        for name, value in self.options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        return command

    def status(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """Exit status of the command line, run in this process: imports take longer than the training."""
        return status_of(train_fresh_student, self.command()[3:], monkeypatch)

    def digests(self) -> dict[str, str]:
        return {name: digest(self.folder / name) for name in ARTIFACTS}

    def at(self, folder: Path) -> "StudentRun":
        return replace(self, folder=folder)

    def with_generation(self, **changes: Any) -> "StudentRun":
        generation = self.config.sampling.generation.model_copy(update=changes)
        sampling = self.config.sampling.model_copy(update={"generation": generation})
        return replace(self, config=self.config.model_copy(update={"sampling": sampling}))

    def with_student(self, **changes: Any) -> "StudentRun":
        student = self.config.student.model_copy(update=changes)
        return replace(self, config=self.config.model_copy(update={"student": student}))


def status_of(function: Callable[..., None], arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit status of a stage's command line, run in this process; what it says is logged."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", *arguments])
        try:
            run_stage(function)
        except SystemExit as end:
            return end.code
    return 0


class Interrupted(Exception):
    """A training that was made to stop."""


@contextmanager
def stopped_before(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Iterator[None]:
    """The training stops where it would call `name` of the module, as a kill there would stop it."""

    def stop(*_: Any, **__: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(module, name, stop)
        yield


@contextmanager
def small_disk(folder: Path, size: str, *options: str) -> Iterator[None]:
    """A file system of its own at `folder`; the test is skipped where it cannot be mounted."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system (root in a container that may)")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
