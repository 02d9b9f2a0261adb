"""Figures about SOAR runs: composition and difficulty of the questions, rewards, baseline student, diversity."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from soar_pipeline.reporting import composition
from soar_pipeline.reporting.frames import by_soar_run, of_objective
from soar_pipeline.reporting.question_profile import (
    BANDS,
    CLASSES,
    RIGHT,
    band_name,
    difficulty_profile,
    length_profile,
)
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import (
    empty,
    legend_below,
    line_handle,
    panels,
    promotion_handle,
    styles,
    wrapped_panels,
)
from soar_pipeline.reporting.teacher_panels import (
    baseline_panel,
    composition_handles,
    composition_panel,
    outer_step_axis,
    reward_panel,
    seed_handles,
    seed_styles,
)
from soar_pipeline.reporting.theme import COLOURS, GREY, INK, LIGHT_GREY, ORDERED, PAPER

NO_RUN = "no SOAR run"
NOT_JUDGED = "no judge was asked about these questions"
# Looks of question_profile.CLASSES: bands of difficulty, then what is no question with one answer.
_CLASS_COLOURS = (*ORDERED, LIGHT_GREY, COLOURS[5])


def question_composition(
    selection: Selection, steps: pd.DataFrame, questions: pd.DataFrame, verdicts: pd.DataFrame
) -> Figure:
    """Shares of the classes of the teacher's questions by outer step, all teacher seeds together; promotions above."""
    names: dict[str, None] = {}

    def draw(axes: Axes, dataset: str, objective: str, rows: pd.DataFrame) -> None:
        kinds = composition.classes(selection.config, dataset, of_objective(questions, dataset, objective), verdicts)
        if kinds is None or kinds.dropna().empty:
            empty(axes, NOT_JUDGED)
            return
        names.update(dict.fromkeys(kinds.cat.categories))
        composition_panel(axes, composition.shares(kinds, questions["outer_step"]), rows)

    figure = _per_objective(selection, steps, draw)
    legend_below(figure, [*composition_handles(list(names)), promotion_handle()] if names else [])
    return figure


def teacher_reward(selection: Selection, steps: pd.DataFrame) -> Figure:
    """Mean reward of every outer step (dots), its moving average (line), promotions, and tau."""
    looks = seed_styles(steps)

    def draw(axes: Axes, dataset: str, objective: str, rows: pd.DataFrame) -> None:
        reward_panel(axes, selection.config, rows, looks)

    figure = _per_objective(selection, steps, draw)
    legend_below(figure, [*seed_handles(steps), *reward_handles()] if len(steps) else [])
    return figure


def reward_handles() -> list[Line2D]:
    """Entries of a legend for what every panel of rewards has."""
    return [
        Line2D([], [], marker="o", mfc=LIGHT_GREY, mec=GREY, ls="", label="mean reward of a step"),
        Line2D([], [], marker="o", mfc="none", mec=GREY, ls="", label="the same, without signal"),
        promotion_handle(),
        Line2D([], [], color=GREY, linestyle=":", label="threshold τ"),
    ]


def baseline_accuracy(selection: Selection, steps: pd.DataFrame, promotions: pd.DataFrame) -> Figure:
    """Greedy accuracy of the baseline student on train, stage by stage."""
    looks = seed_styles(steps)

    def draw(axes: Axes, dataset: str, objective: str, rows: pd.DataFrame) -> None:
        baseline_panel(axes, rows, of_objective(promotions, dataset, objective), looks)

    figure = _per_objective(selection, steps, draw)
    legend_below(figure, [*seed_handles(steps), promotion_handle()] if len(steps) else [])
    return figure


def question_difficulty(selection: Selection, questions: pd.DataFrame) -> Figure:
    """The teacher's questions by outer step, all seeds together.

    Toy task: shares by difficulty, the ill-posed share hatched, the share with the right answer as a line.
    Other datasets: question length in characters, median and quartiles.
    """
    figure, cells = _cells(selection)
    toy_task = False
    for (dataset, objective), axes in cells.items():
        rows = of_objective(questions, dataset, objective)
        axes.set_title(title_of(selection, dataset, objective))
        axes.set_xlabel("outer step")
        if rows.empty:
            empty(axes, "no questions")
        elif selection.config.datasets[dataset].adapter == "digit_shuffles":
            toy_task = True
            _difficulty_areas(axes, rows)
        else:
            _length_band(axes, rows)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if toy_task:
        labels = [*(f"{band_name(band)} operations" for band in BANDS), *CLASSES[len(BANDS) :]]
        handles: list[Patch | Line2D] = [
            Patch(fc=colour, ec=GREY, lw=0.3, hatch=_hatch(colour), label=label)
            for label, colour in zip(labels, _CLASS_COLOURS, strict=True)
        ]
        handles.append(Line2D([], [], color=COLOURS[1], linewidth=2.2, label="right answer"))
        legend_below(figure, handles)
    return figure


