"""Which models train on which GPUs, by which keys: the tables of docs/memory.md.

    python benchmarks/memory_plan.py

Arithmetic, which no GPU has confirmed; tests hold its parts against what a small model really holds on a CPU.
"""

import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tabulate import tabulate

from soar_pipeline.config import Config, Plan, load
from soar_pipeline.config.paths import PROJECT
from soar_pipeline.cost.assumptions import Options
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.memory import USABLE, Memory, TrainingSetup, student_memory
from soar_pipeline.cost.model_size import ModelSize, known_sizes
from soar_pipeline.cost.needs import soar_run_memory

MODELS = (
    "Qwen/Qwen2.5-0.5B-Instruct",
    "meta-llama/Llama-3.2-1B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
)
GPU_GIGABYTES = (24, 80, 141)
# What config/paper.yaml needs on GPUs of 80 GB (docs/cluster.md).
ON_80_GIGABYTES = {
    "student": {"micro_batch_size": 16, "pass_tokens": 1024, "offload_moments": True},
    "teacher": {"micro_batch_size": 16, "offload_moments": True},
    "generation": {"vllm_stays_awake": False, "vllm_memory_share": 0.3},
}
# The configurations that are laid out for GPUs, and for which.
LAYOUTS = {"paper": 141, "paper_8b": 141, "one_node": 141, "single_gpu": 80, "single_gpu_24gb": 24}
GIGA = 1e9
MICRO_BATCHES = (32, 16, 8, 4, 2, 1)
BATCHES = (256, 128, 64)
# Smaller ones keep a GPU less busy than computing activations again does.
SMALLEST_WITHOUT_CHECKPOINTING = 8


@dataclass(frozen=True)
class Strategy:
    """A way to train: its column of the table, and what it asks of the keys."""

    name: str
    devices: tuple[int, ...] = (1,)
    lora_rank: int | None = None
    sharded: bool = False


STRATEGIES = (
    Strategy("all parameters, 1 GPU"),
    Strategy("LoRA of rank 16, 1 GPU", lora_rank=16),
    Strategy("all parameters, data-parallel", devices=(2, 4, 8)),
    Strategy("all parameters, sharded", devices=(2, 4, 8), sharded=True),
)


def fitting(
    size: ModelSize, gigabytes: float, strategy: Strategy, like: TrainingSetup
) -> tuple[TrainingSetup, Memory] | None:
    """The fewest devices, then the largest batch, then no checkpointing, then the largest micro-batch, that fit; None
    if nothing does.
    """
    # TRL samples the rollouts of adapters, all of a step at once.
    batches = BATCHES if strategy.lora_rank is None else BATCHES[:1]
    for devices, batch in product(strategy.devices, batches):
        # Adapters keep their inputs in float32: with many layers' at once, little of what they save is left.
        for checkpointing in (False, True) if strategy.lora_rank is None else (True,):
            for micro_batch in MICRO_BATCHES:
                if checkpointing < (micro_batch < SMALLEST_WITHOUT_CHECKPOINTING):
                    continue
                setup = replace(
                    like,
                    devices=devices,
                    batch=batch,
                    micro_batch=micro_batch,
                    checkpointing=checkpointing,
                    lora_rank=strategy.lora_rank,
                    sharded=strategy.sharded,
                )
                memory = student_memory(size, setup)
                if memory.peak <= USABLE * gigabytes * GIGA:
                    return setup, memory
    return None


def parts_table(sizes: dict[str, ModelSize], setup: TrainingSetup) -> str:
    """Markdown: gigabytes of one GPU by what they are for, all parameters trained."""
    columns = ("weights", "reference", "moments", "sampler", "gradients", "activations", "head", "cache")
    rows = [["model", *columns, "sampling", "training"]]
    for name in MODELS:
        memory = student_memory(sizes[name], setup)
        figures = [*(getattr(memory, column) for column in columns), memory.sampling, memory.training]
        rows.append([name.partition("/")[2], *(f"{figure / GIGA:.1f}" for figure in figures)])
    return _table(rows)


def plan_table(sizes: dict[str, ModelSize], like: TrainingSetup) -> str:
    """Markdown: for each model and GPU, the keys that fit and the gigabytes at their peak."""
    rows = [["model", "GPU", *(strategy.name for strategy in STRATEGIES)]]
    for name in MODELS:
        for gigabytes in GPU_GIGABYTES:
            plans = [fitting(sizes[name], gigabytes, strategy, like) for strategy in STRATEGIES]
            rows.append([name.partition("/")[2], f"{gigabytes} GB", *(_cell(plan) for plan in plans)])
    return _table(rows)


def layout_memory(machine: Machine, dataset: str, gigabytes: float) -> dict[str, float]:
    """Bytes on the fullest GPU of the data set's largest SOAR run, by what it does."""
    runs = {run.objective: run for run in Plan(machine.config).soar_runs if run.dataset == dataset}
    used = [soar_run_memory(machine, run, gigabytes * GIGA) for run in runs.values()]
    return {part: max(of_run[part] for of_run in used) for part in ("students", "teacher")}


def machine_of(config: Config) -> Machine:
    """What a configuration runs on, without its data."""
    return Machine(config, PROJECT, Options(), count=False)


def layout_table() -> str:
    """Markdown: the SOAR runs of the shipped configurations on the GPUs that they are laid out for."""
    rows = [["configuration", "model", "GPU", "while students train", "while the teacher learns"]]
    for name, gigabytes in LAYOUTS.items():
        config = load(PROJECT / "config" / f"{name}.yaml")
        for dataset in dict.fromkeys(run.dataset for run in Plan(config).soar_runs):
            rows.append(_layout(f"`{name}.yaml`, {dataset}", config, dataset, gigabytes))
    config = on_80_gigabytes(load(PROJECT / "config" / "paper.yaml"))
    rows.insert(2, _layout("`paper.yaml` with the keys for 80 GB, math", config, "math", 80))
    return _table(rows)


def _layout(name: str, config: Config, dataset: str, gigabytes: int) -> list[str]:
    used = layout_memory(machine_of(config), dataset, gigabytes)
    figures = [f"{used[part] / GIGA:.0f} GB" for part in ("students", "teacher")]
    model = config.models[config.datasets[dataset].model].path
    return [name, model.partition("/")[2], f"{gigabytes} GB", *figures]


def on_80_gigabytes(config: Config) -> Config:
    """The configuration with the keys that GPUs of 80 GB need."""
    changed = {name: getattr(config, name).model_copy(update=keys) for name, keys in ON_80_GIGABYTES.items()}
    return config.model_copy(update=changed)


def _cell(plan: tuple[TrainingSetup, Memory] | None) -> str:
    if plan is None:
        return "no"
    setup, memory = plan
    devices = f"{setup.devices} GPUs, " if setup.devices > 1 else ""
    checkpointing = ", checkpointing" if setup.checkpointing else ""
    batch = f", batch {setup.batch}" if setup.batch < setup.rollouts / setup.devices else ""
    return f"{devices}micro-batch {setup.micro_batch}{checkpointing}{batch}: {memory.peak / GIGA:.0f} GB"


def _table(rows: list[list[str]]) -> str:
    return tabulate(rows, headers="firstrow", tablefmt="github", disable_numparse=True)


def main() -> None:
    sizes, setup = known_sizes(PROJECT), TrainingSetup()
    print(parts_table(sizes, setup), plan_table(sizes, setup), layout_table(), sep="\n\n")


if __name__ == "__main__":
    main()
