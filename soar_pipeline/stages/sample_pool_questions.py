"""Real questions for a fresh student: the upper bounds (docs/method.md §7)."""

import logging
import random
from typing import Any

from soar_pipeline.artifacts.files import ArtifactError, Artifacts, read_rows
from soar_pipeline.artifacts.schemas import HARD, PROBLEMS, QUESTION_SET
from soar_pipeline.config import QuestionSet, Settings
from soar_pipeline.problems.copies import key
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Output, run_stage

log = logging.getLogger(__name__)


def sample_pool_questions(
    settings: Settings, run: QuestionSet, artifacts: Artifacts, pool: Input, hard: Input, questions: Output
) -> None:
    """Write `size` random problems of the pool (none: all), never one of the hard problems, which are train and test.

    Raises ArtifactError if the pool has fewer.
    """
    known = {key(row["question"]) for row in read_rows(hard, HARD)}
    whole_pool = read_rows(pool, PROBLEMS)
    rows = [row for row in whole_pool if key(row["question"]) not in known]
    log.info("%d questions of %s are hard ones, in whatever typesetting: left out", len(whole_pool) - len(rows), pool)
    size = len(rows) if settings.questions.size is None else settings.questions.size
    if size > len(rows):
        raise ArtifactError(
            f"{pool}: {size} questions are wanted and it has {len(rows)} that are not hard ones; lower questions.size"
        )
    log.info("%d of %d questions of %s", size, len(rows), pool)
    # Seed 0 is that of questions which are drawn once.
    draw = (run.teacher_seed,) if run.teacher_seed else ()
    drawn = random.Random(derive(settings.seed, "pool questions", *draw)).sample(rows, size)
    artifacts.write(questions, map(_as_question, drawn), QUESTION_SET)


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
    run_stage(sample_pool_questions)
