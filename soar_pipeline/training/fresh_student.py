"""A fresh student: standard RLOO along a schedule, evaluated on test on the way (spec section 6)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.models.policy import Weights, copy_weights, set_weights
from soar_pipeline.progress import Progress
from soar_pipeline.seeds import derive
from soar_pipeline.training.checkpoints import Checkpoint, CheckpointFolder
from soar_pipeline.training.processes import gathered, processes
from soar_pipeline.training.schedules import ScheduledQuestion
from soar_pipeline.training.student import StepMetrics, StudentTrainer

CurveRow = dict[str, Any]


@dataclass
class FreshStudent:
    """Trains in segments of `evaluate_every` steps, with a checkpoint after each; in every process of the job.

    `evaluate(step)` measures the student's current weights and returns the curve's pass@k columns; `intact(curve)`
    tells whether what it wrote for a curve is still there. Every segment has a seed of its own, so a resumed training
    is the uninterrupted one.
    """

    trainer: StudentTrainer
    base: Weights
    schedule: list[ScheduledQuestion]
    evaluate_every: int
    evaluate: Callable[[int], dict[str, float]]
    intact: Callable[[list[CurveRow]], bool]
    folder: CheckpointFolder
    seed: int
    after_step: Callable[[StepMetrics], None]

    def train(self) -> list[CurveRow]:
        """The learning curve, one row per step; the policy ends as the trained student."""
        checkpoint = self._checkpoint()
        curve: list[CurveRow] = checkpoint.record["curve"] if checkpoint else []
        weights = checkpoint.weights["student"] if checkpoint else self.base
        moments = checkpoint.weights["moments"] if checkpoint else {}
        total = self.schedule[-1].step
        progress = Progress("student steps", total, done=len(curve))
        for segment in self._segments(after=len(curve)):
            started = time.monotonic()
            first, last = segment[0].step, segment[-1].step
            metrics = self.trainer.train(
                segment,
                derive(self.seed, "segment", first),
                start=weights,
                reference=self.base,
                total_steps=total,
                moments=moments,
                after_step=lambda step: (self.after_step(step), progress.advance(reward=step.reward)),
            )
            seconds = (time.monotonic() - started) / len(metrics)
            phases = {item.step: item.phase for item in segment}
            curve += [_curve_row(step, phases[step.step], seconds) for step in metrics]
            curve[-1] |= self.evaluate(last)
            weights, moments = copy_weights(self.trainer.policy.model), self.trainer.moments()
            if processes().is_main_process:
                self.folder.save(Checkpoint(last, {"curve": curve}, {"student": weights, "moments": moments}))
        # Killed after its last step, it has none left to train; the policy is still the base model.
        set_weights(self.trainer.policy.model, weights)
        return curve

    def _checkpoint(self) -> Checkpoint | None:
        """Where the training stands. ArtifactError where another process reads otherwise."""
        found = self.folder.load(lambda record: self.intact(record["curve"]))
        steps = gathered([found.step if found else 0])
        if len(set(steps)) > 1:
            raise ArtifactError(
                f"{self.folder.folder}: the processes of this job read checkpoints of different steps ({steps}): the "
                "file system is slow to show files; run the same command again"
            )
        return found

    def _segments(self, after: int) -> Iterator[list[ScheduledQuestion]]:
        left = (item for item in self.schedule if item.step > after)
        for _, items in groupby(left, key=lambda item: (item.step - 1) // self.evaluate_every):
            yield list(items)


def _curve_row(step: StepMetrics, phase: str, seconds: float) -> CurveRow:
    return {
        "step": step.step,
        "phase": phase,
        "train_reward": step.reward,
        "kl": step.kl,
        "no_signal_share": step.no_signal_share,
        "seconds": seconds,
    }
