"""Teacher rewards (spec sections 4 and 10): datasets of questions in, one reward per dataset out.

A reward is a function `(step, tools) -> Scores`. Those here have names; a configuration may also name one of the user's
own, `my_rewards.py:function` (docs/teacher-rewards.md). Every rollout of X_k receives R_k.

The proposers of Absolute Zero and R-Zero also get -1 for a question of bad form. Here a completion of bad form is drawn
again until it has the right one (spec section 3), so it never comes to a reward.
"""

import importlib.util
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from soar_pipeline.config import ConfigError, SoarConfig
from soar_pipeline.models.policy import Weights
from soar_pipeline.seeds import derive
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.soar.students import StudentPool, Trial
from soar_pipeline.training.schedules import Question

# R-Zero: questions whose distance 1 - BLEU is below this on average are one cluster.
CLUSTER_DISTANCE = 0.5


@dataclass(frozen=True)
class OuterStep:
    """What a reward may look at: `datasets` is g lists of n questions; `stage` counts promotions so far."""

    number: int
    stage: int
    datasets: list[list[Question]]
    reward_questions: list[Question]
    baseline: Weights


@dataclass(frozen=True)
class RewardTools:
    """What a reward may use: students to train, the baseline student to examine, the run's settings and its seed."""

    pool: StudentPool
    examiner: Examiner
    soar: SoarConfig
    seed: int


@dataclass(frozen=True)
class Scores:
    """R_k per dataset, and the student trainings behind them (none for intrinsic rewards: nothing to promote)."""

    rewards: list[float]
    trials: list[Trial] = field(default_factory=list)


TeacherReward = Callable[[OuterStep, RewardTools], Scores]


def grounded(step: OuterStep, tools: RewardTools) -> Scores:
    """R_k = mean over r students trained on X_k of their improvement on the reward questions (spec section 4)."""
    promoted, soar = step.stage > 0, tools.soar
    trials = tools.pool.train(
        step.number,
        step.datasets,
        baseline=step.baseline,
        reward_questions=step.reward_questions,
        repeats=soar.repeats,
        inner_steps=soar.inner_steps_after_promotion if promoted else soar.inner_steps,
        learning_rate=soar.learning_rate_after_promotion if promoted else None,
    )
    rewards = [fmean(trial.reward for trial in trials if trial.dataset_index == k) for k in range(len(step.datasets))]
    return Scores(rewards, trials)


def learnability(step: OuterStep, tools: RewardTools) -> Scores:
    """Mean over the questions of X_k of 1 - s, or 0 where s = 0; s is the student's solve rate (spec section 4)."""
    return _from_solve_rates(step, tools, "learnability", lambda rate: 1 - rate if rate > 0 else 0.0)


def absolute_zero(step: OuterStep, tools: RewardTools) -> Scores:
    """Mean over the questions of X_k of 1 - p if 0 < p < 1, else -0.5; p is the student's solve rate (section 10)."""
    return _from_solve_rates(step, tools, "absolute zero", lambda rate: 1 - rate if 0 < rate < 1 else -0.5)


def r_zero(step: OuterStep, tools: RewardTools) -> Scores:
    """Mean over the questions of X_k of min(s, 1 - s) minus the share of the batch in the same cluster (section 10).

    s: share of the student's completions that agree with their majority; batch: the questions of all g datasets
    [ours]. The teacher's own answers count for nothing.
    """
    questions = [question for dataset in step.datasets for question in dataset]
    seed = derive(tools.seed, "r zero", step.number)
    shares = tools.examiner.majority_shares(questions, tools.soar.majority_samples, seed)
    clusters = bleu_clusters([question.question for question in questions])
    rewards = [
        min(share, 1 - share) - clusters.count(cluster) / len(questions)
        for share, cluster in zip(shares, clusters, strict=True)
    ]
    ends = np.cumsum([len(dataset) for dataset in step.datasets])
    return Scores([fmean(rewards[end - len(dataset) : end]) for dataset, end in zip(step.datasets, ends, strict=True)])


def _from_solve_rates(step: OuterStep, tools: RewardTools, name: str, reward_of: Callable[[float], float]) -> Scores:
    """The mean over each dataset of a reward that depends on a question's solve rate."""
    rewards = []
    for k, dataset in enumerate(step.datasets):
        seed = derive(tools.seed, name, step.number, k)
        rates = tools.examiner.solve_rates(dataset, tools.soar.learnability_samples, seed)
        rewards.append(fmean(map(reward_of, rates)))
    return Scores(rewards)


def bleu_clusters(texts: list[str]) -> list[int]:
    """The cluster of each text: average linkage on 1 - BLEU, cut at CLUSTER_DISTANCE.

    BLEU up to 4-grams, smoothed (Chen & Cherry 2014, method 1), the mean of both directions [ours]. Words, single
    digits and single signs are its tokens [ours]: formulas have no spaces.
    """
    if len(texts) == 1:
        return [1]
    tokens = [re.findall(r"[^\W\d_]+|\d|[^\w\s]|_", text) for text in texts]
    smooth = SmoothingFunction().method1
    distances = np.zeros((len(texts), len(texts)))
    for i, j in combinations(range(len(texts)), 2):
        if tokens[i] != tokens[j]:
            one = sentence_bleu([tokens[i]], tokens[j], smoothing_function=smooth)
            other = sentence_bleu([tokens[j]], tokens[i], smoothing_function=smooth)
            distances[i, j] = distances[j, i] = max(0.0, 1 - (one + other) / 2)
    tree = linkage(squareform(distances), method="average")
    return fcluster(tree, CLUSTER_DISTANCE, criterion="distance").tolist()


BUILT_IN: dict[str, TeacherReward] = {
    "grounded": grounded,
    "learnability": learnability,
    "absolute_zero": absolute_zero,
    "r_zero": r_zero,
}


def reward_named(name: str) -> TeacherReward:
    """The reward of that name, or the function of a user's file (`file.py:function`).

    The file is the user's own code and is run, like the configuration that names it.
    Raises ConfigError where it cannot be imported or has no such function.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    path, _, function = name.rpartition(":")
    specification = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"reward {name}: {path} cannot be imported ({type(error).__name__}: {error})") from error
    if not callable(getattr(module, function, None)):
        raise ConfigError(f"reward {name}: {path} has no function {function!r}")
    return getattr(module, function)


def checked(scores: Scores, step: OuterStep, promotes: bool) -> Scores:
    """The scores as they are; ConfigError where they cannot be used: a user's reward may return anything."""
    if not isinstance(scores, Scores):
        raise ConfigError(f"the teacher's reward returned {type(scores).__name__}, expected Scores")
    if len(scores.rewards) != len(step.datasets):
        raise ConfigError(
            f"the teacher's reward returned {len(scores.rewards)} rewards for {len(step.datasets)} datasets"
        )
    if not all(math.isfinite(reward) for reward in scores.rewards):
        raise ConfigError(f"the teacher's reward returned {scores.rewards}, expected finite numbers")
    if promotes and not scores.trials:
        raise ConfigError("the teacher's reward trained no students, so there is nothing to promote: promotion: false")
    return scores
