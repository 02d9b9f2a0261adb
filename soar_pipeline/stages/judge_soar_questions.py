"""A judge's verdict on a sample of what a teacher asked in every outer step (docs/method.md §8)."""

import random

from soar_pipeline.artifacts.files import Artifacts, read_rows
from soar_pipeline.artifacts.schemas import SOAR_QUESTIONS, SOAR_TAXONOMY
from soar_pipeline.config import Settings, SoarRun
from soar_pipeline.evaluation.judges.configured import configured_judge, log_judged
from soar_pipeline.evaluation.judges.reply_cache import ReplyCache
from soar_pipeline.evaluation.taxonomy import judged_rows
from soar_pipeline.grading.grader import Grader
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage


def judge_soar_questions(
    settings: Settings, run: SoarRun, artifacts: Artifacts, questions: Input, policy: Inputs, taxonomy: Output
) -> None:
    """Write one row per judged question, in the file's order: `taxonomy.questions_per_step` of each outer step.

    policy: the model folder of a local judge, else none. Replies are kept beside `taxonomy`, see judge_questions.
    """
    by_step: dict[int, list[dict]] = {}
    for row in read_rows(questions, SOAR_QUESTIONS):
        by_step.setdefault(row["outer_step"], []).append(row)
    sampled = []
    for step, rows in by_step.items():
        rng = random.Random(derive(settings.seed, "taxonomy of steps", *run, step))
        chosen = rng.sample(range(len(rows)), min(settings.taxonomy.questions_per_step, len(rows)))
        sampled += [rows[i] for i in sorted(chosen)]
    with Grader(**dict(settings.grading)) as grader:
        judge = configured_judge(settings, policy, ReplyCache(taxonomy.parent / "cache"), grader)
        judged = judged_rows(sampled, judge) if sampled else []
    steps = [{"outer_step": row["outer_step"]} for row in sampled]
    artifacts.write(taxonomy, [step | row for step, row in zip(steps, judged, strict=True)], SOAR_TAXONOMY)
    log_judged(settings, judged)


if __name__ == "__main__":
    run_stage(judge_soar_questions)
