"""Figures about SOAR runs: teacher reward, baseline student, questions over time, diversity."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from soar_pipeline.artifact_paths import TeacherRun
from soar_pipeline.config import Config
from soar_pipeline.reporting.question_profile import (
    BANDS,
    ILL_POSED,
    RIGHT,
    band_name,
    difficulty_profile,
    length_profile,
)
from soar_pipeline.reporting.style import COLOURS, GREY, ORDERED, Style, empty, legend_below, panels, styles
from soar_pipeline.reporting.tables import VendiRow

Steps = Mapping[TeacherRun, list[dict[str, Any]]]


def teacher_reward(config: Config, steps: Steps) -> Figure:
    """Mean reward of every outer step (dots), its moving average (line), promotions, and tau."""

    def draw(axes: Axes, run: TeacherRun, rows: list[dict[str, Any]], look: Style) -> None:
        signal = [row for row in rows if row["signal"]]
        silent = [row for row in rows if not row["signal"]]
        for points, face in ((signal, look.color), (silent, "none")):
            axes.scatter(
                [row["outer_step"] for row in points],
                [row["mean_reward"] for row in points],
                s=16,
                marker=look.marker,
                facecolors=face,
                edgecolors=look.color,
                linewidths=0.8,
                alpha=0.55,
            )
        # The window starts afresh after a promotion: the gaps in the moving average are real.
        average = [np.nan if row["moving_average"] is None else row["moving_average"] for row in rows]
        axes.plot([row["outer_step"] for row in rows], average, color=look.color, linestyle=look.linestyle)
        _mark_promotions(axes, rows, "mean_reward", look)
        if config.objectives[run.name].promotion:
            axes.axhline(
                config.soar_of(run.dataset, run.name).promotion_threshold, color=GREY, linestyle=":", linewidth=1
            )

    figure = _per_objective(config, steps, draw, "mean reward of the step")
    seeds = sorted({run.teacher_seed for run in steps})
    promotion = Line2D([], [], marker="*", markersize=11, color="w", mfc="white", mec="black", ls="", label="promotion")
    tau = Line2D([], [], color=GREY, linestyle=":", label="threshold τ")
    silent = Line2D([], [], marker="o", mfc="none", mec="black", ls="", label="step without signal")
    legend_below(figure, [*_seed_handles(seeds), promotion, tau, silent] if steps else [])
    return figure


def baseline_accuracy(config: Config, steps: Steps) -> Figure:
    """Greedy accuracy of the baseline student on train, stage by stage."""

    def draw(axes: Axes, run: TeacherRun, rows: list[dict[str, Any]], look: Style) -> None:
        accuracy = [100.0 * row["baseline_train_accuracy"] for row in rows]
        numbers = [row["outer_step"] for row in rows]
        axes.step(numbers, accuracy, where="post", color=look.color, linestyle=look.linestyle)
        _mark_promotions(axes, rows, "baseline_train_accuracy", look, scale=100.0)
        axes.set_ylim(bottom=0)

    figure = _per_objective(config, steps, draw, "train problems solved, %")
    promotion = Line2D([], [], marker="*", markersize=11, color="w", mfc="white", mec="black", ls="", label="promotion")
    legend_below(figure, [*_seed_handles(sorted({run.teacher_seed for run in steps})), promotion] if steps else [])
    return figure


def question_difficulty(config: Config, questions: Mapping[TeacherRun, list[dict[str, Any]]]) -> Figure:
    """The teacher's questions by outer step, all seeds together.

    Embedded world: shares by difficulty, the ill-posed share hatched, the share with the right answer as a line.
    Other datasets: question length in characters, median and quartiles.
    """
    cells = list(_cells(config))
    figure, grid = panels(len(config.datasets), max(1, len(config.objectives)))
    embedded = False
    for dataset, objective, row, column in cells:
        axes = grid[row][column]
        rows = [question for run, asked in questions.items() if run[:2] == (dataset, objective) for question in asked]
        axes.set_title(_title(config, dataset, objective))
        axes.set_xlabel("outer step")
        if not rows:
            empty(axes, "no questions")
        elif config.datasets[dataset].adapter == "digit_shuffles":
            embedded = True
            _difficulty_areas(axes, rows)
        else:
            _length_band(axes, rows)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not cells:
        empty(grid[0][0], "no SOAR run in this configuration")
    if embedded:
        handles = [
            Patch(fc=colour, label=f"{band_name(band)} operations") for band, colour in zip(BANDS, ORDERED, strict=True)
        ]
        handles.append(Patch(fc="white", ec=GREY, hatch="////", label=ILL_POSED))
        handles.append(Line2D([], [], color=COLOURS[1], linewidth=2.2, label="right answer"))
        legend_below(figure, handles)
    return figure


def diversity(config: Config, steps: Steps, vendi: list[VendiRow]) -> Figure:
    """Left: mean pairwise cosine distance of the teacher's questions by outer step; right: Vendi score per arm."""
    figure, grid = panels(len(config.datasets), 2)
    looks = styles(config.objectives)
    for dataset, (over_time, scores) in zip(config.datasets, grid, strict=True):
        for run, rows in sorted(steps.items()):
            if run.dataset == dataset and rows:
                look = looks[run.name]
                over_time.plot(
                    [row["outer_step"] for row in rows],
                    [row["diversity"] for row in rows],
                    color=look.color,
                    linestyle=look.linestyle,
                    linewidth=1.4,
                )
        over_time.set(title=f"{dataset}: during training", xlabel="outer step", ylabel="mean pairwise cosine distance")
        over_time.xaxis.set_major_locator(MaxNLocator(integer=True))
        _vendi_dots(scores, [row for row in vendi if row.dataset == dataset])
        scores.set_title(f"{dataset}: final questions")
    legend_below(figure, [_line(name, look) for name, look in looks.items()])
    return figure


