"""The long tables of a run, ours beside the paper's figures, from the artifacts as frames (docs/artifacts.md)."""

import numpy as np
import pandas as pd

from soar_pipeline.config import ArmConfig, Plan, SoarRun
from soar_pipeline.evaluation.statistics import differences, exact_interval, summarise
from soar_pipeline.evaluation.taxonomy import prices
from soar_pipeline.reporting.long_tables import (
    CATEGORIES,
    DIFFERENCES,
    PASSK,
    PROMOTED_STUDENTS,
    RUNS,
    SIZES,
    TAXONOMY,
    VENDI,
    with_columns,
)
from soar_pipeline.reporting.paper import PaperFigures, paper_name

NO_PROMOTION = "no promotion"
SOLVES_NOTHING, NO_BETTER = "solves nothing of train", "no better than the baseline before"
SOAR_RUN = ["dataset", "objective", "teacher_seed"]
ARM = ["dataset", "arm"]


def passk_table(plan: Plan, passk: pd.DataFrame, promotions: pd.DataFrame, paper: PaperFigures) -> pd.DataFrame:
    """One row per dataset, arm and k, in the config's order; an arm without any run has empty figures.

    passk, promotions: rows of PASSK and PROMOTIONS. status: empty, "no promotion", or how many SOAR runs had none;
    teacher_seeds: 0 for arms without a teacher; all_runs: see `with_stand_ins`, empty if every SOAR run promoted.
    """
    arms = arms_frame(plan, promotions).merge(pd.DataFrame({"k": plan.config.pass_at_k}), how="cross")
    summaries = summarise(passk, by=[*ARM, "k"]).rename(columns={"runs": "student_runs"})
    table = arms.merge(summaries, how="left", on=[*ARM, "k"])
    table = table.merge(paper.passk, how="left", on=["paper_table", "paper", "k"])
    one_teacher = table["per_teacher"] & (table["interval_over"] == "student seeds")
    table["interval_over"] = table["interval_over"].mask(one_teacher, "students of one teacher")
    table["teacher_seeds"] = table["teacher_seeds"].where(table["per_teacher"])
    every = summarise(with_stand_ins(plan, passk, promotions), by=[*ARM, "k"]).add_prefix("all_runs_")
    table = table.merge(every.reset_index(), how="left", on=[*ARM, "k"])
    for reading in ("", "all_runs_"):
        for column, name in {"mean": "mean", "sd": "sd", "low": "interval_low", "high": "interval_high"}.items():
            table[f"{reading}{name}_percent"] = 100.0 * table[f"{reading}{column}"]
    return with_columns(table.fillna({"teacher_seeds": 0, "student_runs": 0}), PASSK)


def differences_table(plan: Plan, passk: pd.DataFrame, promotions: pd.DataFrame) -> pd.DataFrame:
    """Every arm against the baseline arm, one row per dataset, arm and k in the config's order; passk: rows of PASSK.

    difference, sd, interval: of the means, with the spreads of both arms. students_above: how many students solve more
    than every student of the baseline arm, of `students`; above: exact interval of their share.
    """
    name, by = plan.config.report.baseline_arm, [*ARM, "k"]
    arms = arms_frame(plan, promotions).merge(pd.DataFrame({"k": plan.config.pass_at_k}), how="cross")
    of_baseline = passk[passk["arm"] == name]
    summaries = summarise(passk[passk["arm"] != name], by)
    baselines = summarise(of_baseline, ["dataset", "k"]).reindex(summaries.index.droplevel("arm"))
    table = 100.0 * differences(summaries, baselines.set_axis(summaries.index))
    best = of_baseline.groupby(["dataset", "k"])["value"].max().rename("best").reset_index()
    runs = passk.merge(best, on=["dataset", "k"])
    counts = runs.assign(above=runs["value"] > runs["best"]).groupby(by)["above"].agg(["size", "sum"])
    low, high = exact_interval(counts["sum"], counts["size"])
    table = table.join(counts.assign(above_low_percent=100.0 * low, above_high_percent=100.0 * high)).rename(
        columns={
            "difference": "difference_points",
            "sd": "sd_points",
            "low": "interval_low_points",
            "high": "interval_high_points",
            "size": "students",
            "sum": "students_above",
        }
    )
    arms = arms[arms["arm"] != name].assign(baseline=name)
    return with_columns(arms.merge(table, how="left", on=by), DIFFERENCES)


def sizes_table(
    plan: Plan, problems: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, paper: PaperFigures
) -> pd.DataFrame:
    """Problems before and after the fail@k filter (table 2), one row per dataset.

    problems, train, test: the column `dataset` of all problems.
    """
    counted = {"pool": problems, "train": train, "test": test}
    table = pd.DataFrame({name: frame["dataset"].value_counts() for name, frame in counted.items()})
    table = table.reindex(list(plan.config.datasets)).fillna(0).rename_axis("dataset").reset_index()
    table["paper_dataset"] = [paper_name(plan.config, dataset) for dataset in table["dataset"]]
    return with_columns(table.merge(paper.sizes, how="left", on="paper_dataset"), SIZES)


