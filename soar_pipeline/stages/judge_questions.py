"""A judge's verdict on the questions of one file: well posed, correct, kind of error (docs/method.md §8)."""

import random

from soar_pipeline.artifacts.files import Artifacts, read_rows
from soar_pipeline.artifacts.schemas import QUESTION_SET, TAXONOMY
from soar_pipeline.config import QuestionSet, Settings
from soar_pipeline.evaluation.judges.configured import configured_judge, log_judged
from soar_pipeline.evaluation.judges.reply_cache import ReplyCache
from soar_pipeline.evaluation.taxonomy import judged_rows
from soar_pipeline.grading.grader import Grader
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage


def judge_questions(
    settings: Settings, run: QuestionSet, artifacts: Artifacts, questions: Input, policy: Inputs, taxonomy: Output
) -> None:
    """Write one row per judged question: all of the file, or a random sample in the file's order.

    policy: the model folder of a local judge, else none. Replies are kept beside `taxonomy`: Snakemake deletes the
    outputs of a failed job, and replies cost money.
    """
    rows = read_rows(questions, QUESTION_SET)
    limit = settings.taxonomy.questions_per_file
    if limit is not None and limit < len(rows):
        drawn = random.Random(derive(settings.seed, "taxonomy", *run)).sample(range(len(rows)), limit)
        rows = [rows[i] for i in sorted(drawn)]
    with Grader(**dict(settings.grading)) as grader:
        judge = configured_judge(settings, policy, ReplyCache(taxonomy.parent / "cache"), grader)
        judged = judged_rows(rows, judge) if rows else []
    artifacts.write(taxonomy, judged, TAXONOMY)
    log_judged(settings, judged)


if __name__ == "__main__":
    run_stage(judge_questions)
