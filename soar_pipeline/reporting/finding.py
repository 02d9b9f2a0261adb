"""What a run showed, said in sentences that are computed from its tables and never claim more than they hold."""

import pandas as pd

from soar_pipeline.config import Config
from soar_pipeline.reporting.frames import Row, rows
from soar_pipeline.reporting.long_tables import Tables

PasskRow = Row
"""Of the long table `passk`."""


def finding(config: Config, dataset: str, tables: Tables) -> str:
    """Two sentences about a data set: what headline arms and the baseline solve, and whether that is a difference.

    If no SOAR run promoted, or no headline arm was evaluated, they begin with that: this shows no SOAR effect.
    """
    arms = rows_at_largest_k(config, dataset, tables.passk)
    headlines = [arms[name] for name in config.report.headline_arms if name in arms]
    baseline = arms.get(config.report.baseline_arm)
    base = base_model(config, arms)
    references = [row for row in (baseline, base) if row is not None]
    soar = tables.runs[(tables.runs["dataset"] == dataset) & promotes(config, tables.runs)]
    test = int(tables.sizes.set_index("dataset").loc[dataset, "test"])
    count = min(test, config.evaluation.test_limit or test)

    sentences = []
    if len(soar) and not soar["promotions"].any():
        sentences.append(
            f"No promotion in {counted(len(soar), 'SOAR run')} on {dataset}: this run shows no SOAR effect."
        )
        if not soar["steps_with_signal"].any():
            sentences.append("No outer step had a reward that differed between datasets.")
    elif not headlines:
        sentences.append(f"No headline arm was evaluated on {dataset}: this run shows no SOAR effect.")
    shown = headlines or references
    if shown:
        of = f"of {counted(count, f'hard {dataset} test problem')} in {counted(config.pass_at_k[-1], 'sample')}"
        first, *others = shown
        solved = f"{first.label} solves {first.mean_percent:.1f} % {of} ({interval_of(first)})"
        against = f", against {listed([_percent(row) for row in references])}" if headlines and references else ""
        sentences.append(f"{listed([solved, *(_percent(row) for row in others)])}{against}.")
    if headlines and baseline:
        sentences.append(comparison(headlines, baseline))
    return " ".join(sentences)


def promotes(config: Config, runs: pd.DataFrame) -> pd.Series:
    """Whether the objective of each SOAR run can promote."""
    return runs["objective"].isin([name for name, objective in config.objectives.items() if objective.promotion])


def comparison(arms: list[PasskRow], baseline: PasskRow) -> str:
    """How the 95 % intervals of arms lie to the baseline's, in one sentence."""
    groups: dict[str, list[str]] = {}
    for row in arms:
        groups.setdefault(relation(row, baseline), []).append(row.label)
    clauses = [f"for {listed(labels)}, {words}" for words, labels in sorted(groups.items())]
    sentence = "; ".join(clauses)
    return f"{sentence[0].upper()}{sentence[1:]}."


def relation(row: PasskRow, baseline: PasskRow) -> str:
    """What may be said about the difference of two arms."""
    if row.interval_low_percent is None or baseline.interval_low_percent is None:
        return (
            f"there are too few seeds for an interval, so nothing is claimed about the difference to {baseline.label}"
        )
    if row.interval_low_percent > baseline.interval_high_percent:
        return f"the interval lies above that of {baseline.label}, without overlap"
    if row.interval_high_percent < baseline.interval_low_percent:
        return f"the interval lies below that of {baseline.label}, without overlap"
    return f"the interval overlaps that of {baseline.label}, so no difference is shown"


def seeds_of(row: PasskRow) -> str:
    """How many seeds a row rests on: `2 teacher × 3 student seeds`, `3 seeds` for arms without a teacher."""
    if not row.teacher_seeds:
        return counted(row.student_runs, "seed")
    students, rest = divmod(row.student_runs, row.teacher_seeds)
    if rest:
        return f"{counted(row.student_runs, 'student')} of {counted(row.teacher_seeds, 'teacher')}"
    return f"{row.teacher_seeds} teacher × {students} student seeds"


def _percent(row: PasskRow) -> str:
    return f"{row.label} {row.mean_percent:.1f} % ({interval_of(row)})"


def interval_of(row: PasskRow) -> str:
    """`95 % interval 14.3–100.0 over 2 teachers`; equal seeds make one of no width, which would look like certainty."""
    seeds = counted(row.teacher_seeds, "teacher") if row.teacher_seeds > 1 else counted(row.student_runs, "student")
    if row.interval_low_percent is None:
        return f"{seeds}, no interval"
    if row.interval_low_percent == row.interval_high_percent:
        return f"the same in {seeds}"
    return f"95 % interval {row.interval_low_percent:.1f}–{row.interval_high_percent:.1f} over {seeds}"


def rows_at_largest_k(config: Config, dataset: str, passk: pd.DataFrame) -> dict[str, PasskRow]:
    """By arm, those that have figures."""
    chosen = (passk["dataset"] == dataset) & (passk["k"] == config.pass_at_k[-1]) & passk["mean_percent"].notna()
    return {row.arm: row for row in rows(passk[chosen])}


def base_model(config: Config, arms: dict[str, PasskRow]) -> PasskRow | None:
    """The row of the model that is not trained, unless it is the baseline itself."""
    bases = [row for name, row in arms.items() if config.arms[name].policy == "base"]
    return next((row for row in bases if row.arm != config.report.baseline_arm), None)


def counted(count: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(items: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" and {items[-1]}"
