"""The judge that the configuration names (`taxonomy.judge`)."""

import logging
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.artifacts.provenance import digest
from soar_pipeline.config import EndpointJudge, ExactJudge, LocalJudge, Settings
from soar_pipeline.evaluation.judges.reply_cache import ReplyCache
from soar_pipeline.evaluation.taxonomy import Judge, prices
from soar_pipeline.grading.grader import Grader

log = logging.getLogger(__name__)


def configured_judge(settings: Settings, policy: list[Path], cache: ReplyCache, grader: Grader) -> Judge:
    """The judge of a job's settings.

    policy: the model folder of a local judge, else none. grader: compares answers for the exact judge. Raises
    ArtifactError if a local judge has no folder, ConfigError if an endpoint's key is not in the environment.
    """
    # Each judge is imported by who needs it: an endpoint needs no torch.
    kind = settings.taxonomy.judge
    if isinstance(kind, ExactJudge):
        from soar_pipeline.evaluation.judges.exact import ToyTaskJudge

        return ToyTaskJudge(grader)
    if isinstance(kind, EndpointJudge):
        from soar_pipeline.evaluation.judges.endpoint import RemoteJudge

        return RemoteJudge(
            kind, settings.judge_prompt, settings.taxonomy.attempts, settings.taxonomy.concurrency, cache
        )
    return _local_judge(settings, kind, policy, cache)


def _local_judge(settings: Settings, kind: LocalJudge, policy: list[Path], cache: ReplyCache) -> Judge:
    from soar_pipeline.evaluation.judges.local import PolicyJudge
    from soar_pipeline.policy.engines import generator_of
    from soar_pipeline.policy.loading import load_policy

    if len(policy) != 1:
        raise ArtifactError("--policy or --judge: give one model folder, that of the local judge")
    return PolicyJudge(
        generator_of(load_policy(policy[0], settings.judge_model.dtype), settings.generation),
        settings.judge_prompt,
        name=digest(policy[0]),
        chat_template=settings.judge_model.chat_template,
        max_new_tokens=kind.max_new_tokens,
        attempts=settings.taxonomy.attempts,
        seed=settings.seed,
        cache=cache,
    )


def log_judged(settings: Settings, rows: list[dict[str, Any]]) -> None:
    """The count of judged rows and what they cost, in the log."""
    judged = sum(row["error_type"] is not None for row in rows)
    prompt_tokens, completion_tokens = (
        sum(row[name] or 0 for row in rows) for name in ("prompt_tokens", "completion_tokens")
    )
    log.info(
        "%d questions: %d with a verdict, %d without; %d replies, %d prompt and %d completion tokens",
        len(rows),
        judged,
        len(rows) - judged,
        sum(row["attempts"] for row in rows),
        prompt_tokens,
        completion_tokens,
    )
    if price := prices(settings.taxonomy.judge):
        log.info("at the configured prices: %.4f", price[0] * prompt_tokens + price[1] * completion_tokens)
