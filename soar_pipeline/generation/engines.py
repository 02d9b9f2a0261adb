"""The engine that a configuration names, for a policy."""

from soar_pipeline.config import ConfigError, EngineConfig
from soar_pipeline.generation.generator import Generator
from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.models.policy import Policy


def generator_of(policy: Policy, config: EngineConfig) -> Generator:
    """What completes prompts with the policy's current weights; ConfigError where the engine is not installed."""
    if config.engine == "transformers":
        return TransformersGenerator(policy, config.batch_size, config.segment_tokens)
    return _vllm(policy, config)


def rollout_generator_of(policy: Policy, config: EngineConfig) -> Generator | None:
    """What draws rollouts with the policy's current weights; None where TRL itself does, with transformers."""
    trl_draws = config.engine == "transformers" and config.segment_tokens is None
    return None if trl_draws else generator_of(policy, config)


def _vllm(policy: Policy, config: EngineConfig) -> Generator:
    # Not installed everywhere, and many seconds to import.
    try:
        from soar_pipeline.generation.vllm_engine import VllmGenerator
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise ConfigError(
            "generation.engine: vLLM is not installed; docs/vllm.md says how, or take the engine transformers"
        ) from None
    return VllmGenerator(policy, config)
