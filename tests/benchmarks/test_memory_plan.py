"""The memory plan: its arithmetic against what a small model holds on a CPU, and its tables."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
import yaml
from memory_plan import (
    GPU_GIGABYTES,
    LAYOUTS,
    MODELS,
    ON_80_GIGABYTES,
    STRATEGIES,
    fitting,
    layout_memory,
    layout_table,
    machine_of,
    on_80_gigabytes,
    parts_table,
    plan_table,
)
from transformers import LlamaConfig, LlamaForCausalLM

from soar_pipeline.config import Plan, load
from soar_pipeline.cost.memory import (
    USABLE,
    TrainingSetup,
    activation_bytes,
    kept_bytes,
    lora_parameters,
    student_memory,
)
from soar_pipeline.cost.model_size import ModelSize, known_sizes
from soar_pipeline.cost.needs import needs, trainings
from soar_pipeline.policy.loading import narrow_matrices

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


def small_model(dtype: str = "float32") -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).to(getattr(torch, dtype))


def in_type(dtype: str, cache: bool = True) -> torch.autocast:
    """The context of a pass of training."""
    return torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16", cache_enabled=cache)


def tokens() -> dict[str, torch.Tensor]:
    """A batch without padding: a padded one also keeps a mask, which the plan leaves out."""
    return {"input_ids": torch.arange(SEQUENCES * TOKENS).view(SEQUENCES, TOKENS) % 500}


def kept_for_backward(model: LlamaForCausalLM, forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps of a forward pass, each storage once; parameters, their casts and buffers left out."""
    shapes = {parameter.shape for parameter in model.parameters()} | {
        parameter.shape[::-1] for parameter in model.parameters()
    }
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    # Held, so that no storage is freed and its address given to the next.
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.is_floating_point() and storage.data_ptr() not in own and tensor.shape not in shapes:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_gradients_and_moments_are_those_of_a_real_step(dtype: str):
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    with in_type(dtype):
        loss = model(**tokens()).logits.float().sum()
    loss.backward()
    gradients = sum(parameter.grad.nbytes for parameter in model.parameters())
    optimizer.step()
    moments = sum(state[key].nbytes for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq"))

    memory = student_memory(SIZE, TrainingSetup(dtype=dtype))

    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert (memory.weights, memory.gradients, memory.moments) == (weights, gradients, moments)
    copy = small_model(dtype)
    assert memory.sampler == (0 if dtype == "float32" else sum(parameter.nbytes for parameter in copy.parameters()))
    if dtype == "bfloat16":
        narrow_matrices(model)
    # Norms, which stay float32 too, are left out.
    assert memory.reference == pytest.approx(sum(parameter.nbytes for parameter in model.parameters()), rel=0.01)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_are_what_autograd_keeps(dtype: str):
    model = small_model().train()
    with in_type(dtype):
        kept = kept_for_backward(model, lambda: model.model(**tokens(), use_cache=False))
    expected = SEQUENCES * TOKENS * activation_bytes(SIZE, dtype, checkpointing=False)
    assert kept == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpointing_keeps_the_inputs_of_layers_and_one_layer(dtype: str):
    model = small_model().train()
    with in_type(dtype, cache=False):
        all_layers = kept_for_backward(model, lambda: model.model(**tokens(), use_cache=False))
        model.gradient_checkpointing_enable()
        kept = kept_for_backward(model, lambda: model.model(**tokens(), use_cache=False))
    one_layer = all_layers / SHAPE["num_hidden_layers"]
    expected = SEQUENCES * TOKENS * activation_bytes(SIZE, dtype, checkpointing=True)
    assert kept + one_layer == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_cache_is_that_of_a_generated_batch(dtype: str):
    model = small_model(dtype).eval()
    with torch.no_grad():
        cache = model(**tokens(), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    memory = student_memory(
        SIZE, TrainingSetup(dtype=dtype, rollouts=SEQUENCES, prompt_tokens=TOKENS - 8, new_tokens=8)
    )
    logits = SEQUENCES * 500 * (8 + {"float32": 4, "bfloat16": 2}[dtype])
    assert memory.cache == held + logits


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_adapters_are_as_many_as_peft_makes_and_in_float32(dtype: str):
    adapters = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    model = peft.get_peft_model(small_model(dtype), adapters)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trained) == lora_parameters(SIZE, 4)

    memory = student_memory(SIZE, TrainingSetup(dtype=dtype, lora_rank=4))

    assert memory.gradients == sum(parameter.nbytes for parameter in trained)
    assert memory.weights == sum(parameter.nbytes for parameter in model.parameters())
    assert memory.reference == 0


def test_processes_share_rollouts_and_sharded_ones_the_model_too():
    one, two = student_memory(SIZE, TrainingSetup()), student_memory(SIZE, TrainingSetup(devices=2))
    assert (two.held, two.cache, two.buckets) == (one.held, one.cache / 2, one.gradients)
    sharded = student_memory(SIZE, TrainingSetup(devices=2, sharded=True))
    assert (sharded.moments, sharded.gradients, sharded.buckets) == (one.moments / 2, one.gradients / 2, 0)


def test_the_plan_takes_what_fits(project: Path):
    sizes = known_sizes(project)
    for name in MODELS:
        for gigabytes in GPU_GIGABYTES:
            for strategy in STRATEGIES:
                plan = fitting(sizes[name], gigabytes, strategy, TrainingSetup())
                if plan is not None:
                    setup, memory = plan
                    assert memory == student_memory(sizes[name], setup)
                    assert memory.peak <= 0.9 * gigabytes * 1e9
    everything, lora, *_ = STRATEGIES
    small, large = sizes["meta-llama/Llama-3.2-3B-Instruct"], sizes["meta-llama/Llama-3.1-8B-Instruct"]
    assert fitting(small, 24, everything, TrainingSetup()) is None
    assert fitting(small, 80, everything, TrainingSetup()) is not None
    assert fitting(large, 80, everything, TrainingSetup()) is None
    assert fitting(large, 80, lora, TrainingSetup()) is not None


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_shipped_configuration_fits_the_gpu_that_it_is_laid_out_for(name: str, project: Path):
    machine = machine_of(load(project / "config" / f"{name}.yaml"))
    gpu = LAYOUTS[name] * 1e9
    every = list(trainings(machine, gpu))
    plan = Plan(machine.config)
    assert len(every) == len(plan.soar_runs) + len(plan.fresh_students) + len(plan.serl_runs)
    assert max(every) <= USABLE * gpu
    # The smallest that would do is full.
    smallest = needs(machine).memory
    assert smallest < gpu
    assert max(trainings(machine, smallest)) == pytest.approx(USABLE * smallest)


def test_the_paper_fits_gpus_of_80_gigabytes_by_the_documented_keys(project: Path):
    machine = machine_of(on_80_gigabytes(load(project / "config" / "paper.yaml")))
    assert max(layout_memory(machine, "math", 80).values()) <= USABLE * 80e9
    page = (project / "docs" / "cluster.md").read_text(encoding="utf-8")
    keys = yaml.safe_load(page.partition("<!-- 80 GB -->\n```yaml\n")[2].partition("```")[0])
    assert keys == ON_80_GIGABYTES


def test_parts_of_a_micro_batch_keep_the_inputs_of_layers_alone(project: Path):
    """Of two parts: the first is kept as the inputs of its layers, the second is computed in full."""
    model = small_model().train()
    model.gradient_checkpointing_enable({"use_reentrant": False})

    def two_parts() -> list[torch.Tensor]:
        return [model.model(**tokens(), use_cache=False).last_hidden_state for _ in range(2)]

    kept = kept_for_backward(model, two_parts)
    expected = 2 * SEQUENCES * TOKENS * kept_bytes(SIZE, "float32", checkpointing=True)
    assert kept == pytest.approx(expected, rel=0.25)


def test_what_lies_elsewhere_is_not_held(project: Path):
    size = known_sizes(project)["meta-llama/Llama-3.1-8B-Instruct"]
    plain = student_memory(size, TrainingSetup())
    offloaded = student_memory(size, TrainingSetup(offloaded=True))
    assert (offloaded.moments, plain.training - offloaded.training) == (0, plain.moments)
    asleep, awake = (student_memory(size, TrainingSetup(engine=20e9, awake=awake)) for awake in (False, True))
    assert asleep.sampler == awake.sampler == 0
    assert awake.training - asleep.training == 20e9
    assert asleep.sampling == awake.sampling


def test_less_is_asked_of_a_gpu_if_less_is_drawn(project: Path):
    size = known_sizes(project)["meta-llama/Llama-3.2-3B-Instruct"]
    setup, memory = fitting(size, 80, STRATEGIES[0], TrainingSetup())
    assert setup.batch == 128
    assert student_memory(size, replace(setup, batch=256)).sampling > 0.9 * 80e9 > memory.sampling
    assert student_memory(size, replace(setup, batch=256, rollouts=128)) == memory


def test_the_documented_tables_are_the_computed_ones(project: Path):
    page = (project / "docs" / "memory.md").read_text(encoding="utf-8")
    sizes = known_sizes(project)
    assert parts_table(sizes, TrainingSetup()) in page
    assert plan_table(sizes, TrainingSetup()) in page
    assert layout_table() in page
