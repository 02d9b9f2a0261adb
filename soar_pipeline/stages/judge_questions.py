"""A judge's verdict on the questions of one file: well posed, correct, kind of error (spec section 8)."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soar_pipeline.artifact_paths import teacher_run
from soar_pipeline.artifacts import (
    QUESTIONS,
    TAXONOMY,
    ArtifactError,
    Provenance,
    digest,
    read_rows,
    table,
    write_parquet,
)
from soar_pipeline.config import EndpointJudge, ExactJudge, LocalJudge
from soar_pipeline.evaluation.reply_cache import ReplyCache
from soar_pipeline.evaluation.taxonomy import Judge, cost, judged_rows, taxonomy_shares
from soar_pipeline.seeds import derive
from soar_pipeline.slices import TaxonomySlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def judge_questions(
    config: TaxonomySlice, questions: Path, policy: list[Path], concurrency: int, cache: Path, taxonomy: Path
) -> None:
    """Write one row per judged question: all of the file, or a random sample in the file's order.

    policy: the model folder of a local judge, else none; cache: folder of the replies.
    """
    run = teacher_run(questions)
    rows = read_rows(questions, QUESTIONS)
    limit = config.questions_per_file
    if limit is not None and limit < len(rows):
        drawn = random.Random(derive(config.seed, "taxonomy", *run)).sample(range(len(rows)), limit)
        rows = [rows[i] for i in sorted(drawn)]
    with _judge(config, policy, concurrency, ReplyCache(cache)) as judge:
        judged = judged_rows(rows, judge) if rows else []
    place = {"dataset": run.dataset, "arm": run.name, "teacher_seed": run.teacher_seed}
    provenance = Provenance("judge_questions", config.model_dump(mode="json"), config.seed, (questions, *policy))
    write_parquet(taxonomy, table([{**place, **row} for row in judged], TAXONOMY), provenance)
    _tell(config, judged)


@contextmanager
def _judge(config: TaxonomySlice, policy: list[Path], concurrency: int, cache: ReplyCache) -> Iterator[Judge]:
    # Each judge is imported by who needs it: an endpoint needs no torch.
    kind = config.judge
    if isinstance(kind, ExactJudge):
        from soar_pipeline.evaluation.exact_judge import EmbeddedWorldJudge
        from soar_pipeline.grading.grader import Grader

        with Grader(config.grading) as grader:
            yield EmbeddedWorldJudge(grader)
    elif isinstance(kind, EndpointJudge):
        from soar_pipeline.evaluation.endpoint_judge import RemoteJudge

        yield RemoteJudge(kind, config.prompt, config.attempts, concurrency, cache)
    else:
        yield _local_judge(config, kind, policy, cache)


def _local_judge(config: TaxonomySlice, kind: LocalJudge, policy: list[Path], cache: ReplyCache) -> Judge:
    from soar_pipeline.evaluation.local_judge import PolicyJudge
    from soar_pipeline.generation.engines import generator_of
    from soar_pipeline.models.policy import load_policy

    if len(policy) != 1:
        raise ArtifactError("--policy: a local judge is one model folder")
    return PolicyJudge(
        generator_of(load_policy(policy[0], config.model.dtype), config.engine),
        config.prompt,
        name=digest(policy[0]),
        chat_template=config.model.chat_template,
        max_new_tokens=kind.max_new_tokens,
        attempts=config.attempts,
        seed=config.seed,
        cache=cache,
    )


def _tell(config: TaxonomySlice, rows: list[dict[str, Any]]) -> None:
    """The count and the cost, in the log."""
    shares = taxonomy_shares(rows)
    log.info(
        "%d questions: %d with a verdict, %d without; %d replies, %d prompt and %d completion tokens",
        len(rows),
        shares.judged,
        shares.unjudged,
        shares.replies,
        shares.prompt_tokens,
        shares.completion_tokens,
    )
    money = cost(config.judge, shares)
    if money is not None:
        log.info("at the configured prices: %.4f", money)


if __name__ == "__main__":
    run_stage(judge_questions)
