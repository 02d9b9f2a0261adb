"""A fresh student: standard RLOO along a schedule, evaluated on test on the way (docs/method.md §6)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.policy.weights import Weights, copy_weights, set_weights
from soar_pipeline.rl.checkpoints import Checkpoint, CheckpointFolder
from soar_pipeline.rl.distributed import gather, processes
from soar_pipeline.rl.schedules import ScheduledQuestion
from soar_pipeline.rl.student import StepMetrics, StudentTrainer
from soar_pipeline.rl.time_limit import TimeLimit
from soar_pipeline.runtime import Progress, derive

CurveRow = dict[str, Any]


@dataclass
class FreshStudent:
    """Trains in segments of `evaluate_every` steps, with a checkpoint after each; in every process of the job.

    The learning rate decays over `schedule_steps`; none: over the steps of the schedule.
    `keep(step)` keeps what evaluation needs of the student after a segment's last step; `all_kept(steps)` tells whether
    it is still there. Every segment has a seed of its own, so a resumed training ends as the uninterrupted one.
    """

    trainer: StudentTrainer
    base: Weights
    schedule: list[ScheduledQuestion]
    schedule_steps: int | None
    evaluate_every: int
    keep: Callable[[int], None]
    all_kept: Callable[[list[int]], bool]
    folder: CheckpointFolder
    seed: int
    after_step: Callable[[StepMetrics], None]
    limit: TimeLimit

    def train(self) -> list[CurveRow]:
        """The learning curve, one row per step; the policy ends as the trained student.

        OutOfTimeError: the job's time is over, and a checkpoint is on disk.
        """
        checkpoint = self._checkpoint()
        curve: list[CurveRow] = checkpoint.record["curve"] if checkpoint else []
        weights = checkpoint.weights["student"] if checkpoint else self.base
        optimizer_state = checkpoint.weights["optimizer_state"] if checkpoint else {}
        self.trainer.restore(checkpoint.record["trainer"] if checkpoint else {})
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
                total_steps=self.schedule_steps or total,
                optimizer_state=optimizer_state,
                after_step=lambda step: (self.after_step(step), progress.advance(reward=step.reward)),
            )
            seconds = (time.monotonic() - started) / len(metrics)
            phases = {item.step: item.phase for item in segment}
            curve += [_curve_row(step, phases[step.step], seconds) for step in metrics]
            self.keep(last)
            weights, optimizer_state = copy_weights(self.trainer.policy.model), self.trainer.optimizer_state()
            if processes().is_main_process:
                saved = {"student": weights, "optimizer_state": optimizer_state}
                self.folder.save(Checkpoint(last, {"curve": curve, "trainer": self.trainer.state()}, saved))
            if self.limit.is_over() and last < total:
                raise self.limit.stop(f"step {last} of {total}")
        # Killed after its last step, it has none left to train; the policy is still the base model.
        set_weights(self.trainer.policy.model, weights)
        return curve

    def _checkpoint(self) -> Checkpoint | None:
        """Where the training stands. ArtifactError if the processes of the job do not agree."""
        checkpoint = self.folder.load(lambda record: self.all_kept(self._ends(len(record["curve"]))))
        steps = gather([checkpoint.step if checkpoint else 0])
        if len(set(steps)) > 1:
            raise ArtifactError(
                f"{self.folder.folder}: the processes of this job read checkpoints of different steps ({steps}): the "
                "file system is slow to show files; run the same command again"
            )
        return checkpoint

    def _ends(self, done: int) -> list[int]:
        """The last steps of the segments of a training that has come so far."""
        return sorted({*range(self.evaluate_every, done + 1, self.evaluate_every), *([done] if done else [])})

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
        "zero_std_fraction": step.zero_std_fraction,
        "hint_fraction": step.hint_fraction,
        "seconds": seconds,
    }
