"""Questions of a SOAR run, sampled at random for a reader."""

import random
from dataclasses import dataclass

import pandas as pd

from soar_pipeline.config import Config, SoarRun
from soar_pipeline.reporting import composition
from soar_pipeline.reporting.frames import Row, rows
from soar_pipeline.runtime import derive

LONGEST_TEXT = 700


@dataclass(frozen=True)
class SampledQuestion:
    """A question as shown; kind: its class (composition.CLASS_LOOKS), None if nothing tells."""

    outer_step: int
    question: str
    answer: str
    reward: float | None
    kind: str | None

    @property
    def sign(self) -> str:
        """Of its reward."""
        if not self.reward:
            return "none"
        return "gain" if self.reward > 0 else "loss"


@dataclass(frozen=True)
class AskedInStep:
    """An outer step as a reader browses it; questions: some of `asked`, the best rewarded first."""

    outer_step: int
    stage: int
    mean_reward: float
    promoted: bool
    asked: int
    questions: list[SampledQuestion]


def sampled_questions(
    config: Config, run: SoarRun, questions: pd.DataFrame, verdicts: pd.DataFrame, group: pd.Series, count: int
) -> dict[int, list[SampledQuestion]]:
    """`count` random questions of one SOAR run for each value of `group`, in the order of steps.

    questions, verdicts: rows of SOAR_QUESTIONS and SOAR_TAXONOMY of that run.
    """
    rng = random.Random(derive(config.seed, "sampled questions", *run))
    kinds = composition.classes(config, run.dataset, questions, verdicts)
    known = questions.assign(kind=None if kinds is None else kinds.astype(object))
    sampled = {}
    for value, asked in known.groupby(group):
        chosen = asked.iloc[rng.sample(range(len(asked)), min(len(asked), count))]
        sampled[value] = [_for_a_reader(row) for row in rows(chosen.sort_values("outer_step", kind="stable"))]
    return sampled


def asked_by_step(
    config: Config, run: SoarRun, steps: pd.DataFrame, questions: pd.DataFrame, verdicts: pd.DataFrame
) -> list[AskedInStep]:
    """Every outer step of one SOAR run with `report.sample_questions` random questions; steps: rows of STEPS of it."""
    sampled = sampled_questions(
        config, run, questions, verdicts, questions["outer_step"], config.report.sample_questions
    )
    asked = questions["outer_step"].value_counts()
    return [
        AskedInStep(
            step.outer_step,
            step.stage,
            step.mean_reward,
            step.promoted,
            int(asked[step.outer_step]),
            sorted(sampled[step.outer_step], key=lambda one: -(one.reward or 0.0)),
        )
        for step in rows(steps)
    ]


def _for_a_reader(row: Row) -> SampledQuestion:
    return SampledQuestion(
        row.outer_step, _shortened(row.question), _shortened(row.answer), row.dataset_reward, row.kind
    )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"
