"""Figures about fresh students: learning curves, and improvement over the baseline arm beside the paper's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from soar_pipeline.artifact_paths import StudentRun
from soar_pipeline.config import Config
from soar_pipeline.reporting.paper import paper_name
from soar_pipeline.reporting.style import DASHES, GREY, Style, empty, legend_below, panels, styles
from soar_pipeline.reporting.tables import PasskRow

Curves = Mapping[StudentRun, list[dict[str, Any]]]


def learning_curves(config: Config, curves: Curves, passk: list[PasskRow]) -> Figure:
    """Test pass@k against training step: mean over runs, band of one SD; policies that are not trained as levels.

    One row of panels per dataset; columns: the smallest and the largest k.
    """
    looks = arm_styles(config)
    ks = sorted({config.pass_at_k[0], config.pass_at_k[-1]})
    figure, grid = panels(len(config.datasets), len(ks))
    for dataset, row in zip(config.datasets, grid, strict=True):
        for k, axes in zip(ks, row, strict=True):
            for name in config.arms_on(dataset):
                runs = [curve for run, curve in curves.items() if (run.dataset, run.arm) == (dataset, name)]
                _curve(axes, runs, k, looks[name])
            for level in passk:
                untrained = config.arms[level.arm].policy != "fresh_student"
                if untrained and (level.dataset, level.k) == (dataset, k) and level.mean_percent is not None:
                    look = looks[level.arm]
                    axes.axhline(level.mean_percent, color=look.color, linestyle=look.linestyle, linewidth=1.1)
            fresh = config.fresh_student_on(dataset)
            if fresh.mixing == "curriculum":
                axes.axvline(fresh.synthetic_steps, color=GREY, linewidth=0.8, linestyle=DASHES[5])
            axes.set(title=f"{dataset}: pass@{k}", xlabel="student step", ylabel="test problems solved, %")
            # A little below zero: arms that solve nothing stay visible.
            axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, [_handle(config, name, looks[name]) for name in config.arms])
    return figure


def arm_styles(config: Config) -> dict[str, Style]:
    """References recede: the base model in grey, the baseline arm in black; the other arms by position."""
    baseline = config.report.baseline_arm
    bases = [name for name, arm in config.arms.items() if arm.policy == "base"]
    looks = styles(name for name in config.arms if name not in (*bases, baseline))
    looks |= {name: Style(GREY, DASHES[2], "P") for name in bases}
    return looks | {baseline: Style("black", DASHES[0], "X")}


def _curve(axes: Axes, runs: list[list[dict[str, Any]]], k: int, look: Style) -> None:
    values: dict[int, list[float]] = {}
    for curve in runs:
        for point in curve:
            if point[f"pass_at_{k}"] is not None:
                values.setdefault(point["step"], []).append(100.0 * point[f"pass_at_{k}"])
    if not values:
        return
    steps = sorted(values)
    mean = np.array([np.mean(values[step]) for step in steps])
    sd = np.array([np.std(values[step], ddof=1) if len(values[step]) > 1 else 0.0 for step in steps])
    axes.fill_between(steps, np.clip(mean - sd, 0, 100), np.clip(mean + sd, 0, 100), color=look.color, alpha=0.15, lw=0)
    axes.plot(steps, mean, color=look.color, linestyle=look.linestyle, marker=look.marker)


def _handle(config: Config, name: str, look: Style) -> Line2D:
    trained = config.arms[name].policy == "fresh_student"
    label = config.arms[name].label if trained else f"{config.arms[name].label} (not trained)"
    return Line2D(
        [], [], color=look.color, linestyle=look.linestyle, marker=look.marker if trained else "", label=label
    )


def improvement(config: Config, passk: list[PasskRow]) -> Figure:
    """Improvement over the baseline arm in points at each k: ours in the left column, the paper's in the right."""
    looks = arm_styles(config)
    baseline = config.report.baseline_arm
    figure, grid = panels(len(config.datasets), 2)
    others = [name for name in config.arms if name != baseline]
    for dataset, (ours, papers) in zip(config.datasets, grid, strict=True):
        rows = {(row.arm, row.k): row for row in passk if row.dataset == dataset}
        _improvements(ours, config, rows, looks, "mean_percent", "sd_percent")
        _improvements(papers, config, rows, looks, "paper_mean_percent", "paper_sd_percent")
        ours.set_title(f"{dataset}: this run")
        papers.set_title(_paper_title(config, dataset))
        ours.set_ylabel(f"points over {config.arms[baseline].label}")
    legend_below(figure, [_line(config.arms[name].label, looks[name]) for name in others])
    return figure


def _improvements(
    axes: Axes, config: Config, rows: dict[tuple[str, int], PasskRow], looks: dict[str, Style], mean: str, sd: str
) -> None:
    baseline, drawn = config.report.baseline_arm, False
    others = [name for name, k in rows if k == config.pass_at_k[0] and name != baseline]
    for position, name in enumerate(others if (baseline, config.pass_at_k[0]) in rows else ()):
        points = [
            (k, getattr(rows[name, k], mean) - getattr(rows[baseline, k], mean), getattr(rows[name, k], sd) or 0.0)
            for k in config.pass_at_k
            if getattr(rows[name, k], mean) is not None and getattr(rows[baseline, k], mean) is not None
        ]
        if not points:
            continue
        drawn = True
        ks, gains, spreads = (np.array(column, dtype=float) for column in zip(*points, strict=True))
        # Neighbouring arms stand a little apart, so that their error bars can be told apart.
        apart = 2.0 ** (0.07 * (position - (len(others) - 1) / 2))
        look = looks[name]
        axes.errorbar(
            ks * apart, gains, spreads, color=look.color, ls=look.linestyle, marker=look.marker, elinewidth=0.9
        )
    if not drawn:
        empty(axes, "no figures for these arms")
        return
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(config.pass_at_k, [str(k) for k in config.pass_at_k])
    axes.minorticks_off()
    axes.set_xlabel("k")


def _paper_title(config: Config, dataset: str) -> str:
    table = config.datasets[dataset].paper_table
    if table is None:
        return "paper"
    number = table.removeprefix("table").split("_")[0]
    return f"paper, table {number} ({paper_name(config, dataset) or table.partition('_')[2]})"


def _line(label: str, look: Style) -> Line2D:
    return Line2D([], [], color=look.color, linestyle=look.linestyle, marker=look.marker, label=label)
