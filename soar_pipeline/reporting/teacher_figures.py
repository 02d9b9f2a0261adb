"""Figures about SOAR runs: teacher reward, baseline student, questions over time, diversity."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from soar_pipeline.artifact_paths import TeacherRun
from soar_pipeline.reporting.question_profile import (
    BANDS,
    ILL_POSED,
    RIGHT,
    band_name,
    difficulty_profile,
    length_profile,
)
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import (
    COLOURS,
    GREY,
    ORDERED,
    Style,
    empty,
    legend_below,
    line_handle,
    panels,
    styles,
    wrapped_panels,
)
from soar_pipeline.reporting.tables import VendiRow

Steps = Mapping[TeacherRun, list[dict[str, Any]]]
Questions = Mapping[TeacherRun, list[dict[str, Any]]]
NO_RUN = "no SOAR run"


def teacher_reward(shown: Selection, steps: Steps) -> Figure:
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
        if shown.config.objectives[run.name].promotion:
            axes.axhline(
                shown.config.soar_of(run.dataset, run.name).promotion_threshold, color=GREY, linestyle=":", linewidth=1
            )

    figure = _per_objective(shown, steps, draw, "mean reward of the step")
    seeds = sorted({run.teacher_seed for run in steps})
    promotion = Line2D([], [], marker="*", markersize=11, color="w", mfc="white", mec="black", ls="", label="promotion")
    tau = Line2D([], [], color=GREY, linestyle=":", label="threshold τ")
    silent = Line2D([], [], marker="o", mfc="none", mec="black", ls="", label="step without signal")
    legend_below(figure, [*_seed_handles(seeds), promotion, tau, silent] if steps else [])
    return figure


def baseline_accuracy(shown: Selection, steps: Steps) -> Figure:
    """Greedy accuracy of the baseline student on train, stage by stage."""

    def draw(axes: Axes, run: TeacherRun, rows: list[dict[str, Any]], look: Style) -> None:
        accuracy = [100.0 * row["baseline_train_accuracy"] for row in rows]
        numbers = [row["outer_step"] for row in rows]
        axes.step(numbers, accuracy, where="post", color=look.color, linestyle=look.linestyle)
        _mark_promotions(axes, rows, "baseline_train_accuracy", look, scale=100.0)
        axes.set_ylim(bottom=0)

    figure = _per_objective(shown, steps, draw, "train problems solved, %")
    promotion = Line2D([], [], marker="*", markersize=11, color="w", mfc="white", mec="black", ls="", label="promotion")
    legend_below(figure, [*_seed_handles(sorted({run.teacher_seed for run in steps})), promotion] if steps else [])
    return figure


def question_difficulty(shown: Selection, questions: Questions) -> Figure:
    """The teacher's questions by outer step, all seeds together.

    Embedded world: shares by difficulty, the ill-posed share hatched, the share with the right answer as a line.
    Other datasets: question length in characters, median and quartiles.
    """
    figure, cells = _cells(shown)
    embedded = False
    for (dataset, objective), axes in cells.items():
        rows = [question for run, asked in questions.items() if run[:2] == (dataset, objective) for question in asked]
        axes.set_title(title_of(shown, dataset, objective))
        axes.set_xlabel("outer step")
        if not rows:
            empty(axes, "no questions")
        elif shown.config.datasets[dataset].adapter == "digit_shuffles":
            embedded = True
            _difficulty_areas(axes, rows)
        else:
            _length_band(axes, rows)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if embedded:
        handles = [
            Patch(fc=colour, label=f"{band_name(band)} operations") for band, colour in zip(BANDS, ORDERED, strict=True)
        ]
        handles.append(Patch(fc="white", ec=GREY, hatch="////", label=ILL_POSED))
        handles.append(Line2D([], [], color=COLOURS[1], linewidth=2.2, label="right answer"))
        legend_below(figure, handles)
    return figure


def diversity(shown: Selection, steps: Steps, vendi: list[VendiRow]) -> Figure:
    """Left: mean pairwise cosine distance of the teacher's questions by outer step; right: Vendi score per arm."""
    figure, grid = panels(len(shown.datasets), 2)
    looks = styles(shown.objectives)
    for dataset, (over_time, scores) in zip(shown.datasets, grid, strict=True):
        for run, rows in sorted(steps.items()):
            if run.dataset == dataset and run.name in looks and rows:
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
        if not over_time.lines:
            empty(over_time, NO_RUN)
        _vendi_dots(scores, [row for row in vendi if row.dataset == dataset and row.arm in shown.arms])
        scores.set_title(f"{dataset}: final questions")
    legend_below(figure, [line_handle(name, look, marker=False) for name, look in looks.items()])
    return figure


def _per_objective(
    shown: Selection,
    steps: Steps,
    draw: Callable[[Axes, TeacherRun, list[dict[str, Any]], Style], None],
    ylabel: str,
) -> Figure:
    """One row per dataset, one column per objective; `draw` is called once per SOAR run with its look."""
    looks = styles(str(seed) for seed in sorted({run.teacher_seed for run in steps}))
    figure, cells = _cells(shown)
    for (dataset, objective), axes in cells.items():
        runs = {run: rows for run, rows in sorted(steps.items()) if run[:2] == (dataset, objective) and rows}
        for run, rows in runs.items():
            draw(axes, run, rows, looks[str(run.teacher_seed)])
        axes.set(title=title_of(shown, dataset, objective), xlabel="outer step", ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not runs:
            empty(axes, NO_RUN)
    return figure


def _cells(shown: Selection) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A row of panels per dataset, one for each objective; without an objective, one panel that says so."""
    figure, grid = wrapped_panels(len(shown.datasets), max(1, len(shown.objectives)))
    if not shown.objectives:
        for row in grid:
            empty(row[0], "no SOAR run in this configuration")
    places = ((dataset, objective) for dataset in shown.datasets for objective in shown.objectives)
    return figure, dict(zip(places, (axes for row in grid for axes in row), strict=False))


def title_of(shown: Selection, dataset: str, objective: str) -> str:
    """Of a panel about one objective's SOAR runs on a dataset."""
    title = f"{objective} ({shown.config.objectives[objective].reward})"
    return f"{dataset}: {title}" if len(shown.config.datasets) > 1 else title


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
    return [line_handle(f"teacher seed {seed}", looks[str(seed)]) for seed in seeds]
