"""Checkpoints of long trainings: complete or absent, resumed after any kill.

A checkpoint is written to a folder of its own; then the marker `current` names it, atomically. The one before it is
kept, for the case that a disk did not keep what it had confirmed. Every seed derives from the run's seed and the step,
so no random state need be kept.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.file_lock import LOCK, file_lock
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.policy.weights import Weights, load_weights, save_weights

log = logging.getLogger(__name__)

# Of what a checkpoint holds; a number of its own for each form that cannot be read as the one before it.
FORMAT = 3


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands after `step` steps: a JSON record and named sets of weights."""

    step: int
    record: dict[str, Any]
    weights: dict[str, Weights]


class OtherFormatError(ArtifactError):
    """A checkpoint that another version of this program wrote."""


class CheckpointFolder:
    """The checkpoints of one training, in a folder that outlives a failed job.

    `identity` says what the training is (config, inputs). A checkpoint of another training is not resumed: with all
    that belongs to it, it is moved to a folder beside this one, and back once that training is wanted again. One of
    another format is refused.
    """

    def __init__(self, folder: Path, *identity: str):
        self.folder = folder
        self.identity = hashlib.sha256("\n".join(identity).encode()).hexdigest()
        # The name of the last checkpoint that was read or written.
        self.last: str | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder, for this training; ArtifactError names the job that has locked it already.

        The lock of a dead job is free.
        """
        with file_lock(self.folder / LOCK):
            self._set_others_aside()
            yield

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
            "format": FORMAT,
            "identity": self.identity,
            "step": checkpoint.step,
            "weights": sorted(checkpoint.weights),
            "record": checkpoint.record,
        }
        write_text(target / "record.json", json.dumps(record))
        write_text(self.folder / "current", name)
        self.last = name

    def load(self, intact: Callable[[dict[str, Any]], bool] = lambda record: True) -> Checkpoint | None:
        """The last good checkpoint of this training; None if there is none.

        That is the one which `current` names. If it is damaged, or what lies beside it no longer fits its record
        (`intact` tells), it is the one before, and the log says so. Raises ArtifactError if an earlier or later version
        of this program wrote it.
        """
        marked = self._marked()
        names = [marked, *sorted((path.name for path in self.folder.glob("step-*")), reverse=True)]
        for name in dict.fromkeys(filter(None, names)):
            try:
                checkpoint = self._read(name)
            except FileNotFoundError:
                # Killed while it was written, or while it was removed.
                continue
            except OtherFormatError:
                raise
            except (ArtifactError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("%s is damaged and is skipped (%s)", self.folder / name, error)
                continue
            if not intact(checkpoint.record):
                log.warning("%s is skipped: files that belong to it are missing or damaged", self.folder / name)
            else:
                log.info("resuming after step %d", checkpoint.step)
                if name != marked:
                    log.warning("%s could not be read: this is the last good state", marked or "the marked checkpoint")
                self.last = name
                return checkpoint
        if names != [None]:
            log.info("%s: no checkpoint to resume from: starting afresh", self.folder)
        return None

    def _set_others_aside(self) -> None:
        """Move another training out, and this one's own in, if it was moved out before."""
        theirs = self._identity_there()
        if theirs not in (None, self.identity):
            place = self._aside(theirs)
            _move(self.folder, place)
            log.warning(
                "%s held another training, of other settings or inputs: it is moved to %s, and continued if these "
                "settings come back; remove that folder if they will not",
                self.folder,
                place,
            )
        mine = self._aside(self.identity)
        if theirs != self.identity and mine.exists():
            _move(mine, self.folder)
            mine.rmdir()
            log.info("%s: this training had been moved aside, and is back", mine)

    def _aside(self, identity: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}-{identity[:12]}")

    def _identity_there(self) -> str | None:
        """Of the training whose checkpoints are here; None if there are none that can be read."""
        for record in sorted(self.folder.glob("step-*/record.json"), reverse=True):
            try:
                saved = json.loads(record.read_text(encoding="utf-8"))
                if saved.get("format") == FORMAT:
                    return str(saved["identity"])
            except (OSError, ValueError, KeyError, AttributeError):
                continue
        return None

    def _marked(self) -> str | None:
        try:
            return (self.folder / "current").read_text(encoding="utf-8", errors="replace") or None
        except FileNotFoundError:
            return None

    def _read(self, name: str) -> Checkpoint:
        target = self.folder / name
        saved = json.loads((target / "record.json").read_text(encoding="utf-8"))
        # The first format had no number.
        if saved.get("format", 1) != FORMAT:
            raise OtherFormatError(
                f"{target}: another version of soar_pipeline began this training, and this version cannot continue it; "
                f"finish it with that version, or delete {self.folder} to start it again"
            )
        if saved["identity"] != self.identity:
            raise ValueError("it is of another training")
        weights = {role: load_weights(target / f"{role}.safetensors") for role in saved["weights"]}
        return Checkpoint(saved["step"], saved["record"], weights)

    def remove(self) -> None:
        """Drop the checkpoints of a finished training."""
        (self.folder / "current").unlink(missing_ok=True)
        for path in self.folder.glob("step-*"):
            shutil.rmtree(path)


def _move(folder: Path, target: Path) -> None:
    """Move what belongs to a training into another folder; checkpoints go last, so a killed move is found again."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir(), key=lambda path: (path.name.startswith("step-"), path.name)):
        if path.name != LOCK:
            path.replace(target / path.name)
