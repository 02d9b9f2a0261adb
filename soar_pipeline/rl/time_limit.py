"""A training ends by itself before its job is ended: with a checkpoint, one clear line, and a status that is not 0."""

import logging
import os
import signal
import threading
import time

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.rl.distributed import gather

log = logging.getLogger(__name__)

# For what a job does before its training starts counting and after it has stopped.
MARGIN_SECONDS = 300.0


class OutOfTimeError(ArtifactError):
    """A training that stopped in time; the same command goes on with it."""


class TimeLimit:
    """Says after each unit of a training (an outer step, say) whether there is time for another.

    There is none after a SIGTERM, which then lets the unit finish (a second one ends the process at once), nor if the
    job's time would run out within a unit as long as the longest so far, and a margin. Only Slurm ends a job when its
    time is over: elsewhere there is no limit.
    """

    def __init__(self, runtime_minutes: int):
        self.started = self.unit_started = time.monotonic()
        self.longest, self.terminated = 0.0, False
        self.seconds = _allowed_by_slurm(runtime_minutes)
        # Elsewhere (in a test, say) handlers cannot be set.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)

    def is_over(self) -> bool:
        """Whether the training must stop after the unit that has just ended; all its processes must ask, and agree."""
        now = time.monotonic()
        self.longest, self.unit_started = max(self.longest, now - self.unit_started), now
        left = self.seconds - (now - self.started) - MARGIN_SECONDS
        return any(gather([self.terminated or left < self.longest]))

    def stop(self, done: str) -> OutOfTimeError:
        """The error that ends a training whose checkpoint is written; done: how far it came."""
        why = "of a SIGTERM" if self.terminated else f"its job may run for {self.seconds / 3600:.2g} hours"
        return OutOfTimeError(f"stopped after {done}, because {why}: the same command goes on from there")

    def _terminate(self, *_: object) -> None:
        log.warning("SIGTERM: the training stops after the step that it is at, or at once after another SIGTERM")
        self.terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _allowed_by_slurm(runtime_minutes: int) -> float:
    if "SLURM_JOB_ID" not in os.environ:
        return float("inf")
    try:
        # The limit that the job has, which a profile may have set.
        return float(os.environ["SLURM_JOB_END_TIME"]) - float(os.environ["SLURM_JOB_START_TIME"])
    except (KeyError, ValueError):
        return runtime_minutes * 60.0
