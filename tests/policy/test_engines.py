"""Which engine a configuration gives, where vLLM is not installed."""

import sys

import pytest

from soar_pipeline.config import ConfigError, EngineConfig, GenerationConfig
from soar_pipeline.policy.engines import generator_of
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.transformers_engine import TransformersGenerator


def test_transformers_is_the_default(base_model):
    policy = load_policy(base_model, "float32")
    generator = generator_of(policy, GenerationConfig(batch_size=7))
    assert isinstance(generator, TransformersGenerator)
    assert (generator.policy, generator.batch_size) == (policy, 7)


def test_a_missing_vllm_is_one_line_that_says_what_to_install(base_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.delitem(sys.modules, "soar_pipeline.policy.vllm_engine", raising=False)
    policy = load_policy(base_model, "float32")
    with pytest.raises(ConfigError, match=r"generation\.engine: vLLM is not installed; docs/vllm\.md says how"):
        generator_of(policy, EngineConfig(engine="vllm"))
