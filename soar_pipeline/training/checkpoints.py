"""Checkpoints of long trainings: complete or absent, resumed after any kill.

A checkpoint is written to a folder of its own; then the marker `current` names it, atomically; then older ones
are removed. Every seed derives from the run's seed and the step, so no random state need be kept.
"""

import hashlib
import json
import logging
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts import write_text
from soar_pipeline.models.policy import Weights, load_weights, save_weights
from soar_pipeline.training.lock import held

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands after `step` steps: a JSON record and named sets of weights."""

    step: int
    record: dict[str, Any]
    weights: dict[str, Weights]


class CheckpointFolder:
    """The checkpoints of one training, in a folder that outlives a failed job.

    `identity` says what the training is (config, inputs); a checkpoint of another training is not resumed.
    """

    def __init__(self, folder: Path, *identity: str):
        self.folder = folder
        self.identity = hashlib.sha256("\n".join(identity).encode()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder; ArtifactError names the job that holds it already. The lock of a dead job is free."""
        return held(self.folder / "lock")

    def save(self, checkpoint: Checkpoint) -> None:
        name = f"step-{checkpoint.step:06d}"
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        for role, weights in checkpoint.weights.items():
            save_weights(target / f"{role}.safetensors", weights)
        record = {"identity": self.identity, "step": checkpoint.step, "record": checkpoint.record}
        write_text(target / "record.json", json.dumps(record))
        write_text(self.folder / "current", name)
        for older in self.folder.glob("step-*"):
            if older.name != name:
                shutil.rmtree(older)

    def load(self) -> Checkpoint | None:
        """The last complete checkpoint; None where there is none, or it is of another training."""
        try:
            target = self.folder / (self.folder / "current").read_text(encoding="utf-8")
            found = json.loads((target / "record.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if found["identity"] != self.identity:
            log.info("%s holds another training: starting afresh", self.folder)
            return None
        weights = {path.stem: load_weights(path) for path in sorted(target.glob("*.safetensors"))}
        log.info("resuming after step %d", found["step"])
        return Checkpoint(found["step"], found["record"], weights)

    def remove(self) -> None:
        """Drop the checkpoints of a finished training."""
        (self.folder / "current").unlink(missing_ok=True)
        for path in self.folder.glob("step-*"):
            shutil.rmtree(path)