def _per_objective(
    config: Config,
    steps: Steps,
    draw: Callable[[Axes, TeacherRun, list[dict[str, Any]], Style], None],
    ylabel: str,
) -> Figure:
    """One row per dataset, one column per objective; `draw` is called once per SOAR run with its look."""
    looks = styles(str(seed) for seed in sorted({run.teacher_seed for run in steps}))
    figure, grid = panels(len(config.datasets), max(1, len(config.objectives)))
    cells = list(_cells(config))
    for dataset, objective, row, column in cells:
        axes = grid[row][column]
        runs = {run: rows for run, rows in sorted(steps.items()) if run[:2] == (dataset, objective) and rows}
        for run, rows in runs.items():
            draw(axes, run, rows, looks[str(run.teacher_seed)])
        axes.set(title=_title(config, dataset, objective), xlabel="outer step", ylabel="" if column else ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not runs:
            empty(axes, "no SOAR run")
    if not cells:
        empty(grid[0][0], "no SOAR run in this configuration")
    return figure


def _cells(config: Config) -> Iterator[tuple[str, str, int, int]]:
    for row, dataset in enumerate(config.datasets):
        for column, objective in enumerate(config.objectives):
            yield dataset, objective, row, column


def _title(config: Config, dataset: str, objective: str) -> str:
    title = f"{objective} ({config.objectives[objective].reward})"
    return f"{dataset}: {title}" if len(config.datasets) > 1 else title


def _mark_promotions(axes: Axes, rows: list[dict[str, Any]], column: str, look: Style, scale: float = 1.0) -> None:
    promoted = [row for row in rows if row["promoted"]]
    for row in promoted:
        axes.axvline(row["outer_step"], color=look.color, linewidth=0.8, alpha=0.4)
    axes.scatter(
        [row["outer_step"] for row in promoted],
        [scale * row[column] for row in promoted],
        marker="*",
        s=110,
        facecolors="white",
        edgecolors=look.color,
        linewidths=1.2,
        zorder=5,
        clip_on=False,
    )


def _difficulty_areas(axes: Axes, questions: list[dict[str, Any]]) -> None:
    profile = difficulty_profile(questions)
    steps = list(profile)
    names = [*(band_name(band) for band in BANDS), ILL_POSED]
    shares = [[100.0 * profile[step][name] for step in steps] for name in names]
    # Bars, not areas: a step is a batch of its own, and a run of one step must show too.
    bottom = np.zeros(len(steps))
    for share, colour in zip(shares, (*ORDERED, "white"), strict=True):
        hatch = "////" if colour == "white" else None
        axes.bar(steps, share, 1.0, bottom, color=colour, hatch=hatch, edgecolor=GREY if hatch else colour, linewidth=0)
        bottom += share
    right = [100.0 * profile[step][RIGHT] for step in steps]
    axes.plot(steps, right, color="white", linewidth=4)
    axes.plot(steps, right, color=COLOURS[1], linewidth=2.2, marker="o" if len(steps) == 1 else "")
    axes.set(ylabel="share of questions, %", ylim=(0, 100), xlim=(steps[0] - 0.5, steps[-1] + 0.5))
    axes.grid(False)


def _length_band(axes: Axes, questions: list[dict[str, Any]]) -> None:
    profile = length_profile(questions)
    lower, median, upper = np.array(list(profile.values())).T
    axes.fill_between(list(profile), lower, upper, color=COLOURS[0], alpha=0.2, lw=0)
    axes.plot(list(profile), median, color=COLOURS[0], marker="o")
    axes.set(ylabel="question length, characters", ylim=(0, None))


def _vendi_dots(axes: Axes, rows: list[VendiRow]) -> None:
    known = [row for row in rows if row.vendi_mean is not None]
    if not known:
        empty(axes, "no set of two or more questions")
        return
    axes.errorbar(
        [row.vendi_mean for row in known],
        range(len(known)),
        xerr=[row.vendi_sd or 0.0 for row in known],
        fmt="o",
        color=COLOURS[0],
        elinewidth=1.2,
        capsize=3,
    )
    for place, row in enumerate(known):
        axes.annotate(f"n = {row.subsample}", (row.vendi_mean, place), (0, 7), textcoords="offset points", ha="center",
                      fontsize=7.5, color=GREY)  # fmt: skip
    axes.set_yticks(range(len(known)), [row.label for row in known])
    axes.set_ylim(len(known) - 0.4, -0.7)
    axes.set_xlim(left=0)
    axes.set_xlabel("Vendi score")


def _seed_handles(seeds: list[int]) -> list[Line2D]:
    looks = styles(str(seed) for seed in seeds)
    return [_line(f"teacher seed {seed}", looks[str(seed)], marker=True) for seed in seeds]


def _line(label: str, look: Style, marker: bool = False) -> Line2D:
    return Line2D([], [], color=look.color, linestyle=look.linestyle, marker=look.marker if marker else "", label=label)
