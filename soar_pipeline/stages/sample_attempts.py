"""Attempts of the base model at one shard of a pool, for the fail@k filter (spec section 2)."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from soar_pipeline.artifacts import ATTEMPTS, PROBLEMS, Provenance, read_rows, table, write_parts
from soar_pipeline.generation.attempts import AttemptDrawer, solved
from soar_pipeline.generation.engines import generator_of
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat, check_context, load_policy
from soar_pipeline.progress import Progress
from soar_pipeline.seeds import derive
from soar_pipeline.slices import AttemptsSlice
from soar_pipeline.stages.command import run_stage


def sample_attempts(config: AttemptsSlice, base_model: Path, problems: Path, shard: int, attempts: Path) -> None:
    """Draw up to fail@k attempts at every `shards`-th problem, starting with number `shard` (from 0)."""
    sampling = config.sampling
    rows = read_rows(problems, PROBLEMS)[shard :: config.filter.shards]
    policy = load_policy(base_model, sampling.dtype)
    prompts = PromptFormat(sampling.prompts, sampling.chat_template, policy.tokenizer)
    check_context(
        policy,
        {row["problem_id"]: prompts.student(row["question"]) for row in rows},
        sampling.generation.student_max_new_tokens,
    )
    provenance = Provenance("sample_attempts", config.model_dump(mode="json"), sampling.seed, (base_model, problems))
    progress = Progress(f"fail@{sum(config.filter.rounds)} filter", len(rows))

    def drawn(drawer: AttemptDrawer) -> Iterator[pa.Table]:
        solved_so_far = 0
        for tried in drawer.draw_until_solved(rows, config.filter.rounds, derive(sampling.seed, "filter")):
            yield table(tried, ATTEMPTS)
            solved_so_far += solved(tried)
            progress.advance(solved=solved_so_far)

    with Grader(sampling.grading) as grader:
        generator = generator_of(policy, sampling.generation)
        drawer = AttemptDrawer(generator, grader, prompts, sampling.generation)
        # As they come: memory does not grow with the pool.
        write_parts(attempts, ATTEMPTS, drawn(drawer), provenance)


if __name__ == "__main__":
    run_stage(sample_attempts)
