"""Mean, spread and 95 % interval over student seeds nested in teacher seeds (docs/method.md).

The standard deviation is over all runs, as the paper reports it. The interval respects the nesting: students of one
teacher share its questions, so they are not independent draws of the method. With two or more teacher seeds it is
Student's t over the teachers' means; with one (or for arms without a teacher) it is Student's t over the student
seeds, and then says nothing about another teacher: `interval_over` tells which. One seed gives no interval.

A difference of two arms has the spreads of both. Whether students succeed or not is counted, with an exact interval: a
mean and its SD describe no student of an arm in which some succeed fully and others not at all.
"""

import numpy as np
import pandas as pd
from scipy.stats import beta, t

CONFIDENCE = 0.95


def summarise(runs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row per group of the columns `by`, which are its index.

    runs: the columns `by`, `teacher_seed`, `student_seed` and `value`, a fraction in [0, 1].
    Columns: `mean`, `sd`, `low` and `high` (fractions, the last three NaN for a single run), `interval_over`,
    `teacher_seeds` and `runs`; `units`, the number of independent values behind the interval (teachers' means or
    students), and `error`, the standard error of their mean. The mean weighs every teacher seed alike, however many
    students it has. The interval is cut at 0 and 1.
    """
    students = runs.groupby(by)["value"].agg(["std", "size"])
    means = runs.groupby([*by, "teacher_seed"])["value"].mean()
    teachers = means.groupby(by).agg(["mean", "std", "size"])
    nested = teachers["size"] > 1
    units = teachers["size"].where(nested, students["size"])
    error = teachers["std"].where(nested, students["std"]) / np.sqrt(units)
    half = _quantile(units - 1) * error
    over = pd.Series(np.where(nested, "teacher seeds", "student seeds"), index=teachers.index)
    return pd.DataFrame(
        {
            "mean": teachers["mean"],
            "sd": students["std"],
            "low": (teachers["mean"] - half).clip(lower=0.0),
            "high": (teachers["mean"] + half).clip(upper=1.0),
            "interval_over": over.where(half.notna(), ""),
            "teacher_seeds": teachers["size"],
            "runs": students["size"],
            "units": units,
            "error": error,
        }
    )


def differences(arms: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """Arms less their baselines, row by row: rows of `summarise` with equal indexes.

    Columns: `difference`; `sd` of both arms' runs, the root of the sum of both squares; `low` and `high` of Welch's
    95 % interval of the difference, over the same units as the intervals of the arms and cut at -1 and 1. NaN if one of
    them has a single run.
    """
    squares = arms["error"] ** 2, baselines["error"] ** 2
    both = squares[0] + squares[1]
    spread = squares[0] ** 2 / (arms["units"] - 1) + squares[1] ** 2 / (baselines["units"] - 1)
    # If no run differs from another there is no spread: the interval has no width.
    half = (_quantile(both**2 / spread) * np.sqrt(both)).where(both != 0, 0.0)
    difference = arms["mean"] - baselines["mean"]
    return pd.DataFrame(
        {
            "difference": difference,
            "sd": np.sqrt(arms["sd"] ** 2 + baselines["sd"] ** 2),
            "low": (difference - half).clip(lower=-1.0),
            "high": (difference + half).clip(upper=1.0),
        }
    )


def exact_interval(successes: pd.Series, trials: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Clopper and Pearson's 95 % interval of the share of successes, in [0, 1]; NaN for no trial.

    It takes trials as independent. Students of one teacher are not: then it is too narrow for another teacher.
    """
    tail = (1 - CONFIDENCE) / 2
    low = pd.Series(beta.ppf(tail, successes, trials - successes + 1), index=successes.index)
    high = pd.Series(beta.ppf(1 - tail, successes + 1, trials - successes), index=successes.index)
    some = trials > 0
    return low.where(successes > 0, 0.0).where(some), high.where(successes < trials, 1.0).where(some)


def _quantile(degrees_of_freedom: pd.Series) -> np.ndarray:
    """Student's t that holds 95 %; NaN without a degree of freedom."""
    return t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom)
