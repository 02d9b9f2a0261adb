"""The questions of an arm that the judge let pass (docs/method.md §7: PQ correct-only, PQ well-posed)."""

import logging

from soar_pipeline.artifacts.files import Artifacts, read_rows
from soar_pipeline.artifacts.schemas import QUESTION_SET, TAXONOMY
from soar_pipeline.config import QuestionSet, Settings
from soar_pipeline.stages.command import Input, Output, run_stage

log = logging.getLogger(__name__)


def keep_judged_questions(
    settings: Settings, run: QuestionSet, artifacts: Artifacts, judged: Input, taxonomy: Input, questions: Output
) -> None:
    """Write the questions with the wanted verdict, in order; those that the judge could not judge are left out."""
    verdicts = {row["question_id"]: row[settings.questions.keep] for row in read_rows(taxonomy, TAXONOMY)}
    rows = read_rows(judged, QUESTION_SET)
    kept = [row for row in rows if verdicts.get(row["question_id"])]
    log.info("%d of %d questions are %s", len(kept), len(rows), settings.questions.keep)
    artifacts.write(questions, kept, QUESTION_SET)


if __name__ == "__main__":
    run_stage(keep_judged_questions)
