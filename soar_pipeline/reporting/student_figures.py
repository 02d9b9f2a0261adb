"""Figures of learning curves: test pass@k against the training step of fresh students (docs/method.md §8)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from soar_pipeline.config import SERL, Config, Plan
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import (
    DASHES,
    Style,
    empty,
    legend_below,
    line_handle,
    percent_axis,
    styles,
    wrapped_panels,
)
from soar_pipeline.reporting.theme import GREY, INK


def learning_curves(selection: Selection, curves: pd.DataFrame, passk: pd.DataFrame) -> Figure:
    """Mean over runs, band of one SD; policies that are not trained as levels.

    A row of panels per dataset, one for each k.
    """
    config, looks, ks = selection.config, arm_styles(selection), selection.ks
    untrained = selection.arms.keys() - selection.trained_arms.keys()
    figure, grid = wrapped_panels(len(selection.datasets), len(ks))
    for dataset, row in zip(selection.datasets, grid, strict=True):
        for k, axes in zip(ks, row, strict=True):
            for name in selection.arms_on(dataset):
                points = _points(config, curves, passk, dataset, name, k)
                _mean_curve(axes, points, looks[name], config.arms[name].label)
            at_k = passk[(passk["dataset"] == dataset) & (passk["k"] == k) & passk["arm"].isin(untrained)]
            for level in at_k.dropna(subset="mean_percent").itertuples(index=False):
                look = looks[level.arm]
                label = f"{level.label} (not trained)"
                axes.axhline(level.mean_percent, color=look.color, linestyle=look.linestyle, linewidth=1.1, label=label)
            _finish(axes, config, dataset, f"{dataset}: pass@{k}")
    notes = {name: " (not trained)" if name in untrained else "" for name in selection.arms}
    legend_below(
        figure,
        [
            line_handle(arm.label + notes[name], looks[name], marker=name not in untrained)
            for name, arm in selection.arms.items()
        ],
    )
    return figure


def seed_curves(selection: Selection, curves: pd.DataFrame, passk: pd.DataFrame) -> Figure:
    """A line per teacher seed, the mean over its students, beside the mean of the baseline arm.

    A row of panels per dataset and k, one for each arm.
    """
    config, baseline = selection.config, selection.config.report.baseline_arm
    arms = [name for name in selection.trained_arms if name != baseline]
    rows = [(dataset, k) for dataset in selection.datasets for k in selection.ks]
    figure, grid = wrapped_panels(len(rows), max(1, len(arms)))
    seeds = sorted({seed for name in arms for seed in Plan(config).teacher_seeds(name)})
    looks = styles(map(str, seeds))
    for (dataset, k), panels_of_row in zip(rows, grid, strict=True):
        for name, axes in zip(arms, panels_of_row, strict=False):
            if name in selection.arms_on(dataset):
                for seed in seeds:
                    points = _points(config, curves, passk, dataset, name, k, teacher_seed=seed)
                    _mean_curve(axes, points, looks[str(seed)], _of_seed(seed), band=False)
            if axes.lines:
                points = _points(config, curves, passk, dataset, baseline, k)
                _mean_curve(axes, points, REFERENCE, config.arms[baseline].label, band=False)
            _finish(axes, config, dataset, f"{dataset}: {config.arms[name].label}, pass@{k}")
        if not arms:
            empty(panels_of_row[0], "no arm that is trained")
        # Side by side to be compared: one scale.
        limits = max((axes.get_ylim() for axes in panels_of_row), key=lambda ends: ends[1])
        for axes in panels_of_row:
            axes.set_ylim(limits)
    handles = [line_handle(_of_seed(seed), looks[str(seed)]) for seed in seeds]
    legend_below(figure, [*handles, line_handle(config.arms[baseline].label, REFERENCE)])
    return figure


def _of_seed(seed: int) -> str:
    return f"teacher seed {seed}" if seed else "no teacher"


# References recede: the baseline arm in the colour of text, the base model in grey.
REFERENCE = Style(INK, DASHES[0], "X")
BASE = Style(GREY, DASHES[2], "P", "++")


def arm_styles(selection: Selection) -> dict[str, Style]:
    """By position among the arms of the figure, so that any two of them can be told apart."""
    baseline = selection.config.report.baseline_arm
    bases = [name for name, arm in selection.arms.items() if arm.policy == "base"]
    looks = styles(name for name in selection.arms if name not in (*bases, baseline))
    return looks | dict.fromkeys(bases, BASE) | {baseline: REFERENCE}


def _points(
    config: Config,
    curves: pd.DataFrame,
    passk: pd.DataFrame,
    dataset: str,
    arm: str,
    k: int,
    teacher_seed: int | None = None,
) -> pd.DataFrame:
    """Mean and SD of pass@k in percent over the runs of an arm (of one teacher seed), by step.

    Students start as the base model: if that was evaluated and a curve begins later, step 0 has its figures.
    """
    settings = config.arms[arm]
    # The arms that report SeRL at different steps share its curves: each ends at the step that it reports.
    chosen = (curves["dataset"] == dataset) & (curves["arm"] == (SERL if settings.policy == "serl" else arm))
    chosen &= curves["step"] <= (settings.step or np.inf)
    if teacher_seed is not None:
        chosen &= curves["teacher_seed"] == teacher_seed
    evaluated = 100.0 * curves[chosen].set_index("step")[f"pass_at_{k}"].dropna()
    points = evaluated.groupby("step").agg(["mean", "std"])
    bases = [name for name, other in config.arms_on(dataset).items() if other.policy == "base"]
    base = passk[(passk["dataset"] == dataset) & (passk["k"] == k) & passk["arm"].isin(bases[:1])]
    base = base.dropna(subset="mean_percent")
    if len(points) and points.index[0] > 0 and len(base):
        start = base[["mean_percent", "sd_percent"]].astype(float).set_axis(["mean", "std"], axis="columns")
        points = pd.concat([start.set_axis([0]), points])
    return points


def _mean_curve(axes: Axes, points: pd.DataFrame, look: Style, label: str, band: bool = True) -> None:
    if points.empty:
        return
    steps, mean = points.index.to_numpy(), points["mean"].to_numpy()
    if band:
        sd = points["std"].fillna(0.0).to_numpy()
        low, high = np.clip(mean - sd, 0, 100), np.clip(mean + sd, 0, 100)
        axes.fill_between(steps, low, high, color=look.color, alpha=0.15, lw=0)
    axes.plot(steps, mean, color=look.color, linestyle=look.linestyle, marker=look.marker, label=label)


def _finish(axes: Axes, config: Config, dataset: str, title: str) -> None:
    axes.set_title(title)
    if not axes.lines:
        empty(axes, "not run")
        return
    fresh = config.fresh_student_on(dataset)
    if fresh.mixing == "curriculum":
        axes.axvline(fresh.synthetic_steps, color=GREY, linewidth=0.8, linestyle=DASHES[5])
    axes.set(xlabel="student step")
    axes.set_xlim(left=-0.02 * axes.dataLim.x1)
    percent_axis(axes, "test problems solved, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
