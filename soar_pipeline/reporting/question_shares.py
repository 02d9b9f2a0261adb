"""A judge's verdicts as shares of each teacher's questions: questions of one teacher are not independent draws."""

import pandas as pd

from soar_pipeline.config import BaseTeacherQuestions, Plan
from soar_pipeline.evaluation.statistics import differences, summarise
from soar_pipeline.reporting.long_tables import CATEGORIES, QUESTION_SHARES, with_columns
from soar_pipeline.reporting.tables import ARM, percentages

BY = [*ARM, "category"]
UNITS = {"mean": "share_percent", "sd": "sd_percent", "low": "interval_low_percent", "high": "interval_high_percent"}
AGAINST = {
    "difference": "difference_points",
    "sd": "sd_points",
    "low": "interval_low_points",
    "high": "interval_high_points",
}


def question_shares_table(plan: Plan, taxonomy: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset, judged arm and category, in the config's order; taxonomy: rows of TAXONOMY.

    share, sd, interval: of the shares in the question sets of one teacher each, the interval Student's t over the sets.
    difference: to the arm of the untrained teacher, with both spreads and Welch's interval over the sets of both; empty
    if the run judges no such arm. The mean weighs every set alike.
    """
    judged = percentages(taxonomy[taxonomy["error_type"].notna()])
    sets = judged.groupby([*ARM, "teacher_seed"])[list(CATEGORIES)].mean()
    runs = sets.rename_axis(columns="category").stack().div(100.0).rename("value").reset_index()
    shares = summarise(runs.assign(student_seed=0), BY)
    reference = pd.Series(
        {dataset: _untrained(plan, dataset) for dataset in plan.config.datasets}, name="reference", dtype="string"
    ).rename_axis("dataset")
    table = shares.reset_index().merge(reference.reset_index(), on="dataset")
    of_reference = shares.reindex(pd.MultiIndex.from_frame(table[["dataset", "reference", "category"]]))
    index = pd.MultiIndex.from_frame(table[BY])
    against = 100.0 * differences(shares.reindex(index), of_reference.set_axis(index)).reset_index(drop=True)
    table = table.assign(
        **{name: 100.0 * table[column] for column, name in UNITS.items()},
        **{name: against[column] for column, name in AGAINST.items()},
        sets=table["teacher_seeds"],
        label=[plan.config.arms[arm].label for arm in table["arm"]],
    )
    table.loc[table["arm"] == table["reference"], ["reference", *AGAINST.values()]] = pd.NA
    order = {key: [*names] for key, names in (("dataset", plan.config.datasets), ("arm", plan.config.arms))}
    order["category"] = [*CATEGORIES]
    table = table.sort_values(BY, key=lambda column: column.map(order[column.name].index))
    return with_columns(table, QUESTION_SHARES)


def _untrained(plan: Plan, dataset: str) -> str | None:
    """The judged arm whose questions are the base model's."""
    arms = plan.config.arms_on(dataset)
    judged = (name for name in plan.config.taxonomy.arms if name in arms)
    return next((name for name in judged if isinstance(arms[name].questions, BaseTeacherQuestions)), None)
