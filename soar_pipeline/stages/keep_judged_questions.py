"""The questions of an arm that the judge let pass (spec section 7: PQ correct-only, PQ well-posed)."""

import logging
from pathlib import Path

from soar_pipeline.artifacts import QUESTIONS, TAXONOMY, Provenance, read_rows, table, write_parquet
from soar_pipeline.slices import JudgedSlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def keep_judged_questions(config: JudgedSlice, asked: Path, taxonomy: Path, questions: Path) -> None:
    """Write the questions with the wanted verdict, in order; those that the judge could not judge are left out."""
    verdicts = {row["question_id"]: row[config.keep] for row in read_rows(taxonomy, TAXONOMY)}
    rows = read_rows(asked, QUESTIONS)
    kept = [row for row in rows if verdicts.get(row["question_id"])]
    log.info("%d of %d questions are %s", len(kept), len(rows), config.keep)
    provenance = Provenance("keep_judged_questions", config.model_dump(mode="json"), inputs=(asked, taxonomy))
    write_parquet(questions, table(kept, QUESTIONS), provenance)


if __name__ == "__main__":
    run_stage(keep_judged_questions)
