"""The engine that a configuration names, for a policy."""

from soar_pipeline.config import ConfigError, EngineConfig
from soar_pipeline.policy.loading import Policy
from soar_pipeline.policy.sampling import Generator
from soar_pipeline.policy.transformers_engine import TransformersGenerator


def generator_of(policy: Policy, config: EngineConfig) -> Generator:
    """What completes prompts with the policy's current weights; ConfigError if the engine is not installed."""
    if config.engine == "transformers":
        return TransformersGenerator(policy, config.batch_size, config.segment_tokens)
    return _vllm(policy, config)


def _vllm(policy: Policy, config: EngineConfig) -> Generator:
    # Not installed everywhere, and many seconds to import.
    try:
        from soar_pipeline.policy.vllm_engine import VllmGenerator
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise ConfigError(
            "generation.engine: vLLM is not installed; docs/vllm.md says how, or set the engine transformers"
        ) from None
    return VllmGenerator(policy, config)
