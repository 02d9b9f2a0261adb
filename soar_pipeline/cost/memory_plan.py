"""`python -m soar_pipeline.cost.memory_plan`: which models train on which GPUs, by which keys (docs/memory.md)."""

from dataclasses import dataclass, replace
from pathlib import Path

from soar_pipeline.cost.memory import Memory, Setting, student_memory
from soar_pipeline.cost.model_size import ModelSize, known_sizes

PROJECT = Path(__file__).resolve().parents[2]
MODELS = (
    "Qwen/Qwen2.5-0.5B-Instruct",
    "meta-llama/Llama-3.2-1B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
)
GPU_GIGABYTES = (24, 80, 141)
# The rest is for the CUDA context, libraries and what lies between blocks.
USABLE = 0.9
GIGA = 1e9
MICRO_BATCHES = (32, 16, 8, 4, 2, 1)
# Smaller ones keep a GPU less busy than computing activations again does.
SMALLEST_WITHOUT_CHECKPOINTING = 8


@dataclass(frozen=True)
class Way:
    """A way to train: its column of the table, and what it asks of the keys."""

    name: str
    devices: tuple[int, ...] = (1,)
    lora_rank: int | None = None
    sharded: bool = False


WAYS = (
    Way("all parameters, 1 GPU"),
    Way("LoRA of rank 16, 1 GPU", lora_rank=16),
    Way("all parameters, data-parallel", devices=(2, 4, 8)),
    Way("all parameters, sharded", devices=(2, 4, 8), sharded=True),
)


def fitting(size: ModelSize, gigabytes: float, way: Way, like: Setting) -> tuple[Setting, Memory] | None:
    """The fewest devices, then no checkpointing, then the largest micro-batch, that fit; None where nothing does."""
    for devices in way.devices:
        # Adapters keep their inputs in float32: with many layers' at once, little of what they save is left.
        for checkpointing in (False, True) if way.lora_rank is None else (True,):
            for micro_batch in MICRO_BATCHES:
                if checkpointing < (micro_batch < SMALLEST_WITHOUT_CHECKPOINTING):
                    continue
                setting = replace(
                    like,
                    devices=devices,
                    micro_batch=micro_batch,
                    checkpointing=checkpointing,
                    lora_rank=way.lora_rank,
                    sharded=way.sharded,
                )
                memory = student_memory(size, setting)
                if memory.peak <= USABLE * gigabytes * GIGA:
                    return setting, memory
    return None


def parts_table(sizes: dict[str, ModelSize], setting: Setting) -> str:
    """Markdown: gigabytes of one GPU by what they are for, all parameters trained."""
    columns = ("weights", "reference", "moments", "gradients", "activations", "head", "cache")
    rows = [["model", *columns, "sampling", "training"]]
    for name in MODELS:
        memory = student_memory(sizes[name], setting)
        figures = [*(getattr(memory, column) for column in columns), memory.sampling, memory.training]
        rows.append([name.partition("/")[2], *(f"{figure / GIGA:.1f}" for figure in figures)])
    return _markdown(rows)


def plan_table(sizes: dict[str, ModelSize], like: Setting) -> str:
    """Markdown: for each model and GPU, the keys that fit and the gigabytes at their peak."""
    rows = [["model", "GPU", *(way.name for way in WAYS)]]
    for name in MODELS:
        for gigabytes in GPU_GIGABYTES:
            found = [fitting(sizes[name], gigabytes, way, like) for way in WAYS]
            rows.append([name.partition("/")[2], f"{gigabytes} GB", *(_cell(each) for each in found)])
    return _markdown(rows)


def _cell(found: tuple[Setting, Memory] | None) -> str:
    if found is None:
        return "no"
    setting, memory = found
    devices = f"{setting.devices} GPUs, " if setting.devices > 1 else ""
    checkpointing = ", checkpointing" if setting.checkpointing else ""
    return f"{devices}micro-batch {setting.micro_batch}{checkpointing}: {memory.peak / GIGA:.0f} GB"


def _markdown(rows: list[list[str]]) -> str:
    header, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *body])


def main() -> None:
    sizes, setting = known_sizes(PROJECT), Setting()
    print(parts_table(sizes, setting), plan_table(sizes, setting), sep="\n\n")


if __name__ == "__main__":
    main()
