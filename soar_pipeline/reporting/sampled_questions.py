"""Questions of a SOAR run drawn at random for a reader, stage by stage (spec section 8)."""

import random
from dataclasses import dataclass
from typing import Any

from soar_pipeline import seeds
from soar_pipeline.artifact_paths import TeacherRun
from soar_pipeline.config import Config
from soar_pipeline.reporting.question_profile import judge

LONGEST_TEXT = 700
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class SampledQuestion:
    """A question as shown; verdict and difficulty only where the embedded world tells the truth."""

    outer_step: int
    question: str
    answer: str
    reward: float | None
    verdict: str | None
    difficulty: int | None


def sampled_questions(
    config: Config, run: TeacherRun, steps: Rows, questions: Rows, count: int
) -> dict[int, list[SampledQuestion]]:
    """`count` random questions of one SOAR run per stage (promotions before the step), in order of steps."""
    stage_of = {row["outer_step"]: row["stage"] for row in steps}
    by_stage: dict[int, Rows] = {}
    for row in questions:
        by_stage.setdefault(stage_of[row["outer_step"]], []).append(row)
    rng = random.Random(seeds.derive(config.seed, "sampled questions", *run))
    exact = config.datasets[run.dataset].adapter == "digit_shuffles"
    sampled = {}
    for stage, rows in sorted(by_stage.items()):
        chosen = rng.sample(rows, min(len(rows), count))
        sampled[stage] = [_shown(row, exact) for row in sorted(chosen, key=lambda row: row["outer_step"])]
    return sampled


def _shown(row: dict[str, Any], exact: bool) -> SampledQuestion:
    judgement = judge(row["question"], row["answer"]) if exact else None
    return SampledQuestion(
        outer_step=row["outer_step"],
        question=_shortened(row["question"]),
        answer=_shortened(row["answer"]),
        reward=row["dataset_reward"],
        verdict=judgement.verdict if judgement else None,
        difficulty=judgement.difficulty if judgement else None,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"
