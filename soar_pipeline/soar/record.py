"""What a SOAR run records of its steps: the rows of its artifacts (docs/artifacts.md)."""

import logging
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from soar_pipeline.evaluation.vendi import embed, mean_pairwise_distance
from soar_pipeline.soar.promotion import Candidate
from soar_pipeline.soar.questions import TeacherQuestion, acceptance_rate
from soar_pipeline.soar.rewards import DatasetRewards, OuterStep

log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass
class RunRecord:
    """STEPS, QUESTIONS, STUDENTS and PROMOTIONS rows."""

    steps: list[Row] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    students: list[Row] = field(default_factory=list)
    promotions: list[Row] = field(default_factory=list)

    def add_step(
        self,
        step: OuterStep,
        written: list[TeacherQuestion],
        scored: DatasetRewards,
        *,
        moving_average: float | None,
        promoted: bool,
        train_accuracy: float,
        kl: float | None,
        seconds: float,
        groups: int,
    ) -> Row:
        """One row per step, question and student; returns the step's.

        train_accuracy: of the baseline that the step began with. groups: of datasets; a signal is a difference within
        one of them.
        """
        g = len(scored.rewards) // groups
        signal = any(len(set(scored.rewards[start : start + g])) > 1 for start in range(0, len(scored.rewards), g))
        if not signal:
            log.info("outer step %d gave no signal: the datasets of a group had equal rewards", step.number)
        texts = [item.question.question for item in written]
        row = {
            "outer_step": step.number,
            "mean_reward": fmean(scored.rewards),
            "moving_average": moving_average,
            "promoted": promoted,
            "stage": step.stage,
            "baseline_train_accuracy": train_accuracy,
            "acceptance_rate": acceptance_rate(written),
            # Character n-grams, whatever the final Vendi score uses: an 8B embedder has no place in this loop.
            "diversity": mean_pairwise_distance(embed(texts, "character_ngrams")),
            "signal": signal,
            "kl": kl,
            "seconds": seconds,
        }
        self.steps.append(row)
        n = len(step.datasets[0])
        self.questions += [
            item.row(step.number, dataset_index=i // n, dataset_reward=scored.rewards[i // n])
            for i, item in enumerate(written)
        ]
        self.students += [
            {"outer_step": step.number, "reward": result.reward, **asdict(result)} for result in scored.results
        ]
        return row

    def add_promotion(self, step: OuterStep, promoted: Candidate, before: float, train_accuracy: float) -> None:
        """The student that the step promoted; before, train_accuracy: of the baseline that it replaces, and its own."""
        stage = step.stage + 1
        self.promotions.append(
            {
                "outer_step": step.number,
                "student_step": promoted.outer_step,
                "dataset_index": promoted.result.dataset_index,
                "repeat": promoted.result.repeat,
                "dataset_reward": promoted.dataset_reward,
                "student_reward": promoted.result.reward,
                "stage": stage,
                "baseline_train_accuracy": before,
                "train_accuracy": train_accuracy,
            }
        )
        log.info(
            "promotion %d at outer step %d: train accuracy %.3f → %.3f", stage, step.number, before, train_accuracy
        )
