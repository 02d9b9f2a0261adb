"""Checkpoints of long trainings: complete or absent, resumed after any kill.

A checkpoint is written to a folder of its own; then the marker `current` names it, atomically. The one before it is
kept, for the case that a disk did not keep what it had confirmed. Every seed derives from the run's seed and the step,
so no random state need be kept.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts import ArtifactError, write_text
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
        # The name of the last checkpoint that was read or written.
        self.last: str | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder; ArtifactError names the job that holds it already. The lock of a dead job is free."""
        return held(self.folder / "lock")

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint; the last one stays beside it, should this one turn out to be damaged."""
        name = f"step-{checkpoint.step:06d}"
        # Older ones go first: never are there more than two.
        for older in self.folder.glob("step-*"):
            if older.name != self.last:
                shutil.rmtree(older)
        target = self.folder / name
        for role, weights in checkpoint.weights.items():
            save_weights(target / f"{role}.safetensors", weights)
        record = {
            "identity": self.identity,
            "step": checkpoint.step,
            "weights": sorted(checkpoint.weights),
            "record": checkpoint.record,
        }
        write_text(target / "record.json", json.dumps(record))
        write_text(self.folder / "current", name)
        self.last = name

    def load(self, intact: Callable[[dict[str, Any]], bool] = lambda record: True) -> Checkpoint | None:
        """The last good checkpoint of this training; None where there is none.

        That is the one which `current` names. Where it is damaged, or what lies beside it no longer fits its record
        (`intact` tells), the one before is taken, and the log says so.
        """
        marked = self._marked()
        names = [marked, *sorted((path.name for path in self.folder.glob("step-*")), reverse=True)]
        for name in dict.fromkeys(filter(None, names)):
            try:
                found = self._read(name)
            except FileNotFoundError:
                # Killed while it was written, or while it was removed.
                continue
            except (ArtifactError, OSError, ValueError, KeyError, TypeError) as error:
                log.warning("%s: is damaged and left out (%s)", self.folder / name, error)
                continue
            if found is None:
                log.info("%s holds another training", self.folder / name)
            elif not intact(found.record):
                log.warning("%s: files that belong to it are missing or damaged: left out", self.folder / name)
            else:
                log.info("resuming after step %d", found.step)
                if name != marked:
                    log.warning("%s was not to be had: this is the last good state", marked or "the marked checkpoint")
                self.last = name
                return found
        if names != [None]:
            log.info("%s: no checkpoint to resume from: starting afresh", self.folder)
        return None

    def _marked(self) -> str | None:
        try:
            return (self.folder / "current").read_text(encoding="utf-8", errors="replace") or None
        except FileNotFoundError:
            return None

    def _read(self, name: str) -> Checkpoint | None:
        """None where it is of another training."""
        target = self.folder / name
        found = json.loads((target / "record.json").read_text(encoding="utf-8"))
        if found["identity"] != self.identity:
            return None
        weights = {role: load_weights(target / f"{role}.safetensors") for role in found["weights"]}
        return Checkpoint(found["step"], found["record"], weights)

    def remove(self) -> None:
        """Drop the checkpoints of a finished training."""
        (self.folder / "current").unlink(missing_ok=True)
        for path in self.folder.glob("step-*"):
            shutil.rmtree(path)
