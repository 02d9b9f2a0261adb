"""Mean, spread and 95 % interval over student seeds nested in teacher seeds (spec section 6).

The standard deviation is over all runs, as the paper reports it. The interval respects the nesting: students of one
teacher share its questions, so they are not independent draws of the method. With two or more teacher seeds it is
Student's t over the teachers' means; with one (or for arms without a teacher) it is Student's t over the student
seeds, and then says nothing about another teacher - `interval_over` tells which. One seed gives no interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """Fractions in [0, 1]; `sd`, `low` and `high` are None where a single run gives none."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    interval_over: str
    teacher_seeds: int
    runs: int


def summarise(runs: Mapping[tuple[int, int], float]) -> Summary:
    """The summary of one metric; keys are (teacher seed, student seed), values fractions in [0, 1].

    The mean weighs every teacher seed alike, however many students it has. The interval is cut at 0 and 1.
    Raises ValueError where there is no run.
    """
    if not runs:
        raise ValueError("no run to summarise")
    by_teacher: dict[int, list[float]] = {}
    for (teacher_seed, _), value in runs.items():
        by_teacher.setdefault(teacher_seed, []).append(value)
    values = np.array(list(runs.values()))
    teacher_means = np.array([np.mean(students) for students in by_teacher.values()])
    nested = len(teacher_means) > 1
    low, high = t_interval(teacher_means if nested else values)
    return Summary(
        mean=float(teacher_means.mean()),
        sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        low=low,
        high=high,
        interval_over="" if low is None else "teacher seeds" if nested else "student seeds",
        teacher_seeds=len(teacher_means),
        runs=len(values),
    )


def t_interval(values: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """Student's 95 % interval of the mean of independent fractions, cut at 0 and 1; (None, None) for one value."""
    if len(values) < 2:
        return None, None
    half = t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return max(0.0, float(values.mean() - half)), min(1.0, float(values.mean() + half))
