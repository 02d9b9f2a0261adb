"""The memory plan: its arithmetic against what a small model holds on a CPU, and its tables."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from soar_pipeline.config import load
from soar_pipeline.cost.memory import Setting, activation_bytes, lora_parameters, student_memory
from soar_pipeline.cost.memory_plan import GPU_GIGABYTES, MODELS, WAYS, fitting, parts_table, plan_table
from soar_pipeline.cost.model_size import ModelSize, known_sizes

SEQUENCES, TOKENS = 3, 40
SHAPE = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 224,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "tie_word_embeddings": True,
}
SIZE = ModelSize.of_shape(SHAPE, "made")


def small_model(dtype: str) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).to(getattr(torch, dtype))


def tokens() -> dict[str, torch.Tensor]:
    """A batch without padding: a padded one also keeps a mask, which the plan leaves out."""
    return {"input_ids": torch.arange(SEQUENCES * TOKENS).view(SEQUENCES, TOKENS) % 500}


def kept_for_backward(model: LlamaForCausalLM, forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps of a forward pass, each storage once, parameters and buffers left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    # Held, so that no storage is freed and its address given to the next.
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.is_floating_point() and storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_gradients_and_moments_are_those_of_a_real_step(dtype: str):
    model = small_model(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(**tokens()).logits.float().sum().backward()
    gradients = sum(parameter.grad.nbytes for parameter in model.parameters())
    optimizer.step()
    moments = sum(state[key].nbytes for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq"))

    memory = student_memory(SIZE, Setting(dtype=dtype))

    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert (memory.weights, memory.reference, memory.gradients, memory.moments) == (
        weights,
        weights,
        gradients,
        moments,
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_are_what_autograd_keeps(dtype: str):
    model = small_model(dtype).train()
    kept = kept_for_backward(model, lambda: model.model(**tokens(), use_cache=False))
    expected = SEQUENCES * TOKENS * activation_bytes(SIZE, dtype, checkpointing=False)
    assert kept == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpointing_keeps_the_inputs_of_layers_and_one_layer(dtype: str):
    model = small_model(dtype).train()
    whole = kept_for_backward(model, lambda: model.model(**tokens(), use_cache=False))
    model.gradient_checkpointing_enable()
    kept = kept_for_backward(model, lambda: model.model(**tokens(), use_cache=False))
    one_layer = whole / SHAPE["num_hidden_layers"]
    expected = SEQUENCES * TOKENS * activation_bytes(SIZE, dtype, checkpointing=True)
    assert kept + one_layer == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_cache_is_that_of_a_generated_batch(dtype: str):
    model = small_model(dtype).eval()
    with torch.no_grad():
        cache = model(**tokens(), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    memory = student_memory(SIZE, Setting(dtype=dtype, rollouts=SEQUENCES, prompt_tokens=TOKENS - 8, new_tokens=8))
    logits = SEQUENCES * 500 * (8 + {"float32": 4, "bfloat16": 2}[dtype])
    assert memory.cache == held + logits


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_adapters_are_as_many_as_peft_makes_and_in_float32(dtype: str):
    adapters = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    model = peft.get_peft_model(small_model(dtype), adapters)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trained) == lora_parameters(SIZE, 4)

    memory = student_memory(SIZE, Setting(dtype=dtype, lora_rank=4))

    assert memory.gradients == sum(parameter.nbytes for parameter in trained)
    assert memory.weights == sum(parameter.nbytes for parameter in model.parameters())
    assert memory.reference == 0


def test_processes_share_rollouts_and_sharded_ones_the_model_too():
    one, two = student_memory(SIZE, Setting()), student_memory(SIZE, Setting(devices=2))
    assert (two.held, two.cache, two.buckets) == (one.held, one.cache / 2, one.gradients)
    sharded = student_memory(SIZE, Setting(devices=2, sharded=True))
    assert (sharded.moments, sharded.gradients, sharded.buckets) == (one.moments / 2, one.gradients / 2, 0)


def test_the_plan_takes_what_fits(project: Path):
    sizes = known_sizes(project)
    for name in MODELS:
        for gigabytes in GPU_GIGABYTES:
            for way in WAYS:
                found = fitting(sizes[name], gigabytes, way, Setting())
                if found is not None:
                    setting, memory = found
                    assert memory == student_memory(sizes[name], setting)
                    assert memory.peak <= 0.9 * gigabytes * 1e9
    everything, lora, *_ = WAYS
    small, large = sizes["meta-llama/Llama-3.2-3B-Instruct"], sizes["meta-llama/Llama-3.1-8B-Instruct"]
    assert fitting(small, 24, everything, Setting()) is None
    assert fitting(small, 80, everything, Setting()) is not None
    assert fitting(large, 80, everything, Setting()) is None
    assert fitting(large, 80, lora, Setting()) is not None


def test_one_gpu_of_24_gigabytes_holds_teacher_and_student_of_single_gpu(project: Path):
    config = load(project / "config" / "single_gpu.yaml")
    size = known_sizes(project)[config.models["base"].path]
    setting = Setting(
        rollouts=config.student.batch_size * config.student.group_size,
        new_tokens=config.generation.student_max_new_tokens,
        micro_batch=config.student.micro_batch_size,
        checkpointing=config.student.gradient_checkpointing,
    )
    memory = student_memory(size, setting)
    assert 20e9 < memory.peak + memory.weights + memory.reference < 0.9 * 24e9
    assert config.generation.batch_size <= setting.rollouts


def test_less_is_asked_of_a_gpu_where_less_is_drawn(project: Path):
    size = known_sizes(project)["Qwen/Qwen2.5-1.5B-Instruct"]
    everything = WAYS[0]
    assert fitting(size, 24, everything, Setting()) is None
    assert fitting(size, 24, everything, replace(Setting(), rollouts=128)) is not None


def test_the_documented_tables_are_the_computed_ones(project: Path):
    page = (project / "docs" / "memory.md").read_text(encoding="utf-8")
    sizes = known_sizes(project)
    assert parts_table(sizes, Setting()) in page
    assert plan_table(sizes, Setting()) in page
