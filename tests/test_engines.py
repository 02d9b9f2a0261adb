"""Which engine a configuration gives, where vLLM is not installed."""

import sys

import pytest

from soar_pipeline.config import ConfigError, EngineConfig, GenerationConfig
from soar_pipeline.generation.engines import generator_of, rollout_generator_of
from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.models.policy import load_policy


def test_transformers_is_the_default_and_leaves_rollouts_to_trl(base_model):
    policy = load_policy(base_model, "float32")
    generator = generator_of(policy, GenerationConfig(batch_size=7))
    assert isinstance(generator, TransformersGenerator)
    assert (generator.policy, generator.batch_size) == (policy, 7)
    assert rollout_generator_of(policy, GenerationConfig()) is None


def test_a_missing_vllm_is_one_line_that_says_what_to_install(base_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.delitem(sys.modules, "soar_pipeline.generation.vllm_engine", raising=False)
    policy = load_policy(base_model, "float32")
    for make in (generator_of, rollout_generator_of):
        with pytest.raises(ConfigError, match=r"generation\.engine: vLLM is not installed; docs/vllm\.md says how"):
            make(policy, EngineConfig(engine="vllm"))


def test_the_engine_of_a_generation_is_its_keys_alone():
    generation = GenerationConfig(engine="vllm", batch_size=3, vllm_memory_share=0.2, student_max_new_tokens=5)
    assert generation.drawn_by == EngineConfig(engine="vllm", batch_size=3, vllm_memory_share=0.2)
