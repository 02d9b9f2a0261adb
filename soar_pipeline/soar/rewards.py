"""Teacher rewards (spec sections 4 and 10): datasets of questions in, one reward per dataset out.

A reward is a function of an outer step and of the tools it may use. Those here are chosen by name, those of a user's
own file by `<file>.py:<function>`; nothing else tells them apart (docs/teacher-rewards.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from soar_pipeline.config import SoarConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.voting import votes
from soar_pipeline.models.policy import Weights
from soar_pipeline.seeds import derive
from soar_pipeline.soar.bleu_clusters import cluster_shares
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.soar.students import StudentPool, Trial
from soar_pipeline.training.schedules import Question


@dataclass(frozen=True)
class OuterStep:
    """What a reward is about.

    number: counts from 1; stage: promotions so far; datasets: g lists of n questions; reward_questions: hard problems
    of train, drawn for this step; baseline: the weights of the student that all comparisons start from.
    """

    number: int
    stage: int
    datasets: list[list[Question]]
    reward_questions: list[Question]
    baseline: Weights


@dataclass(frozen=True)
class Tools:
    """What a reward may use.

    students: trains students on the datasets; examiner: asks the baseline student (training students leaves it so;
    `examiner.set_weights` for another); grader: compares answers by Math-Verify; soar: the objective's `soar` section;
    seed: of the run. What a reward draws at random it seeds with `derive(seed, "its name", step.number, k)`, so that a
    run that was killed resumes with the same figures.
    """

    students: StudentPool
    examiner: Examiner
    grader: Grader
    soar: SoarConfig
    seed: int


@dataclass(frozen=True)
class Scores:
    """R_k per dataset, which every rollout of X_k receives, and the student trainings behind them, if any."""

    rewards: list[float]
    trials: list[Trial] = field(default_factory=list)


TeacherReward = Callable[[OuterStep, Tools], Scores]


def grounded(step: OuterStep, tools: Tools) -> Scores:
    """R_k = mean over r students trained on X_k of their improvement on the reward questions (spec section 4)."""
    promoted = step.stage > 0
    trials = tools.students.train(
        step.number,
        step.datasets,
        baseline=step.baseline,
        reward_questions=step.reward_questions,
        repeats=tools.soar.repeats,
        inner_steps=tools.soar.inner_steps_after_promotion if promoted else tools.soar.inner_steps,
        learning_rate=tools.soar.learning_rate_after_promotion if promoted else None,
    )
    rewards = [fmean(trial.reward for trial in trials if trial.dataset_index == k) for k in range(len(step.datasets))]
    return Scores(rewards, trials)


def learnability(step: OuterStep, tools: Tools) -> Scores:
    """R_k = mean over X_k of 1 − s, or 0 where s = 0; s is the student's solve rate (spec section 4)."""
    rates = _solve_rates(step, tools, "learnability", tools.soar.learnability_samples)
    return Scores([fmean(1 - s if s > 0 else 0.0 for s in dataset) for dataset in rates])


def absolute_zero(step: OuterStep, tools: Tools) -> Scores:
    """R_k = mean over X_k of 1 − p where 0 < p < 1, else −0.5; p is the student's solve rate (spec section 10).

    Absolute Zero (arXiv 2505.03335) gives −1 for bad format. A teacher of one turn never gets it: its ill-formed
    completions are refused before they become questions, and draws that never reach a reward leave the RLOO gradient
    unchanged (spec section 3). A teacher of two turns is not filtered, so −1 is its reward for an empty question and
    for an answer that is no expression [ours].
    """
    rates = _solve_rates(step, tools, "absolute zero", tools.soar.absolute_zero_samples)
    rewards = []
    for dataset, solved in zip(step.datasets, rates, strict=True):
        formed = _well_formed(dataset, tools.grader)
        rewards.append(
            fmean((1 - p if 0 < p < 1 else -0.5) if good else -1.0 for p, good in zip(solved, formed, strict=True))
        )
    return Scores(rewards)


def r_zero(step: OuterStep, tools: Tools) -> Scores:
    """R_k = mean over X_k of min(s, 1 − s) − the share of the batch in the question's BLEU cluster (spec section 10).

    R-Zero (arXiv 2508.05004), as its released code behaves: s is the share of the student's completions that agree with
    their majority, whatever the teacher's answer; the batch is all g·n questions of the step. (Its paper doubles the
    first term.) Completions without a box count and agree with none; those whose comparison takes too long do not
    count, and the majority is found as in SeRL [ours]. −1 for bad format as in `absolute_zero`.
    """
    questions = [question for dataset in step.datasets for question in dataset]
    copies = cluster_shares(
        [question.question for question in questions], tools.soar.r_zero_bleu_unit, tools.soar.r_zero_bleu_distance
    )
    drawn = tools.examiner.completions(questions, tools.soar.r_zero_samples, derive(tools.seed, "r zero", step.number))
    agreed = votes([[completion.text for completion in completions] for completions in drawn], tools.grader)
    formed = _well_formed(questions, tools.grader)
    worth = [
        min(vote.agreement, 1 - vote.agreement) - share if good else -1.0
        for vote, share, good in zip(agreed, copies, formed, strict=True)
    ]
    n = len(step.datasets[0])
    return Scores([fmean(worth[start : start + n]) for start in range(0, len(worth), n)])


BUILT_IN: dict[str, TeacherReward] = {
    reward.__name__: reward for reward in (grounded, learnability, absolute_zero, r_zero)
}


def _solve_rates(step: OuterStep, tools: Tools, purpose: str, samples: int) -> list[list[float]]:
    """The baseline student's solve rate of every question, by dataset."""
    return [
        tools.examiner.solve_rates(dataset, samples, derive(tools.seed, purpose, step.number, k))
        for k, dataset in enumerate(step.datasets)
    ]


def _well_formed(questions: list[Question], grader: Grader) -> list[bool]:
    """Whether there is a question, and an answer that parses."""
    parses = grader.parses([question.answer for question in questions])
    return [bool(question.question.strip()) and parsed for question, parsed in zip(questions, parses, strict=True)]
