"""What every long computation needs: a set-up process, seeds by purpose, progress with an ETA, trackers of metrics."""

import gc
import hashlib
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from soar_pipeline.config import ConfigError

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


def set_up_process() -> None:
    """What a process that runs a job sets for itself: its threads, and what its garbage collections leave out.

    Without OMP_NUM_THREADS, which Snakemake sets to a rule's threads, this process and those it starts have one thread:
    on two cores, two contending thread pools were seen to be 40 times slower than one thread each.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        # A torch that is imported by now has read the variable before.
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)
    # Accelerate collects garbage with every training; the modules that are imported by now never are garbage.
    gc.freeze()


def derive(seed: int, *purpose: str | int) -> int:
    """A 31-bit seed that depends only on its arguments, not on the order in which work is done."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF


LINE_EVERY_SECONDS = 10.0

log = logging.getLogger(__name__)


class Progress:
    """Counts `total` units of work; `advance` takes figures to print beside the count."""

    def __init__(self, name: str, total: int, done: int = 0):
        self.name, self.total, self.done = name, total, done
        self.started, self.first, self.last_line = time.monotonic(), done, 0.0
        # Of several processes that train together, one has a bar: the others log warnings only.
        visible = sys.stderr.isatty() and log.isEnabledFor(logging.INFO)
        self.bar = tqdm(desc=name, total=total, initial=done) if visible else None

    def advance(self, units: int = 1, **figures: float | str | None) -> None:
        self.done += units
        texts = {
            name: value if isinstance(value, str) else f"{value:.4g}"
            for name, value in figures.items()
            if value is not None
        }
        if self.bar is not None:
            self.bar.set_postfix(texts, refresh=False)
            self.bar.update(units)
            if self.done >= self.total:
                self.bar.close()
        now = time.monotonic()
        if self.done < self.total and now - self.last_line < LINE_EVERY_SECONDS:
            return
        self.last_line = now
        elapsed = now - self.started
        left = elapsed / max(1, self.done - self.first) * max(0, self.total - self.done)
        details = "".join(f" {name}={value}" for name, value in texts.items())
        log.info("%s: %d/%d, %.0f s, about %.0f s left%s", self.name, self.done, self.total, elapsed, left, details)


class Tracker:
    """Sends the numbers of a step to each tracker in `report_to`, which may be empty."""

    def __init__(self, report_to: Sequence[str], name: str, folder: Path):
        self.trackers: list[GeneralTracker] = []
        for kind in report_to:
            try:
                self.trackers.append(_started(kind, name, folder))
            except ImportError as error:
                raise ConfigError(
                    f"tracking.report_to: {kind} is not installed ({error}); install it, or set none"
                ) from None

    def log(self, step: int, figures: dict[str, Any]) -> None:
        numbers = {key: float(value) for key, value in figures.items() if isinstance(value, (int, float))}
        for tracker in self.trackers:
            tracker.log(numbers, step=step)

    def finish(self) -> None:
        for tracker in self.trackers:
            tracker.finish()


def _started(kind: str, name: str, folder: Path) -> "GeneralTracker":
    # Accelerate imports torch, which takes seconds, and most stages have no tracker.
    from accelerate.tracking import TensorBoardTracker, TrackioTracker, WandBTracker

    if kind == "tensorboard":
        tracker = TensorBoardTracker(name, logging_dir=folder)
    else:
        tracker = WandBTracker("soar") if kind == "wandb" else TrackioTracker("soar")
    tracker.start()
    return tracker
