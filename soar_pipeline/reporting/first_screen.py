"""What the page shows before anything else: every student of the headline arms, and what was run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from soar_pipeline.config import Config, Plan
from soar_pipeline.reporting.durations import duration
from soar_pipeline.reporting.finding import base_model, counted, interval_of, listed, rows_at_largest_k, seeds_of
from soar_pipeline.reporting.frames import Row, rows
from soar_pipeline.reporting.long_tables import Tables


@dataclass(frozen=True)
class Interval:
    """An arm at the largest k, in percent: mean, 95 % interval, and every run; words: the same as a sentence.

    unstuck: its row of the table of that name, None if it has no student. baseline: whether it is the arm that others
    are compared with; reference: or the model that is not trained. end: of the scale, which begins at 0.
    """

    label: str
    mean: float
    low: float | None
    high: float | None
    runs: list[float]
    unstuck: Row | None
    seeds: str
    words: str
    baseline: bool
    reference: bool
    end: float

    def place(self, percent: float) -> str:
        """On the scale, as CSS reads it."""
        return f"{100 * percent / self.end:.2f}%"

    def width(self) -> str:
        return self.place(self.high - self.low)


def intervals(config: Config, tables: Tables, passk: pd.DataFrame) -> dict[str, dict[str, Interval]]:
    """By dataset and arm, of those that have figures; tables: the long ones, passk: rows of PASSK, one per run."""
    last = passk[passk["k"] == config.pass_at_k[-1]]
    end = _scale(config, tables.passk, last)
    unstuck = {(row.dataset, row.arm): row for row in rows(tables.unstuck) if row.students}
    of_arms = {key: list(100.0 * values) for key, values in last.groupby(["dataset", "arm"])["value"]}
    return {
        dataset: {
            arm: _interval(config, row, sorted(of_arms.get((dataset, arm), [])), unstuck.get((dataset, arm)), end)
            for arm, row in rows_at_largest_k(config, dataset, tables.passk).items()
        }
        for dataset in config.datasets
    }


def headline(config: Config, here: dict[str, Interval], arms: dict[str, Row]) -> list[Interval]:
    """Of one dataset: the headline arms, then what they are compared with; all arms if it has no headline arm."""
    base = base_model(config, arms)
    wanted = [*config.report.headline_arms, config.report.baseline_arm, *([base.arm] if base else [])]
    if not set(config.report.headline_arms) & here.keys():
        wanted = list(here)
    return [here[name] for name in wanted if name in here]


def _interval(config: Config, row: Row, runs: list[float], unstuck: Row | None, end: float) -> Interval:
    each = ", ".join(f"{one:.1f}" for one in runs)
    words = f"{row.label}: {row.mean_percent:.1f} % ({interval_of(row)}); runs: {each}"
    if unstuck:
        words += f"; {unstuck.unstuck} of {unstuck.students} came unstuck"
    ends = row.interval_low_percent, row.interval_high_percent
    baseline = row.arm == config.report.baseline_arm
    reference = baseline or config.arms[row.arm].policy == "base"
    return Interval(row.label, row.mean_percent, *ends, runs, unstuck, seeds_of(row), words, baseline, reference, end)


def _scale(config: Config, table: pd.DataFrame, runs: pd.DataFrame) -> float:
    """Right end of the interval plots in percent: the next multiple of ten above everything at the largest k."""
    last = table[table["k"] == config.pass_at_k[-1]]
    tops = [last["interval_high_percent"].max(), last["mean_percent"].max(), 100.0 * runs["value"].max()]
    known = [float(top) for top in tops if not pd.isna(top)]
    return max(10.0, min(100.0, 10.0 * math.ceil(max(known, default=0.0) / 10)))


def ticks(of_arms: Mapping[str, Mapping[str, Interval]]) -> list[int]:
    """Of the scale that all intervals share, from 0 to its end."""
    end = round(next((one.end for here in of_arms.values() for one in here.values()), 100.0))
    every = 25 if end == 100 else 10 if end <= 50 else 20
    return [*range(0, end - every // 2, every), end]


def what_ran(config: Config, tables: Tables, costs: pd.DataFrame) -> dict[str, str]:
    """What ran, in a line each; costs: `rule_costs`."""
    models = dict.fromkeys(config.datasets[name].model for name in config.datasets)
    soar, students = tables.runs, len(Plan(config).fresh_students)
    steps = counted(int(soar["outer_steps"].sum()), "outer step")
    promotions = counted(int(soar["promotions"].sum()), "promotion")
    lines = {
        "Configuration": f"{config.run}, seed {config.seed}: {listed(list(config.datasets))}; "
        + listed([_model(config, name) for name in models]),
        "Runs": f"{counted(len(soar), 'SOAR run')} with {steps} and {promotions}; "
        f"{counted(students, 'fresh student')}; {counted(len(config.arms), 'arm')}",
        "Seeds": f"{config.seeds.teacher} teacher × {config.seeds.student} student, unless an arm says otherwise",
    }
    if len(costs):
        longest, peak = costs.iloc[0], costs["peak_mb"].max()
        of_it = f"{duration(longest['seconds'])} of it {longest['rule']}"
        memory = "" if pd.isna(peak) else f"; at most {peak / 1024:.1f} GB in a job"
        lines["Time"] = f"{duration(costs['seconds'].sum())} of jobs, {of_it}{memory}"
    return lines | {"Cost": _judge_cost(tables.taxonomy)}


def _model(config: Config, name: str) -> str:
    model = config.models[name]
    return "a model pretrained here" if model.source == "pretrain" else model.path


def _judge_cost(taxonomy: pd.DataFrame) -> str:
    """What a judge was paid; what the computing costs elsewhere is not in a run's files."""
    tokens = int(taxonomy["prompt_tokens"].sum() + taxonomy["completion_tokens"].sum())
    elsewhere = "python -m soar_pipeline.cost says what the computing would take on other devices"
    if not tokens:
        return f"no model judged questions; {elsewhere}"
    money = taxonomy["cost"].sum()
    price = f" for {money:.2f} at the configured prices" if money else ""
    return f"a model that judged questions read and wrote {tokens:,} tokens{price}; {elsewhere}"
