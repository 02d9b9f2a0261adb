"""Figures of learning curves: test pass@k against the training step of fresh students (spec section 8)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from soar_pipeline.artifact_paths import SERL, StudentRun
from soar_pipeline.config import Config
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import DASHES, GREY, Style, empty, legend_below, line_handle, styles, wrapped_panels
from soar_pipeline.reporting.tables import PasskRow

Curve = list[dict[str, Any]]
Curves = Mapping[StudentRun, Curve]


def learning_curves(shown: Selection, curves: Curves, passk: list[PasskRow]) -> Figure:
    """Mean over runs, band of one SD; policies that are not trained as levels.

    A row of panels per dataset, one for each k.
    """
    config, looks, ks = shown.config, arm_styles(shown), shown.ks
    untrained = shown.arms.keys() - shown.trained_arms.keys()
    figure, grid = wrapped_panels(len(shown.datasets), len(ks))
    for dataset, row in zip(shown.datasets, grid, strict=True):
        for k, axes in zip(ks, row, strict=True):
            for name in shown.arms_on(dataset):
                _mean_curve(axes, _points(config, curves, dataset, name, k), looks[name])
            levels = [row for row in passk if (row.dataset, row.k) == (dataset, k) and row.arm in untrained]
            for level in levels:
                if level.mean_percent is not None:
                    look = looks[level.arm]
                    axes.axhline(level.mean_percent, color=look.color, linestyle=look.linestyle, linewidth=1.1)
            _finish(axes, config, dataset, f"{dataset}: pass@{k}")
    notes = {name: " (not trained)" if name in untrained else "" for name in shown.arms}
    legend_below(
        figure,
        [
            line_handle(arm.label + notes[name], looks[name], marker=name not in untrained)
            for name, arm in shown.arms.items()
        ],
    )
    return figure


def seed_curves(shown: Selection, curves: Curves) -> Figure:
    """A line per teacher seed, the mean over its students, beside the mean of the baseline arm.

    A row of panels per dataset and k, one for each arm.
    """
    config, baseline = shown.config, shown.config.report.baseline_arm
    arms = [name for name in shown.trained_arms if name != baseline]
    rows = [(dataset, k) for dataset in shown.datasets for k in shown.ks]
    figure, grid = wrapped_panels(len(rows), max(1, len(arms)))
    seeds = sorted({seed for name in arms for seed in config.teacher_seeds(name)})
    looks = styles(map(str, seeds))
    for (dataset, k), panels_of_row in zip(rows, grid, strict=True):
        for name, axes in zip(arms, panels_of_row, strict=False):
            if name in shown.arms_on(dataset):
                for seed in seeds:
                    points = _points(config, curves, dataset, name, k, teacher_seed=seed)
                    _mean_curve(axes, points, looks[str(seed)], band=False)
            if axes.lines:
                _mean_curve(axes, _points(config, curves, dataset, baseline, k), REFERENCE, band=False)
            _finish(axes, config, dataset, f"{dataset}: {config.arms[name].label}, pass@{k}")
        if not arms:
            empty(panels_of_row[0], "no arm that is trained")
        # Side by side to be compared: one scale.
        top = max(axes.get_ylim()[1] for axes in panels_of_row)
        for axes in panels_of_row:
            axes.set_ylim(-0.02 * top, top)
    handles = [line_handle(f"teacher seed {seed}" if seed else "no teacher", looks[str(seed)]) for seed in seeds]
    legend_below(figure, [*handles, line_handle(config.arms[baseline].label, REFERENCE)])
    return figure


# References recede: the baseline arm in black, the base model in grey.
REFERENCE = Style("black", DASHES[0], "X")
BASE = Style(GREY, DASHES[2], "P", "++")


def arm_styles(shown: Selection) -> dict[str, Style]:
    """By position among the arms of the figure, so that any two of them can be told apart."""
    baseline = shown.config.report.baseline_arm
    bases = [name for name, arm in shown.arms.items() if arm.policy == "base"]
    looks = styles(name for name in shown.arms if name not in (*bases, baseline))
    return looks | dict.fromkeys(bases, BASE) | {baseline: REFERENCE}


def _points(
    config: Config, curves: Curves, dataset: str, arm: str, k: int, teacher_seed: int | None = None
) -> dict[int, list[float]]:
    """pass@k in percent of every run of an arm (of one teacher seed), by step."""
    settings = config.arms[arm]
    # The arms that report SeRL at different steps share its curves: each ends at the step that it reports.
    last = settings.step or np.inf
    values: dict[int, list[float]] = {}
    for run, curve in curves.items():
        if (run.dataset, run.arm) != (dataset, SERL if settings.policy == "serl" else arm):
            continue
        if teacher_seed is not None and run.teacher_seed != teacher_seed:
            continue
        for point in curve:
            value = point[f"pass_at_{k}"]
            if value is not None and point["step"] <= last:
                values.setdefault(point["step"], []).append(100.0 * value)
    return dict(sorted(values.items()))


def _mean_curve(axes: Axes, points: Mapping[int, Iterable[float]], look: Style, band: bool = True) -> None:
    if not points:
        return
    steps = list(points)
    mean = np.array([np.mean(values) for values in points.values()])
    if band:
        sd = np.array([np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in points.values()])
        low, high = np.clip(mean - sd, 0, 100), np.clip(mean + sd, 0, 100)
        axes.fill_between(steps, low, high, color=look.color, alpha=0.15, lw=0)
    axes.plot(steps, mean, color=look.color, linestyle=look.linestyle, marker=look.marker)


def _finish(axes: Axes, config: Config, dataset: str, title: str) -> None:
    axes.set_title(title)
    if not axes.lines:
        empty(axes, "not run")
        return
    fresh = config.fresh_student_on(dataset)
    if fresh.mixing == "curriculum":
        axes.axvline(fresh.synthetic_steps, color=GREY, linewidth=0.8, linestyle=DASHES[5])
    axes.set(xlabel="student step", ylabel="test problems solved, %")
    # A little below zero: arms that solve nothing stay visible.
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
