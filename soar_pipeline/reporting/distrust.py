"""What a reader must know before believing a run's figures: checks with what they found, remarks on intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from soar_pipeline.config import Config
from soar_pipeline.reporting.audit import audit_notes
from soar_pipeline.reporting.finding import base_model, listed, promotes, relation, rows_at_largest_k
from soar_pipeline.reporting.frames import rows
from soar_pipeline.reporting.long_tables import Tables


@dataclass(frozen=True)
class Check:
    """Something that was looked for; found: a line for each place where it was."""

    name: str
    found: list[str]
    otherwise: str = "nothing found"


def checks(
    config: Config,
    tables: Tables,
    passk: pd.DataFrame,
    audit: pd.DataFrame,
    counts: Mapping[str, pd.DataFrame],
    files: Sequence[str],
) -> list[Check]:
    """passk: rows of PASSK; audit: of HARD_AUDIT; counts: `attempt_counts` by the name of a stage; files: a line for
    each artifact that this run did not make as it lies there, and for each leftover.
    """
    timeouts, truncated, boxes = (list(_completions(config, counts, column)) for column in _COMPLETIONS)
    silent = tables.runs[tables.runs["steps_with_signal"] < tables.runs["outer_steps"]]
    unpromoted = tables.runs[(tables.runs["promotions"] == 0) & promotes(config, tables.runs)]
    return [
        Check("Hard problems whose gold answer is disputed", audit_notes(config, tables.sizes, audit), "none"),
        Check("Problems that the filter did not find hard", _unfiltered(config), "none"),
        Check("Completions that could not be scored in time", timeouts, "none"),
        Check("Completions that were cut off", truncated, "none"),
        Check("Completions without a boxed answer", boxes, "none"),
        Check("Outer steps without a signal", [_silence(row) for row in rows(silent)], "none"),
        Check(
            "SOAR runs without a promotion",
            [f"{place}: no promotion." for place in _places(unpromoted)] + _stand_ins(config, tables.passk),
            "none",
        ),
        Check("Promoted students that solve nothing", list(_useless(config, passk)), "none"),
        Check("Promotions that did not help", _unhelpful(tables.promoted_students), "none"),
        Check("Files that this run did not make as they are", list(files), "none"),
    ]


_COMPLETIONS = {
    "timeout": "{share} could not be verified in time; they count as not solved",
    "truncated": "{share} reached the token limit: the end token never came",
    "no_box": "{share} hold no boxed answer; they count as not solved",
}


def _completions(config: Config, counts: Mapping[str, pd.DataFrame], column: str) -> Iterable[str]:
    for dataset in config.datasets:
        for stage, frame in counts.items():
            row = frame.reindex([dataset], fill_value=0).iloc[0]
            total = int(row.drop("truncated").sum())
            if row[column]:
                share = f"{row[column]} of {total} completions ({100 * row[column] / total:.1f} %)"
                yield f"{dataset}, {stage}: {_COMPLETIONS[column].format(share=share)}."


def _unfiltered(config: Config) -> list[str]:
    if not config.filter.keep_all:
        return []
    return ["The filter's verdict was switched off (filter.keep_all): the problems are not all hard ones."]


def _silence(row: object) -> str:
    place = f"{row.dataset}, {row.objective}, teacher seed {row.teacher_seed}"
    count = row.outer_steps - row.steps_with_signal
    if not row.steps_with_signal:
        return f"{place}: no outer step had a reward that differed between datasets, so the teacher had no signal."
    return f"{place}: in {count} of {row.outer_steps} outer steps no reward differed between datasets."


def _places(runs: pd.DataFrame) -> Iterable[str]:
    for (dataset, objective), group in runs.groupby(["dataset", "objective"], sort=False):
        noun = "teacher seed" if len(group) == 1 else "teacher seeds"
        yield f"{dataset}, {objective}, {noun} {listed([str(seed) for seed in group['teacher_seed']])}"


def _stand_ins(config: Config, passk: pd.DataFrame) -> list[str]:
    lines = []
    for dataset in config.datasets:
        for row in rows_at_largest_k(config, dataset, passk).values():
            if row.status:
                every = row.all_runs_mean_percent
                instead = "" if every is None else f"; with a stand-in for those without, {every:.1f} % at pass@{row.k}"
                lines.append(f"{dataset}, {row.label}: {row.status}; its figures are of the other runs only{instead}.")
    return lines


def _useless(config: Config, passk: pd.DataFrame) -> Iterable[str]:
    """Promoted students, a teacher each, that solve no test problem at the largest k."""
    promoted = [name for name, arm in config.arms.items() if arm.policy == "promoted_student"]
    last = passk[(passk["k"] == config.pass_at_k[-1]) & passk["arm"].isin(promoted)]
    best = last.groupby(["dataset", "arm", "teacher_seed"], sort=False)["value"].max()
    for (dataset, arm), values in best.groupby(level=["dataset", "arm"], sort=False):
        seeds = [str(seed) for seed in values[values == 0].index.get_level_values("teacher_seed")]
        if seeds:
            label, noun = config.arms[arm].label, "teacher seed" if len(seeds) == 1 else "teacher seeds"
            yield f"{dataset}, {label}, {noun} {listed(seeds)}: solves none of the test problems."


def _unhelpful(promotions: pd.DataFrame) -> list[str]:
    """Promotions whose students solve nothing of train, or no more than the baseline before them."""
    return [
        f"{row.dataset}, {row.objective}, teacher seed {row.teacher_seed}, promotion {row.stage}: {row.status}."
        for row in rows(promotions[promotions["status"] != ""])
    ]


def remarks(config: Config, passk: pd.DataFrame) -> list[str]:
    """What the intervals are over, and how far the baseline is from the base model; passk: the long table."""
    lines = []
    for dataset in config.datasets:
        arms = rows_at_largest_k(config, dataset, passk)
        hard_only, base = arms.get(config.report.baseline_arm), base_model(config, arms)
        if hard_only and base:
            gain = hard_only.mean_percent - base.mean_percent
            side = "above" if gain >= 0 else "below"
            lines.append(
                f"{dataset}: {hard_only.label} is {abs(gain):.1f} points {side} {base.label} at pass@{base.k}: "
                f"{relation(hard_only, base)}."
            )
        lone = [row.label for row in arms.values() if row.teacher_seeds == 1]
        if lone:
            lines.append(
                f"{dataset}: one teacher seed for {listed(lone)}; the intervals cover students, not another teacher."
            )
    lines.append("Intervals are over seeds, on one fixed set of test problems.")
    return lines