def diversity(selection: Selection, steps: pd.DataFrame, vendi: pd.DataFrame) -> Figure:
    """Left: mean pairwise cosine distance of the teacher's completions by outer step; right: Vendi score per arm.

    steps: rows of STEP_DIVERSITY.
    """
    figure, grid = panels(len(selection.datasets), 2)
    looks = styles(selection.objectives)
    for dataset, (over_time, scores) in zip(selection.datasets, grid, strict=True):
        for run, rows in by_soar_run(steps[steps["dataset"] == dataset]):
            if run.objective in looks:
                look = looks[run.objective]
                over_time.plot(
                    rows["outer_step"],
                    rows["diversity"],
                    color=look.color,
                    linestyle=look.linestyle,
                    linewidth=1.4,
                    marker="o" if len(rows) == 1 else "",
                    label=f"{run.objective}, teacher seed {run.teacher_seed}",
                )
        over_time.set(title=f"{dataset}: during training", xlabel="outer step", ylabel="mean pairwise cosine distance")
        over_time.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not over_time.lines:
            empty(over_time, NO_RUN)
        _vendi_dots(scores, vendi[(vendi["dataset"] == dataset) & vendi["arm"].isin(selection.arms)])
        scores.set_title(f"{dataset}: final questions")
    legend_below(figure, [line_handle(name, look, marker=False) for name, look in looks.items()])
    return figure


def _per_objective(
    selection: Selection, steps: pd.DataFrame, draw: Callable[[Axes, str, str, pd.DataFrame], None]
) -> Figure:
    """One row per dataset, one column per objective; `draw` gets a panel, whose it is, and the rows of its steps."""
    figure, cells = _cells(selection)
    for (dataset, objective), axes in cells.items():
        rows = of_objective(steps, dataset, objective)
        # Above the stars of promotions.
        axes.set_title(title_of(selection, dataset, objective), pad=14)
        if rows.empty:
            empty(axes, NO_RUN)
            continue
        outer_step_axis(axes, int(rows["outer_step"].max()))
        draw(axes, dataset, objective, rows)
    return figure


def _cells(selection: Selection) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A row of panels per dataset, one for each objective; without an objective, one panel that says so."""
    figure, grid = wrapped_panels(len(selection.datasets), max(1, len(selection.objectives)))
    if not selection.objectives:
        for row in grid:
            empty(row[0], "no SOAR run in this configuration")
    places = ((dataset, objective) for dataset in selection.datasets for objective in selection.objectives)
    return figure, dict(zip(places, (axes for row in grid for axes in row), strict=False))


def title_of(selection: Selection, dataset: str, objective: str) -> str:
    """Of a panel about one objective's SOAR runs on a dataset: its reward stands behind a name that does not say it."""
    reward = selection.config.objectives[objective].reward
    title = objective if reward in objective else f"{objective} ({reward})"
    return f"{dataset}: {title}" if len(selection.config.datasets) > 1 else title


def _difficulty_areas(axes: Axes, questions: pd.DataFrame) -> None:
    profile = 100.0 * difficulty_profile(questions)
    steps = profile.index.to_numpy()
    bottom = np.zeros(len(steps))
    for name, colour in zip(CLASSES, _CLASS_COLOURS, strict=True):
        share = profile[name].to_numpy()
        label = name if name in CLASSES[len(BANDS) :] else f"{name} operations"
        axes.bar(steps, share, 1.0, bottom, color=colour, hatch=_hatch(colour), edgecolor=GREY, lw=0, label=label)
        bottom += share
    right = profile[RIGHT].to_numpy()
    axes.plot(steps, right, color=PAPER, linewidth=4)
    axes.plot(
        steps, right, color=COLOURS[1], linewidth=2.2, marker="o" if len(steps) == 1 else "", label="right answer"
    )
    axes.set(ylabel="share of questions, %", ylim=(0, 100), xlim=(steps[0] - 0.5, steps[-1] + 0.5))
    axes.grid(False)


def _hatch(colour: str) -> str | None:
    return "////" if colour == LIGHT_GREY else None


def _length_band(axes: Axes, questions: pd.DataFrame) -> None:
    profile = length_profile(questions)
    axes.fill_between(profile.index, profile[0.25], profile[0.75], color=COLOURS[0], alpha=0.2, lw=0)
    axes.plot(profile.index, profile[0.5], color=COLOURS[0], marker="o", label="median length")
    axes.set(ylabel="question length, characters", ylim=(0, None))


def _vendi_dots(axes: Axes, vendi: pd.DataFrame) -> None:
    known = vendi.dropna(subset="vendi_mean")
    if known.empty:
        empty(axes, "no set of two or more questions")
        return
    means, spreads = known["vendi_mean"].astype(float), known["vendi_sd"].astype(float).fillna(0.0)
    axes.errorbar(means, range(len(known)), xerr=spreads, fmt="o", color=INK, elinewidth=1.2, capsize=3)
    names = [f"{row.label} (n = {row.subsample})" for row in known.itertuples(index=False)]
    axes.set_yticks(range(len(known)), names)
    axes.set_ylim(len(known) - 0.4, -0.7)
    axes.set_xlim(left=0)
    axes.set_xlabel("Vendi score")
