"""Promotion questions: the datasets whose students were promoted, D_best (docs/method.md §5)."""

import logging

from soar_pipeline.artifacts.files import Artifacts, read_rows
from soar_pipeline.artifacts.schemas import PROMOTIONS, QUESTION_SET, SOAR_QUESTIONS
from soar_pipeline.config import QuestionSet, Settings
from soar_pipeline.stages.command import Input, Output, run_stage

log = logging.getLogger(__name__)


def extract_promotion_questions(
    settings: Settings,
    run: QuestionSet,
    artifacts: Artifacts,
    soar_questions: Input,
    promotions: Input,
    questions: Output,
) -> None:
    """Copy the questions of the promoted datasets, in order; an empty file if nothing was promoted."""
    promoted = {(row["student_step"], row["dataset_index"]) for row in read_rows(promotions, PROMOTIONS)}
    rows = [
        {name: row[name] for name in QUESTION_SET.names if name in row}
        for row in read_rows(soar_questions, SOAR_QUESTIONS)
        if (row["outer_step"], row["dataset_index"]) in promoted
    ]
    log.info("%d promotions, %d promotion questions", len(promoted), len(rows))
    artifacts.write(questions, rows, QUESTION_SET)


if __name__ == "__main__":
    run_stage(extract_promotion_questions)