def vendi_table(plan: Plan, diversity: pd.DataFrame, promotions: pd.DataFrame, paper: PaperFigures) -> pd.DataFrame:
    """Vendi scores of the questions (table 1): one row per dataset and arm that has questions of its own.

    diversity: rows of DIVERSITY. vendi_mean, vendi_sd: of the questions of all question sets of the arm together, over
    subsamples, as in the paper; teacher_sd: between the scores of the sets of each teacher seed.
    """
    arms = arms_frame(plan, promotions)
    arms = arms[arms["arm"].isin([name for name, arm in plan.config.arms.items() if arm.questions is not None])]
    # A set of one question has no score of its own, and that of a run without promotion no question.
    of_teachers = diversity[~diversity["pooled"] & (diversity["questions"] > 0)]
    sets = of_teachers.groupby(ARM)["vendi_mean"].agg(["size", "std"])
    scores = diversity[diversity["pooled"]].set_index(ARM).join(sets)
    table = arms.merge(scores, how="left", on=ARM).rename(columns={"size": "teacher_seeds", "std": "teacher_sd"})
    table = table.drop(columns="teacher_seed").fillna({"teacher_seeds": 0, "questions": 0})
    table["subsample"] = table["subsample"].where(table["vendi_mean"].notna())
    table["paper"] = [
        paper.vendi_row(plan.config, row.dataset, plan.config.arms[row.arm]) for row in table.itertuples(index=False)
    ]
    return with_columns(table.merge(paper.vendi, how="left", on="paper"), VENDI)


def runs_table(plan: Plan, steps: pd.DataFrame, promotions: pd.DataFrame) -> pd.DataFrame:
    """One row per SOAR run, sorted by dataset, objective and seed; steps, promotions: rows of STEPS and PROMOTIONS.

    train_accuracy: the baseline student's greedy accuracy on train, at the start and at its best.
    """
    table = steps.groupby(SOAR_RUN).agg(
        outer_steps=("outer_step", "size"),
        steps_with_signal=("signal", "sum"),
        start=("baseline_train_accuracy", "first"),
        best=("baseline_train_accuracy", "max"),
        mean_reward=("mean_reward", "mean"),
        acceptance_rate=("acceptance_rate", "mean"),
        seconds=("seconds", "sum"),
    )
    promoted = promotions.groupby(SOAR_RUN)["train_accuracy"].agg(["size", "max"])
    table = table.join(promoted).fillna({"size": 0}).reset_index()
    questions = [plan.config.soar_of(row.dataset, row.objective).questions_per_dataset for row in table.itertuples()]
    table = table.assign(
        promotions=table["size"],
        promotion_questions=table["size"] * questions,
        train_accuracy_start_percent=100.0 * table["start"],
        train_accuracy_best_percent=100.0 * table[["best", "max"]].max(axis="columns"),
    )
    return with_columns(table, RUNS)


def promoted_students_table(promotions: pd.DataFrame) -> pd.DataFrame:
    """One row per promotion, sorted by SOAR run and stage: what the student solves that became the baseline.

    promotions: rows of PROMOTIONS. Accuracies are greedy, on all of train; status says so if the promoted student
    solves none of it, or no more than the baseline that it replaced.
    """
    table = promotions.sort_values([*SOAR_RUN, "stage"])
    before, after = table["baseline_train_accuracy"], table["train_accuracy"]
    status = np.select([after == 0, after <= before], [SOLVES_NOTHING, NO_BETTER], "")
    table = table.assign(
        baseline_train_accuracy_percent=100.0 * before, train_accuracy_percent=100.0 * after, status=status
    )
    return with_columns(table, PROMOTED_STUDENTS)


