"""Real questions for a fresh student: the upper bounds (spec section 7)."""

import logging
import random
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts import (
    HARD,
    PROBLEMS,
    QUESTIONS,
    ArtifactError,
    Provenance,
    read_rows,
    table,
    write_parquet,
)
from soar_pipeline.seeds import derive
from soar_pipeline.slices import PoolDrawSlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def draw_pool_questions(config: PoolDrawSlice, pool: Path, hard: Path, questions: Path) -> None:
    """Write `size` random problems of the pool (none: all), never one of the hard problems, which are train and test.

    Raises ArtifactError where the pool has fewer.
    """
    known = {_words(row) for row in read_rows(hard, HARD)}
    rows = [row for row in read_rows(pool, PROBLEMS) if _words(row) not in known]
    size = len(rows) if config.size is None else config.size
    if size > len(rows):
        raise ArtifactError(
            f"{pool}: {size} questions are wanted and it has {len(rows)} that are not hard ones; lower questions.size"
        )
    log.info("%d of %d questions of %s", size, len(rows), pool)
    drawn = random.Random(derive(config.seed, "pool questions")).sample(rows, size)
    provenance = Provenance("draw_pool_questions", config.model_dump(mode="json"), config.seed, (pool, hard))
    write_parquet(questions, table(map(_as_question, drawn), QUESTIONS), provenance)


def _words(row: dict[str, Any]) -> str:
    """The question without the white space that copies differ in."""
    return " ".join(row["question"].split())


def _as_question(problem: dict[str, Any]) -> dict[str, Any]:
    return {
        "question_id": problem["problem_id"],
        "outer_step": 0,
        "dataset_index": 0,
        "question": problem["question"],
        "answer": problem["answer"],
        # Nobody generated it.
        "completion": "",
        "dataset_reward": None,
        "rejected_before": 0,
    }


if __name__ == "__main__":
    run_stage(draw_pool_questions)
