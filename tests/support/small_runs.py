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
from stage_commands import command, settings_beside

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.provenance import digest
from soar_pipeline.artifacts.schemas import CURVE, EVALUATION
from soar_pipeline.config import Config, Settings, plan
from soar_pipeline.stages.command import call_stage, run_stage
from soar_pipeline.stages.evaluate_student import evaluate_student
from soar_pipeline.stages.train_fresh_student import train_fresh_student

ARTIFACTS = ("training.parquet", "evaluated", "model")


RUN = plan.StudentRun("shuffles", "hard_only", 0, 1)


@dataclass(frozen=True)
class StudentRun:
    """The training of one fresh student in a folder: 4 steps, evaluated and saved after 2 and 4."""

    config: Config
    base_model: Path
    schedule: Path
    test: Path
    folder: Path

    @property
    def files(self) -> dict[str, Path]:
        inputs = {"base_model": self.base_model, "schedule": self.schedule, "test": self.test, "solutions": []}
        outputs = {"training": self.folder / "training.parquet"}
        return {**inputs, **outputs, **{name: self.folder / name for name in ("evaluated", "model")}}

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self) -> "StudentRun":
        """In this process."""
        call_stage(train_fresh_student, Settings.of(self.config, "train_fresh_student", RUN), RUN, **self.files)
        return self

    def evaluated(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The stage that evaluates it, in this process: rows of the learning curve, and the attempts on test."""
        made = {name: self.folder / f"{name}.parquet" for name in ("curve", "attempts")}
        given = {name: self.files[name] for name in ("base_model", "test", "training", "evaluated")}
        call_stage(evaluate_student, Settings.of(self.config, "evaluate_student", RUN), RUN, **given, **made)
        return read_rows(made["curve"], CURVE), read_rows(made["attempts"], EVALUATION)

    def command(self) -> list[str]:
        """As Snakemake starts it."""
        words = command(settings_beside(self.folder), self.config, "train_fresh_student", RUN, **self.files)
        return [*words, "--log", str(self.folder / "log")]

    def status(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """Exit status of the command line, run in this process: imports take longer than the training."""
        return status_of(train_fresh_student, self.command()[3:], monkeypatch)

    def digests(self) -> dict[str, str]:
        return {name: digest(self.folder / name) for name in ARTIFACTS}

    def at(self, folder: Path) -> "StudentRun":
        return replace(self, folder=folder)

    def with_generation(self, **changes: Any) -> "StudentRun":
        return self._with("generation", changes)

    def with_student(self, **changes: Any) -> "StudentRun":
        return self._with("student", changes)

    def with_evaluation(self, **changes: Any) -> "StudentRun":
        return self._with("evaluation", changes)

    def with_fresh_student(self, **changes: Any) -> "StudentRun":
        return self._with("fresh_student", changes)

    def _with(self, section: str, changes: dict[str, Any]) -> "StudentRun":
        changed = getattr(self.config, section).model_copy(update=changes)
        return replace(self, config=self.config.model_copy(update={section: changed}))


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