def taxonomy_table(plan: Plan, taxonomy: pd.DataFrame, promotions: pd.DataFrame, paper: PaperFigures) -> pd.DataFrame:
    """What a judge says of the questions (table 7): one row per dataset and arm of `taxonomy.arms`.

    taxonomy: rows of TAXONOMY of all question files. judged, unjudged: questions with and without a verdict;
    percentages are of the judged ones, over all question files of the arm, and their SDs between these files (empty
    for one). well posed = correct + arithmetic + logical fallacy. replies, tokens, cost: what the verdicts took, cached
    or not; cost is empty if the config gives no prices.
    """
    arms = arms_frame(plan, promotions)
    arms = arms[arms["arm"].isin(plan.config.taxonomy.arms)]
    judged = percentages(taxonomy[taxonomy["error_type"].notna()])
    names = list(CATEGORIES)
    between_files = judged.groupby([*ARM, "teacher_seed"])[names].mean().groupby(ARM).std()
    counts = taxonomy.groupby(ARM).agg(
        questions=("question_id", "size"),
        judged=("error_type", "count"),
        replies=("attempts", "sum"),
        prompt_tokens=("prompt_tokens", "sum"),
        completion_tokens=("completion_tokens", "sum"),
    )
    counts["teacher_seeds"] = taxonomy[taxonomy["teacher_seed"] > 0].groupby(ARM)["teacher_seed"].nunique()
    counts = counts.join(judged.groupby(ARM)[names].mean().add_suffix("_percent")).join(
        between_files.add_suffix("_sd_percent")
    )
    table = arms.merge(counts, how="left", on=ARM)
    counted = ["questions", "judged", "replies", "prompt_tokens", "completion_tokens", "teacher_seeds"]
    table[counted] = table[counted].fillna(0)
    table["unjudged"] = table["questions"] - table["judged"]
    prompt_price, completion_price = prices(plan.config.taxonomy.judge) or (np.nan, np.nan)
    table["cost"] = prompt_price * table["prompt_tokens"] + completion_price * table["completion_tokens"]
    table["paper"] = [paper.judged_method(plan.config.arms[name]) for name in table["arm"]]
    return with_columns(table.merge(paper.taxonomy, how="left", on="paper"), TAXONOMY)


def percentages(judged: pd.DataFrame) -> pd.DataFrame:
    """100 in the column of each category that a question belongs to, else 0."""
    flags = {category: judged["error_type"] == category for category in CATEGORIES[2:]}
    flags |= {name: judged[name] for name in CATEGORIES[:2]}
    return judged.assign(**{name: 100.0 * flag.astype(float) for name, flag in flags.items()})


def arms_frame(plan: Plan, promotions: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset and arm in the order of the tables: names, the paper's row and table, promotions."""
    columns = [*ARM, "label", "paper", "paper_table", "per_teacher", "status"]
    arms = [
        (
            dataset,
            name,
            arm.label,
            arm.paper or "",
            arm.paper_table or plan.config.datasets[dataset].paper_table,
            plan.per_teacher_seed(name),
            promotion_status(plan, dataset, name, promotions),
        )
        for dataset in plan.config.datasets
        for name, arm in plan.config.arms_on(dataset).items()
    ]
    return pd.DataFrame(arms, columns=columns)


def promotion_status(plan: Plan, dataset: str, name: str, promotions: pd.DataFrame) -> str:
    """Whether an arm that lives on promotions had any: "", "no promotion", or "1 of 4 SOAR runs had no promotion"."""
    runs = soar_runs_of(plan, dataset, name)
    without = runs_without_promotion(plan, dataset, name, promotions)
    if not without:
        return ""
    return NO_PROMOTION if without == runs else f"{len(without)} of {len(runs)} SOAR runs had no promotion"


def soar_runs_of(plan: Plan, dataset: str, name: str) -> list[SoarRun]:
    """The SOAR runs that an arm lives on the promotions of; none for other arms."""
    arm = plan.config.arms[name]
    if not arm.needs_promotion:
        return []
    return [run for run in plan.soar_runs if run[:2] == (arm.transfer_from or dataset, arm.soar_objective)]


def runs_without_promotion(plan: Plan, dataset: str, name: str, promotions: pd.DataFrame) -> list[SoarRun]:
    """Those of `soar_runs_of` that had no promotion."""
    promoted = set(promotions[SOAR_RUN].itertuples(index=False, name=None))
    return [run for run in soar_runs_of(plan, dataset, name) if run not in promoted]


def with_stand_ins(plan: Plan, passk: pd.DataFrame, promotions: pd.DataFrame) -> pd.DataFrame:
    """Rows of PASSK of arms of which some SOAR run had no promotion, with what a user of that run would have got.

    That is the baseline arm in place of promotion questions, and the base model in place of a promoted student: their
    runs stand once for every teacher seed without a promotion.
    """
    rows = [passk[:0]]
    for dataset in plan.config.datasets:
        here = passk[passk["dataset"] == dataset]
        for name, arm in plan.config.arms_on(dataset).items():
            seeds = [run.teacher_seed for run in runs_without_promotion(plan, dataset, name, promotions)]
            if seeds:
                rows.append(here[(here["arm"] == name) & ~here["teacher_seed"].isin(seeds)])
                stand_in = here[here["arm"] == _stand_in(plan, dataset, arm)]
                rows += [stand_in.assign(arm=name, teacher_seed=seed) for seed in seeds]
    return pd.concat(rows)


def _stand_in(plan: Plan, dataset: str, arm: ArmConfig) -> str | None:
    """The arm that stands for a run without promotion; None if it is not evaluated here."""
    if arm.policy != "promoted_student":
        return plan.config.report.baseline_arm
    return next((name for name, other in plan.config.arms_on(dataset).items() if other.policy == "base"), None)
