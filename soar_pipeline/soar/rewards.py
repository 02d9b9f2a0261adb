"""Teacher rewards (docs/method.md §§ 4, 10): datasets of questions in, one reward per dataset out.

A reward is a function of an outer step and of a context: what it may use. Those here are chosen by name, those of a
user's own file by `<file>.py:<function>`; nothing else tells them apart (docs/teacher-rewards.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from soar_pipeline.config import SoarConfig
from soar_pipeline.evaluation.taxonomy import Judge
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.voting import votes
from soar_pipeline.questions import Question
from soar_pipeline.runtime import derive
from soar_pipeline.soar.bleu_clusters import cluster_shares

# A reward of a user's own is imported with its file before anything runs, and torch would take seconds.
if TYPE_CHECKING:
    from soar_pipeline.policy.weights import Weights
    from soar_pipeline.soar.evaluator import Evaluator
    from soar_pipeline.soar.students import StudentPopulation, StudentResult


@dataclass(frozen=True)
class OuterStep:
    """What a reward is about.

    number: counts from 1; stage: promotions so far; datasets: g lists of n questions; reward_questions: hard problems
    of train, sampled for this step; baseline: the weights of the student that all comparisons start from.
    """

    number: int
    stage: int
    datasets: list[list[Question]]
    reward_questions: list[Question]
    baseline: "Weights"


@dataclass(frozen=True)
class RewardContext:
    """What a reward may use.

    students: trains students on the datasets; evaluator: evaluates the baseline student (also after students were
    trained; `evaluator.set_weights` for another); grader: compares answers by Math-Verify; soar: the objective's `soar`
    section; seed: of the run; judge: that of `taxonomy` in the configuration, if the reward is one of JUDGED_REWARDS.
    What a reward samples it seeds with `derive(seed, "its name", step.number, k)`, so that a run that was killed
    resumes with the same figures.
    """

    students: "StudentPopulation"
    evaluator: "Evaluator"
    grader: Grader
    soar: SoarConfig
    seed: int
    judge: Judge | None = None


@dataclass(frozen=True)
class DatasetRewards:
    """R_k per dataset, which every rollout of X_k receives, and the student trainings behind them, if any."""

    rewards: list[float]
    results: list["StudentResult"] = field(default_factory=list)


TeacherReward = Callable[[OuterStep, RewardContext], DatasetRewards]


def grounded(step: OuterStep, context: RewardContext) -> DatasetRewards:
    """R_k = mean over r students trained on X_k of their improvement on the reward questions (docs/method.md §4)."""
    promoted = step.stage > 0
    results = context.students.train(
        step.number,
        step.datasets,
        baseline=step.baseline,
        reward_questions=step.reward_questions,
        repeats=context.soar.repeats,
        inner_steps=context.soar.inner_steps_after_promotion if promoted else context.soar.inner_steps,
        learning_rate=context.soar.learning_rate_after_promotion if promoted else None,
    )
    rewards = [
        fmean(result.reward for result in results if result.dataset_index == k) for k in range(len(step.datasets))
    ]
    return DatasetRewards(rewards, results)


def learnability(step: OuterStep, context: RewardContext) -> DatasetRewards:
    """R_k = mean over X_k of 1 − s, or 0 if s = 0; s is the student's solve rate (docs/method.md §4)."""
    rates = _solve_rates(step, context, "learnability", context.soar.learnability_samples)
    return DatasetRewards([fmean(1 - s if s > 0 else 0.0 for s in dataset) for dataset in rates])


def gated_learnability(step: OuterStep, context: RewardContext) -> DatasetRewards:
    """R_k = mean over X_k of the learnability of well-posed questions, and 0 for the others (docs/method.md §4) [ours].

    A question is well posed if the judge says so; one without a verdict is not.
    """
    rates = _solve_rates(step, context, "learnability", context.soar.learnability_samples)
    well_posed = _well_posed([question for dataset in step.datasets for question in dataset], context.judge)
    return DatasetRewards(
        [
            fmean(
                1 - s if s > 0 and well_posed[question.question, question.answer] else 0.0
                for question, s in zip(dataset, solved, strict=True)
            )
            for dataset, solved in zip(step.datasets, rates, strict=True)
        ]
    )


