"""Attempts of the base model at one shard of a pool, for the fail@k filter (docs/method.md §2)."""

from collections.abc import Iterator

import pyarrow as pa

from soar_pipeline.artifacts.files import Artifacts
from soar_pipeline.artifacts.schemas import ATTEMPTS, PROBLEMS
from soar_pipeline.config import Settings, Shard
from soar_pipeline.policy.attempts import AttemptSampler, solved
from soar_pipeline.policy.open_policy import OpenPolicy, open_policy
from soar_pipeline.questions import read_problems
from soar_pipeline.runtime import Progress, derive
from soar_pipeline.stages.command import Input, Output, run_stage


def sample_attempts(
    settings: Settings, run: Shard, artifacts: Artifacts, base_model: Input, problems: Input, attempts: Output
) -> None:
    """Sample up to fail@k attempts at every `filter.shards`-th problem, starting with the shard's number."""
    pool = read_problems(problems, PROBLEMS)[run.shard :: settings.filter.shards]
    progress = Progress(f"fail@{sum(settings.filter.rounds)} filter", len(pool))

    def sampled(policy: OpenPolicy) -> Iterator[pa.Table]:
        solved_so_far = 0
        seed = derive(settings.seed, "filter")
        for tried in AttemptSampler(policy).sample_until_solved(pool, settings.filter.rounds, seed):
            yield artifacts.table(tried, ATTEMPTS)
            solved_so_far += solved(tried)
            progress.advance(solved=solved_so_far)

    with open_policy(
        base_model,
        model=settings.model,
        prompts=settings.prompts,
        generation=settings.generation,
        grading=settings.grading,
    ) as policy:
        policy.check_questions(pool)
        # Written as they come: memory does not grow with the pool.
        artifacts.write_parts(attempts, ATTEMPTS, sampled(policy))


if __name__ == "__main__":
    run_stage(sample_attempts)
