"""What a teacher asked, stage by stage: questions sampled at random, as text (the paper's figure 6)."""

import textwrap

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soar_pipeline.config import SoarRun
from soar_pipeline.reporting.frames import by_soar_run
from soar_pipeline.reporting.question_text import FONT, printable
from soar_pipeline.reporting.sampled_questions import SampledQuestion, sampled_questions
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import FIGURE_WIDTH, empty
from soar_pipeline.reporting.teacher_figures import NO_RUN, title_of

QUESTIONS_PER_STAGE = 3
FONT_SIZE, LINE_HEIGHT, LINE_LENGTH = 7.5, 0.17, 138
Line = tuple[str, str]


def question_evolution(
    selection: Selection, steps: pd.DataFrame, questions: pd.DataFrame, verdicts: pd.DataFrame
) -> Figure:
    """One panel per dataset and objective, about its first teacher seed: a few questions of every stage."""
    panels = []
    for dataset in selection.datasets:
        for objective in selection.objectives:
            runs = by_soar_run(steps[(steps["dataset"] == dataset) & (steps["objective"] == objective)])
            lines, seed = [], ""
            for run, steps_of_run in runs[:1]:
                lines = _lines(selection, run, steps_of_run, dict(by_soar_run(questions))[run], verdicts)
                seed = f", teacher seed {run.teacher_seed}"
            panels.append(
                (f"{dataset}: {title_of(selection, dataset, objective).removeprefix(f'{dataset}: ')}{seed}", lines)
            )
    heights = [max(3, len(lines)) + 2 for _, lines in panels] or [3]
    size = (FIGURE_WIDTH, LINE_HEIGHT * sum(heights))
    figure, grid = plt.subplots(len(heights), 1, figsize=size, squeeze=False, height_ratios=heights)
    for (title, lines), axes in zip(panels, grid[:, 0], strict=False):
        axes.set_title(title)
        if lines:
            _write(axes, lines)
        else:
            empty(axes, NO_RUN)
    if not panels:
        empty(grid[0, 0], "no SOAR run in this configuration")
    return figure


def _lines(
    selection: Selection, run: SoarRun, steps: pd.DataFrame, questions: pd.DataFrame, verdicts: pd.DataFrame
) -> list[Line]:
    """(text, weight) of every line of a panel."""
    lines: list[Line] = []
    stages = questions["outer_step"].map(steps.set_index("outer_step")["stage"])
    sampled = sampled_questions(selection.config, run, questions, verdicts, stages, QUESTIONS_PER_STAGE)
    for stage, chosen in sampled.items():
        first = steps[steps["stage"] == stage].iloc[0]
        heading = "before any promotion" if stage == 0 else f"after promotion {stage}"
        solved = 100.0 * first["baseline_train_accuracy"]
        lines.append(
            (f"{heading}, from step {first['outer_step']}: baseline student solves {solved:.1f} % of train", "bold")
        )
        for question in chosen:
            lines += [(line, "normal") for line in _wrapped(question)]
    return lines


def _wrapped(question: SampledQuestion) -> list[str]:
    kind = f" ({question.kind})" if question.kind else ""
    text = f"step {question.outer_step:>3}  {printable(question.question)} → {printable(question.answer)}{kind}"
    return textwrap.wrap(text, LINE_LENGTH, subsequent_indent=" " * 10, break_long_words=True)


def _write(axes: Axes, lines: list[Line]) -> None:
    axes.set_axis_off()
    for number, (text, weight) in enumerate(lines):
        # A model wrote this: no `$` in it may be taken for a formula.
        axes.text(
            0, 1 - (number + 0.8) / len(lines), text, family=FONT, size=FONT_SIZE, weight=weight, parse_math=False,
            transform=axes.transAxes, in_layout=False,
        )  # fmt: skip
