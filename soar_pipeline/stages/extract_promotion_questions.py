"""Promotion questions: the datasets whose students were promoted, D_best (spec section 5)."""

import logging
from pathlib import Path

from soar_pipeline.artifacts import PROMOTIONS, QUESTIONS, Provenance, read_rows, table, write_parquet
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def extract_promotion_questions(soar_questions: Path, promotions: Path, questions: Path) -> None:
    """Copy the questions of the promoted datasets, in order; an empty file where nothing was promoted."""
    promoted = {(row["outer_step"], row["dataset_index"]) for row in read_rows(promotions, PROMOTIONS)}
    rows = [
        row for row in read_rows(soar_questions, QUESTIONS) if (row["outer_step"], row["dataset_index"]) in promoted
    ]
    log.info("%d promotions, %d promotion questions", len(promoted), len(rows))
    provenance = Provenance("extract_promotion_questions", {}, inputs=(soar_questions, promotions))
    write_parquet(questions, table(rows, QUESTIONS), provenance)


if __name__ == "__main__":
    run_stage(extract_promotion_questions)