def absolute_zero(step: OuterStep, context: RewardContext) -> DatasetRewards:
    """R_k = mean over X_k of 1 − p if 0 < p < 1, else −0.5; p is the student's solve rate (docs/method.md §10).

    Absolute Zero (arXiv 2505.03335) gives −1 for bad format. A teacher of one turn never gets it: its ill-formed
    completions are refused before they become questions, and samples that never reach a reward leave the RLOO gradient
    unchanged (docs/method.md §3). A teacher of two turns is not filtered, so −1 is its reward for an empty question and
    for an answer that is not an expression [ours].
    """
    rates = _solve_rates(step, context, "absolute zero", context.soar.absolute_zero_samples)
    rewards = []
    for dataset, solved in zip(step.datasets, rates, strict=True):
        formed = _well_formed(dataset, context.grader)
        rewards.append(
            fmean((1 - p if 0 < p < 1 else -0.5) if good else -1.0 for p, good in zip(solved, formed, strict=True))
        )
    return DatasetRewards(rewards)


def r_zero(step: OuterStep, context: RewardContext) -> DatasetRewards:
    """R_k = mean over X_k of min(s, 1 − s) − the share of the batch in the question's cluster (docs/method.md §10).

    R-Zero (arXiv 2508.05004), as its released code behaves: s is the share of the student's completions that agree with
    their majority, whatever the teacher's answer; the batch is all g·n questions of the step, in clusters by BLEU. (Its
    paper doubles the first term.) Completions without a box count and agree with none; those whose comparison takes too
    long do not count, and the majority is decided as in SeRL [ours]. −1 for bad format as in `absolute_zero`.
    """
    questions = [question for dataset in step.datasets for question in dataset]
    copies = cluster_shares(
        [question.question for question in questions], context.soar.r_zero_bleu_unit, context.soar.r_zero_bleu_distance
    )
    seed = derive(context.seed, "r zero", step.number)
    groups = context.evaluator.completions(questions, context.soar.r_zero_samples, seed)
    agreed = votes([[completion.text for completion in group] for group in groups], context.grader)
    formed = _well_formed(questions, context.grader)
    worth = [
        min(vote.agreement, 1 - vote.agreement) - share if good else -1.0
        for vote, share, good in zip(agreed, copies, formed, strict=True)
    ]
    n = len(step.datasets[0])
    return DatasetRewards([fmean(worth[start : start + n]) for start in range(0, len(worth), n)])


BUILT_IN: dict[str, TeacherReward] = {
    reward.__name__: reward for reward in (grounded, learnability, gated_learnability, absolute_zero, r_zero)
}


def _solve_rates(step: OuterStep, context: RewardContext, purpose: str, samples: int) -> list[list[float]]:
    """The baseline student's solve rate of every question, by dataset."""
    return [
        context.evaluator.solve_rates(dataset, samples, derive(context.seed, purpose, step.number, k))
        for k, dataset in enumerate(step.datasets)
    ]


def _well_posed(questions: list[Question], judge: Judge) -> dict[tuple[str, str], bool]:
    """Whether the judge finds each question, with its answer, well posed; equal ones are judged once."""
    cases = list(dict.fromkeys((question.question, question.answer) for question in questions))
    verdicts = [judgement.verdict for judgement in judge.judge(cases)]
    return {case: verdict is not None and verdict.well_posed for case, verdict in zip(cases, verdicts, strict=True)}


def _well_formed(questions: list[Question], grader: Grader) -> list[bool]:
    """Whether there is a question, and an answer that parses."""
    parses = grader.parses([question.answer for question in questions])
    return [bool(question.question.strip()) and parsed for question, parsed in zip(questions, parses, strict=True)]
