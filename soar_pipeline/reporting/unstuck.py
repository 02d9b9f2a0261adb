"""How many students came unstuck: for arms in which some succeed and others do not (docs/artifacts.md)."""

import pandas as pd

from soar_pipeline.config import Plan
from soar_pipeline.evaluation.statistics import exact_interval
from soar_pipeline.reporting.long_tables import UNSTUCK, with_columns
from soar_pipeline.reporting.tables import ARM, arms_frame


def unstuck_table(plan: Plan, passk: pd.DataFrame, promotions: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset and arm, in the config's order; passk, promotions: rows of PASSK and PROMOTIONS.

    unstuck: students whose pass@k at the largest k is `report.unstuck_percent` or more. Of arms with teachers,
    teachers_unstuck: teachers of whose students more than half are. Intervals are exact, of the shares in percent.
    """
    k, threshold = plan.config.pass_at_k[-1], plan.config.report.unstuck_percent
    runs = passk[passk["k"] == k]
    # A value is a count over a count: 0.5 in percent must meet a threshold of 50.
    runs = runs.assign(unstuck=100.0 * runs["value"] >= threshold - 1e-9)
    students = _counts(runs.groupby(ARM)["unstuck"], "students", "unstuck", "unstuck")
    of_teachers = runs.groupby([*ARM, "teacher_seed"])["unstuck"].mean() > 0.5
    teachers = _counts(of_teachers.groupby(ARM), "teachers", "teachers_unstuck", "teachers")
    arms = arms_frame(plan, promotions)
    table = arms.merge(students, how="left", on=ARM).merge(teachers, how="left", on=ARM)
    table[list(teachers)] = table[list(teachers)].where(table["per_teacher"])
    return with_columns(table.assign(k=k, threshold_percent=threshold), UNSTUCK)


def _counts(groups: pd.api.typing.SeriesGroupBy, size: str, count: str, interval: str) -> pd.DataFrame:
    counts = groups.agg(["size", "sum"]).rename(columns={"size": size, "sum": count})
    low, high = exact_interval(counts[count], counts[size])
    return counts.assign(**{f"{interval}_low_percent": 100.0 * low, f"{interval}_high_percent": 100.0 * high})
