"""One figure that tells what became of a teacher: its questions, rewards, the student it lifted, and what it asked."""

import random

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soar_pipeline.reporting import composition
from soar_pipeline.reporting.frames import by_soar_run, of_objective, rows
from soar_pipeline.reporting.question_text import FONT, printable
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import FIGURE_WIDTH, Style, empty, legend_below, promotion_handle
from soar_pipeline.reporting.teacher_figures import NO_RUN, NOT_JUDGED, reward_handles, title_of
from soar_pipeline.reporting.teacher_panels import (
    baseline_panel,
    composition_handles,
    composition_panel,
    outer_step_axis,
    reward_panel,
    seed_handles,
    seed_styles,
)
from soar_pipeline.reporting.theme import GREY
from soar_pipeline.runtime import derive

# Of the sampled questions; widths in inches.
QUESTIONS, FONT_SIZE, LETTER_WIDTH, STEP_WIDTH, REWARD_WIDTH, KIND_WIDTH = 8, 6.8, 0.0575, 0.5, 0.55, 0.7
HEIGHTS = (2.6, 1.9, 1.5, 1.55)


def teacher_overview(
    selection: Selection,
    steps: pd.DataFrame,
    promotions: pd.DataFrame,
    questions: pd.DataFrame,
    verdicts: pd.DataFrame,
) -> Figure:
    """A column for each objective on the figure's first data set, by default a grounded one beside an intrinsic one.

    From above: composition of the questions with promotions, mean reward and its moving average, the baseline student's
    accuracy to the state after the last step, and questions sampled at random with the reward that each earned.
    """
    dataset, objectives, size = selection.datasets[0], selection.objectives, (FIGURE_WIDTH, sum(HEIGHTS) + 0.6)
    figure, grid = plt.subplots(
        len(HEIGHTS), max(1, len(objectives)), figsize=size, height_ratios=HEIGHTS, squeeze=False
    )
    looks, names = seed_styles(steps), {}
    for column, objective in enumerate(objectives):
        here = [of_objective(frame, dataset, objective) for frame in (steps, promotions, questions)]
        names |= _column(selection, grid[:, column], dataset, objective, *here, verdicts, looks)
    if not objectives:
        for axes in grid[:, 0]:
            empty(axes, "no SOAR run in this configuration")
    figure.align_ylabels(grid[:3, 0])
    handles = [*composition_handles(list(names)), *seed_handles(steps), *reward_handles()]
    legend_below(figure, handles if len(steps) else [promotion_handle()])
    return figure


def _column(
    selection: Selection,
    column: list[Axes],
    dataset: str,
    objective: str,
    steps: pd.DataFrame,
    promotions: pd.DataFrame,
    questions: pd.DataFrame,
    verdicts: pd.DataFrame,
    looks: dict[int, Style],
) -> dict[str, None]:
    """The classes that its first panel shows."""
    kinds_panel, rewards, baseline, strip = column
    # Above the stars of promotions.
    kinds_panel.set_title(title_of(selection, dataset, objective), pad=14)
    if steps.empty:
        for axes in column:
            empty(axes, NO_RUN)
        return {}
    kinds = composition.classes(selection.config, dataset, questions, verdicts)
    told = kinds is not None and kinds.notna().any()
    if told:
        composition_panel(kinds_panel, composition.shares(kinds, questions["outer_step"]), steps)
    else:
        empty(kinds_panel, NOT_JUDGED)
    reward_panel(rewards, selection.config, steps, looks)
    baseline_panel(baseline, steps, promotions, looks)
    for axes in (kinds_panel, rewards, baseline)[not told :]:
        outer_step_axis(axes, int(steps["outer_step"].max()))
        # They stand under each other on one axis.
        if axes is not baseline:
            axes.set_xlabel("")
    _strip(strip, selection, questions.assign(kind=None if kinds is None else kinds.astype(object)))
    return dict.fromkeys(kinds.cat.categories) if told else {}


def _strip(axes: Axes, selection: Selection, questions: pd.DataFrame) -> None:
    """Questions of the first teacher seed, one at random from each of some steps, with class and reward."""
    axes.set_axis_off()
    if questions.empty:
        empty(axes, "no questions")
        return
    run, of_run = by_soar_run(questions)[0]
    numbers = sorted(set(of_run["outer_step"]))
    count = min(QUESTIONS, len(numbers))
    chosen = [numbers[round(place * (len(numbers) - 1) / max(1, count - 1))] for place in range(count)]
    rng = random.Random(derive(selection.config.seed, "questions of the overview", *run))
    axes.set_title(f"sampled questions, teacher seed {run.teacher_seed} (not selected)", fontsize=8.5)
    # Without the axis at its left.
    width = axes.figure.get_figwidth() / axes.get_subplotspec().get_gridspec().ncols - 0.6
    # A lone column is wider than questions are.
    span = min(width, 5.0)
    room = int((span - STEP_WIDTH - REWARD_WIDTH - KIND_WIDTH - 0.2) / LETTER_WIDTH)
    for place, step in enumerate(chosen):
        [one] = rows(of_run[of_run["outer_step"] == step].sample(1, random_state=rng.getrandbits(31)))
        y = 1 - (place + 0.6) / QUESTIONS
        text = shortened(f"{printable(one.question)} → {printable(one.answer)}", room)
        reward = "no reward" if one.dataset_reward is None else f"{one.dataset_reward:+.3f}".replace("-", "−")
        cells = (
            (0.0, f"step {step:>3}", "left"),
            ((STEP_WIDTH + 0.15) / width, text, "left"),
            (span / width, reward, "right"),
        )
        if one.kind is not None and not pd.isna(one.kind):
            look = composition.CLASS_LOOKS[one.kind]
            axes.plot((STEP_WIDTH + 0.06) / width, y, "s", color=look.color, markersize=4, transform=axes.transAxes)
            cells = (*cells, ((span - REWARD_WIDTH) / width, one.kind, "right"))
        for x, words, side in cells:
            # A model wrote this: no `$` in it may be taken for a formula.
            axes.text(
                x, y, words, family=FONT, size=FONT_SIZE, ha=side, va="center", parse_math=False,
                color=GREY if words.startswith("step") else None, transform=axes.transAxes, in_layout=False,
            )  # fmt: skip


def shortened(text: str, room: int) -> str:
    """At most `room` characters of it."""
    return text if len(text) <= room else f"{text[: max(1, room - 1)]}…"
