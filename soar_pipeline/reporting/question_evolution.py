"""What a teacher asked, stage by stage: questions drawn at random, as text (figure 6, spec section 8)."""

import textwrap
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from soar_pipeline.artifact_paths import TeacherRun
from soar_pipeline.reporting.sampled_questions import SampledQuestion, sampled_questions
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import FIGURE_WIDTH, empty
from soar_pipeline.reporting.teacher_figures import NO_RUN, Questions, Steps, title_of

QUESTIONS_PER_STAGE = 3
FONT, FONT_SIZE, LINE_HEIGHT, LINE_LENGTH = "DejaVu Sans Mono", 7.5, 0.17, 138
Line = tuple[str, str]


def question_evolution(shown: Selection, steps: Steps, questions: Questions) -> Figure:
    """One panel per dataset and objective, about its first teacher seed: a few questions of every stage."""
    panels = []
    for dataset in shown.datasets:
        for objective in shown.objectives:
            runs = [run for run, rows in sorted(steps.items()) if run[:2] == (dataset, objective) and rows]
            lines = _lines(shown, runs[0], steps[runs[0]], questions[runs[0]]) if runs else []
            seed = f", teacher seed {runs[0].teacher_seed}" if runs else ""
            panels.append(
                (f"{dataset}: {title_of(shown, dataset, objective).removeprefix(f'{dataset}: ')}{seed}", lines)
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
    shown: Selection, run: TeacherRun, steps: list[dict[str, Any]], questions: list[dict[str, Any]]
) -> list[Line]:
    """(text, weight) of every line of a panel."""
    lines: list[Line] = []
    sampled = sampled_questions(shown.config, run, steps, questions, QUESTIONS_PER_STAGE)
    for stage, chosen in sampled.items():
        first = next(row for row in steps if row["stage"] == stage)
        heading = "before any promotion" if stage == 0 else f"after promotion {stage}"
        solved = 100.0 * first["baseline_train_accuracy"]
        lines.append(
            (f"{heading}, from step {first['outer_step']}: baseline student solves {solved:.1f} % of train", "bold")
        )
        for question in chosen:
            lines += [(line, "normal") for line in _wrapped(question)]
    return lines


def _wrapped(question: SampledQuestion) -> list[str]:
    verdict = f" ({question.verdict})" if question.verdict else ""
    text = f"step {question.outer_step:>3}  {printable(question.question)} → {printable(question.answer)}{verdict}"
    return textwrap.wrap(text, LINE_LENGTH, subsequent_indent=" " * 10, break_long_words=True)


def _write(axes: Axes, lines: list[Line]) -> None:
    axes.set_axis_off()
    for number, (text, weight) in enumerate(lines):
        # A model wrote this: no `$` in it may be taken for a formula.
        axes.text(
            0, 1 - (number + 0.8) / len(lines), text, family=FONT, size=FONT_SIZE, weight=weight, parse_math=False,
            transform=axes.transAxes, in_layout=False,
        )  # fmt: skip


def printable(text: str) -> str:
    """On one line, with � for what the font does not have."""
    return "".join(character if _has_glyph(character) else "�" for character in " ".join(text.split()))


@cache
def _has_glyph(character: str) -> bool:
    return get_font(findfont(FontProperties(family=FONT))).get_char_index(ord(character)) != 0
