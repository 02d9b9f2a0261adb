"""The state of a SOAR run on disk: complete after every outer step, resumed after any kill.

A step's state is written to a folder of its own; then the marker `current` names it, atomically; then older
folders are removed. Every seed derives from the run's seed and the step, so no random state need be kept.
"""

import fcntl
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts import ArtifactError, write_text
from soar_pipeline.models.policy import Weights, load_weights, save_weights

log = logging.getLogger(__name__)


@dataclass
class Progression:
    """Everything small: what has been recorded, and where the run stands after `step` outer steps."""

    step: int = 0
    stage: int = 0
    window: list[float] = field(default_factory=list)
    baseline_train_accuracy: float = 0.0
    best_train_accuracy: float = 0.0
    steps: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    students: list[dict[str, Any]] = field(default_factory=list)
    promotions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class RunState:
    """A progression with the weights that belong to it; `best` is the baseline with the best train accuracy."""

    progression: Progression
    teacher: Weights
    moments: Weights
    baseline: Weights
    best: Weights


WEIGHTS = ("teacher", "moments", "baseline", "best")


class StateFolder:
    """Saves and loads :class:`RunState` in a folder that outlives a failed job."""

    def __init__(self, folder: Path, fingerprint: str):
        self.folder, self.fingerprint = folder, fingerprint
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; ArtifactError naming the other job where one holds it. A dead job's lock is free by itself."""
        path = self.folder / "lock"
        with path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise ArtifactError(
                    f"{self.folder}: another job is writing this run ({file.read().strip()}); wait for it or stop it"
                ) from None
            file.truncate(0)
            job = os.environ.get("SLURM_JOB_ID", "none")
            file.write(f"host {socket.gethostname()}, process {os.getpid()}, SLURM job {job}\n")
            file.flush()
            yield

    def save(self, state: RunState) -> None:
        name = f"step-{state.progression.step:06d}"
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        for weights in WEIGHTS:
            save_weights(target / f"{weights}.safetensors", getattr(state, weights))
        record = {"fingerprint": self.fingerprint, "progression": asdict(state.progression)}
        write_text(target / "progression.json", json.dumps(record))
        write_text(self.folder / "current", name)
        for older in self.folder.glob("step-*"):
            if older.name != name:
                shutil.rmtree(older)

    def load(self) -> RunState | None:
        """The last complete state; None where there is none or it belongs to another configuration."""
        try:
            target = self.folder / (self.folder / "current").read_text(encoding="utf-8")
            record = json.loads((target / "progression.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if record["fingerprint"] != self.fingerprint:
            log.info("%s belongs to another configuration: starting afresh", self.folder)
            return None
        weights = {name: load_weights(target / f"{name}.safetensors") for name in WEIGHTS}
        return RunState(progression=Progression(**record["progression"]), **weights)

    def remove(self) -> None:
        """Drop the weights of a finished run; its results are in the artifacts."""
        for path in (*self.folder.glob("step-*"), self.folder / "students"):
            shutil.rmtree(path, ignore_errors=True)
        (self.folder / "current").unlink(missing_ok=True)
