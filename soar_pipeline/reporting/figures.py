"""Every kind of figure by its name in the configuration."""

from collections.abc import Callable
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from soar_pipeline.reporting.arm_figures import bars, improvement, sweep
from soar_pipeline.reporting.question_evolution import question_evolution
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.student_figures import Curves, learning_curves, seed_curves
from soar_pipeline.reporting.tables import PasskRow, VendiRow
from soar_pipeline.reporting.teacher_figures import (
    Questions,
    Steps,
    baseline_accuracy,
    diversity,
    question_difficulty,
    teacher_reward,
)


@dataclass(frozen=True)
class FigureData:
    """What figures are drawn from; a figure gets what its kind reads, the rest is empty."""

    passk: list[PasskRow] = field(default_factory=list)
    vendi: list[VendiRow] = field(default_factory=list)
    curves: Curves = field(default_factory=dict)
    steps: Steps = field(default_factory=dict)
    questions: Questions = field(default_factory=dict)


KINDS: dict[str, Callable[[Selection, FigureData], Figure]] = {
    "learning_curves": lambda shown, data: learning_curves(shown, data.curves, data.passk),
    "seed_curves": lambda shown, data: seed_curves(shown, data.curves),
    "improvement": lambda shown, data: improvement(shown, data.passk),
    "bars": lambda shown, data: bars(shown, data.passk),
    "sweep": lambda shown, data: sweep(shown, data.passk),
    "teacher_reward": lambda shown, data: teacher_reward(shown, data.steps),
    "baseline_accuracy": lambda shown, data: baseline_accuracy(shown, data.steps),
    "question_difficulty": lambda shown, data: question_difficulty(shown, data.questions),
    "question_evolution": lambda shown, data: question_evolution(shown, data.steps, data.questions),
    "diversity": lambda shown, data: diversity(shown, data.steps, data.vendi),
}


def draw(shown: Selection, data: FigureData) -> Figure:
    """The figure with its heading; a panel whose data were not run says so."""
    figure = KINDS[shown.figure.kind](shown, data)
    if shown.figure.title:
        figure.suptitle(shown.figure.title, x=0.01, ha="left", fontsize=10.5)
    return figure
