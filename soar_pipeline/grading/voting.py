"""The reward of self-play without answers: agreement with the majority (docs/method.md §10, step 4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.grader import Grader


@dataclass(frozen=True)
class Vote:
    """The answers' verdict on one question.

    rewards: per completion 1.0 if it agrees with the majority, else 0.0; None if that could not be verified in
    time (unscorable is not wrong). answer: the majority's answer as its first voter wrote it, None without any answer.
    """

    rewards: list[float | None]
    answer: str | None

    @property
    def agreement(self) -> float:
        """Share of the scorable completions that agree with the majority; 0 if there is none."""
        scored = [reward for reward in self.rewards if reward is not None]
        return sum(scored) / len(scored) if scored else 0.0


def votes(groups: list[list[str]], grader: Grader) -> list[Vote]:
    """One vote per group of completions of the same question.

    All pairs of answers are compared by the verifier, the earlier one as the gold; the answer with most agreements is
    the pivot, the first of equals. An answer agrees with itself; a completion without a box, or with an empty one,
    votes for nothing [ours].
    """
    answers = [[last_boxed(completion) or "" for completion in group] for group in groups]
    # All questions at once, so that the grader's workers are kept busy.
    verdicts = iter(grader.verify([pair for group in answers for pair in combinations(group, 2)]))
    return [_vote(group, verdicts) for group in answers]


def _vote(answers: list[str], verdicts: Iterator[bool | None]) -> Vote:
    agrees: list[list[bool | None]] = [[bool(answer) for _ in answers] for answer in answers]
    for i, j in combinations(range(len(answers)), 2):
        agrees[i][j] = agrees[j][i] = next(verdicts)
    pivot = max(range(len(answers)), key=lambda i: agrees[i].count(True))
    rewards = [None if agreed is None else float(agreed) for agreed in agrees[pivot]]
    return Vote(rewards, answers[pivot] or None)
