"""Every kind of figure by its name in the configuration."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from soar_pipeline.artifacts.schemas import CURVE, PROMOTIONS, SOAR_QUESTIONS, SOAR_TAXONOMY, STEP_DIVERSITY, STEPS
from soar_pipeline.reporting.arm_figures import bars, improvement, sweep
from soar_pipeline.reporting.frames import read_frame
from soar_pipeline.reporting.long_tables import PASSK, VENDI
from soar_pipeline.reporting.question_evolution import question_evolution
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.student_figures import learning_curves, seed_curves
from soar_pipeline.reporting.teacher_figures import (
    baseline_accuracy,
    diversity,
    question_composition,
    question_difficulty,
    teacher_reward,
)
from soar_pipeline.reporting.teacher_overview import teacher_overview


@dataclass(frozen=True)
class FigureData:
    """What figures are drawn from; a figure gets what its kind reads, the rest has no rows.

    passk, vendi: the long tables; curves, steps, promoted, questions, verdicts, step_diversity: rows of CURVE,
    STEPS, PROMOTIONS, SOAR_QUESTIONS, SOAR_TAXONOMY and STEP_DIVERSITY of all runs.
    """

    passk: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(PASSK)))
    vendi: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(VENDI)))
    curves: pd.DataFrame = field(default_factory=lambda: read_frame([], CURVE))
    steps: pd.DataFrame = field(default_factory=lambda: read_frame([], STEPS))
    promoted: pd.DataFrame = field(default_factory=lambda: read_frame([], PROMOTIONS))
    questions: pd.DataFrame = field(default_factory=lambda: read_frame([], SOAR_QUESTIONS))
    verdicts: pd.DataFrame = field(default_factory=lambda: read_frame([], SOAR_TAXONOMY))
    step_diversity: pd.DataFrame = field(default_factory=lambda: read_frame([], STEP_DIVERSITY))


KINDS: dict[str, Callable[[Selection, FigureData], Figure]] = {
    "learning_curves": lambda selection, data: learning_curves(selection, data.curves, data.passk),
    "seed_curves": lambda selection, data: seed_curves(selection, data.curves, data.passk),
    "improvement": lambda selection, data: improvement(selection, data.passk),
    "bars": lambda selection, data: bars(selection, data.passk),
    "sweep": lambda selection, data: sweep(selection, data.passk),
    "teacher_reward": lambda selection, data: teacher_reward(selection, data.steps),
    "baseline_accuracy": lambda selection, data: baseline_accuracy(selection, data.steps, data.promoted),
    "teacher_overview": lambda selection, data: teacher_overview(
        selection, data.steps, data.promoted, data.questions, data.verdicts
    ),
    "question_composition": lambda selection, data: question_composition(
        selection, data.steps, data.questions, data.verdicts
    ),
    "question_difficulty": lambda selection, data: question_difficulty(selection, data.questions),
    "question_evolution": lambda selection, data: question_evolution(
        selection, data.steps, data.questions, data.verdicts
    ),
    "diversity": lambda selection, data: diversity(selection, data.step_diversity, data.vendi),
}


def draw(selection: Selection, data: FigureData) -> Figure:
    """The figure with its heading; a panel whose data were not run says so."""
    figure = KINDS[selection.figure.kind](selection, data)
    if selection.figure.title:
        figure.suptitle(selection.figure.title, x=0.01, ha="left", fontsize=10.5)
    return figure
