"""What a teacher's questions are like: exact in the embedded world, by length elsewhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from soar_pipeline.problems import digit_shuffles

ILL_POSED, RIGHT, WRONG = "ill posed", "right", "wrong answer"
# Classes of difficulty (number of operations) as figures and pages show them.
BANDS = ((1, 2), (3, 4), (5, 6), (7, 9), (10, 12))


@dataclass(frozen=True)
class Judgement:
    """The truth about a question of the embedded world; difficulty is None where it is ill posed."""

    verdict: str
    difficulty: int | None


def judge(question: str, answer: str) -> Judgement:
    """Whether a digit-shuffle question is well posed and its answer right."""
    problem = digit_shuffles.parse(question)
    if problem is None:
        return Judgement(ILL_POSED, None)
    return Judgement(RIGHT if answer.strip() == problem.answer else WRONG, problem.difficulty)


def difficulty_profile(questions: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Per outer step, shares in [0, 1]: of each band (`"1–2"`, …), of `ill posed` (together 1), and of `right`."""
    profile = {}
    for step, rows in _by_step(questions).items():
        judged = [judge(row["question"], row["answer"]) for row in rows]
        shares = {band_name(band): 0.0 for band in BANDS} | {ILL_POSED: 0.0, RIGHT: 0.0}
        for one in judged:
            shares[_class(one)] += 1 / len(judged)
            shares[RIGHT] += (one.verdict == RIGHT) / len(judged)
        profile[step] = shares
    return profile


def length_profile(questions: list[dict[str, Any]]) -> dict[int, tuple[float, float, float]]:
    """Per outer step, the quartiles of the question length in characters (lower, median, upper)."""
    return {
        step: tuple(np.percentile([len(row["question"]) for row in rows], (25, 50, 75)).tolist())
        for step, rows in _by_step(questions).items()
    }


def band_name(band: tuple[int, int]) -> str:
    return f"{band[0]}–{band[1]}"


def _class(judgement: Judgement) -> str:
    if judgement.difficulty is None:
        return ILL_POSED
    return next(band_name(band) for band in BANDS if band[0] <= judgement.difficulty <= band[1])


def _by_step(questions: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    steps: dict[int, list[dict[str, Any]]] = {}
    for row in questions:
        steps.setdefault(row["outer_step"], []).append(row)
    return dict(sorted(steps.items()))
