"""Teacher rewards (spec section 4): datasets of questions in, one reward per dataset out."""

from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from soar_pipeline.config import SoarConfig
from soar_pipeline.models.policy import Weights
from soar_pipeline.seeds import derive
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.soar.students import StudentPool, Trial
from soar_pipeline.training.schedules import Question


@dataclass(frozen=True)
class OuterStep:
    """What a reward may look at: `datasets` is g lists of n questions; `stage` counts promotions so far."""

    number: int
    stage: int
    datasets: list[list[Question]]
    reward_questions: list[Question]
    baseline: Weights


@dataclass(frozen=True)
class Scores:
    """R_k per dataset, and the student trainings behind them (none for intrinsic rewards)."""

    rewards: list[float]
    trials: list[Trial]


class TeacherReward(Protocol):
    def score(self, step: OuterStep) -> Scores: ...


class GroundedReward:
    """R_k = mean over r students trained on X_k of their improvement on the reward questions."""

    def __init__(self, pool: StudentPool, config: SoarConfig):
        self.pool, self.config = pool, config

    def score(self, step: OuterStep) -> Scores:
        promoted = step.stage > 0
        trials = self.pool.train(
            step.number,
            step.datasets,
            baseline=step.baseline,
            reward_questions=step.reward_questions,
            repeats=self.config.repeats,
            inner_steps=self.config.inner_steps_after_promotion if promoted else self.config.inner_steps,
            learning_rate=self.config.learning_rate_after_promotion if promoted else None,
        )
        rewards = [
            fmean(trial.reward for trial in trials if trial.dataset_index == k) for k in range(len(step.datasets))
        ]
        return Scores(rewards, trials)


class LearnabilityReward:
    """Mean over the questions of X_k of 1 - s, or 0 where s = 0; s is the student's solve rate."""

    def __init__(self, examiner: Examiner, config: SoarConfig, seed: int):
        self.examiner, self.config, self.seed = examiner, config, seed

    def score(self, step: OuterStep) -> Scores:
        rewards = []
        for k, dataset in enumerate(step.datasets):
            seed = derive(self.seed, "learnability", step.number, k)
            rates = self.examiner.solve_rates(dataset, self.config.learnability_samples, seed)
            rewards.append(fmean(1 - rate if rate > 0 else 0.0 for rate in rates))
        return Scores(rewards, trials=[])
