"""The exact questions of every training step, in order, decided before training (docs/method.md §6)."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import SCHEDULE
from soar_pipeline.questions import Question


@dataclass(frozen=True)
class ScheduledQuestion:
    """A question at one place of a schedule; `step` counts from 1."""

    step: int
    position: int
    phase: str
    question: Question

    def row(self) -> dict[str, Any]:
        """The question's row in a SCHEDULE file."""
        return {"step": self.step, "position": self.position, "phase": self.phase, **asdict(self.question)}


def read_schedule(path: Path) -> list[ScheduledQuestion]:
    """The schedule of a SCHEDULE file."""
    return [
        ScheduledQuestion(
            row["step"], row["position"], row["phase"], Question(row["question_id"], row["question"], row["answer"])
        )
        for row in read_rows(path, SCHEDULE)
    ]


def constant_schedule(questions: list[Question], steps: int, batch_size: int, seed: int) -> list[ScheduledQuestion]:
    """The inner loop's schedule: all questions shuffled, again and again, until the steps are full."""
    phases = ["synthetic"] * steps
    return _schedule(phases, {"synthetic": questions}, batch_size, seed)


def fresh_student_schedule(
    real: list[Question],
    synthetic: list[Question],
    *,
    steps: int,
    batch_size: int,
    mixing: str,
    synthetic_steps: int,
    seed: int,
) -> list[ScheduledQuestion]:
    """`curriculum`: `synthetic_steps` on synthetic questions, then only real ones; `mixed`: shuffled together."""
    if not synthetic:
        return _schedule(["real"] * steps, {"real": real}, batch_size, seed)
    if mixing == "mixed":
        return _schedule(["mixed"] * steps, {"mixed": real + synthetic}, batch_size, seed)
    phases = ["synthetic"] * synthetic_steps + ["real"] * (steps - synthetic_steps)
    return _schedule(phases, {"synthetic": synthetic, "real": real}, batch_size, seed)


def _schedule(
    phases: list[str], sources: dict[str, list[Question]], batch_size: int, seed: int
) -> list[ScheduledQuestion]:
    rng = random.Random(seed)
    streams = {phase: _passes(questions, rng) for phase, questions in sources.items()}
    return [
        ScheduledQuestion(step, position, phase, question)
        for step, phase in enumerate(phases, start=1)
        for position, question in enumerate(next(streams[phase]) for _ in range(batch_size))
    ]


def _passes(questions: list[Question], rng: random.Random) -> Iterator[Question]:
    """The questions in random order, pass after pass, without end."""
    while True:
        yield from rng.sample(questions, len(questions))
