"""How fast a machine runs a model: derived from a device's stated figures, or read from a measured file."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, NonNegativeFloat, PositiveFloat, ValidationError

from soar_pipeline.config import ConfigError, Section, readable
from soar_pipeline.cost.model_size import BYTES, HELD, ModelSize

Engine = Literal["transformers", "vllm"]
Share = Field(gt=0, le=1)


class Figure(Section):
    """A number and, in one line, where it comes from."""

    value: NonNegativeFloat
    basis: str


class Device(Section):
    """A device's stated figures by name: `resources/throughput/<device>.yaml`. Rates are per second."""

    name: str
    kind: Literal["gpu", "cpu"]
    figures: dict[str, Figure]

    def __getitem__(self, name: str) -> float:
        return self.figures[name].value


class StatedSpeed:
    """A roofline: whatever takes longer, reading all weights and caches or computing; a CPU counts by `cores`.

    A pass takes 2 FLOPs per parameter and token (attention, a few per cent, is not counted), its backward pass twice.
    """

    def __init__(
        self, device: Device, size: ModelSize, dtype: str, engine: Engine, cores: int = 1, awake: bool = False
    ):
        """awake: vLLM keeps its memory while a model trains."""
        weights, bandwidth = size.parameters * BYTES[dtype], device["memory_bandwidth"]
        peak, decoding = device[f"peak_flops.{dtype}"] * cores, f"generation.{engine}"
        self.launch = size.layers * device[f"{decoding}.seconds_per_layer"]
        self.read = 1 / (bandwidth * device[f"{decoding}.bandwidth_utilisation"])
        self.compute = 2 * size.parameters / (peak * device[f"{decoding}.flops_utilisation"])
        self.weights, self.cache = weights, size.cache_bytes(dtype) * device[f"{decoding}.cache_traffic"]
        self.forward_seconds_per_token = 2 * size.parameters / (peak * device["training_flops_utilisation"])
        self.prefill_seconds_per_token = self.forward_seconds_per_token
        self.backward_seconds_per_token = 2 * self.forward_seconds_per_token
        # AdamW reads and writes weights and moments; gradients are clipped, read and zeroed.
        held = HELD[dtype]
        traffic = 2 * (held["weights"] + held["moments"]) + 4 * held["gradients"]
        self.optimizer_seconds = size.parameters * traffic / bandwidth
        # Moments that lie in the machine's memory come and go.
        self.offload_seconds = 2 * size.parameters * held["moments"] / device["host_bandwidth"]
        self.grading_seconds, self.disk_bandwidth = device["grading_seconds"], device["disk_bandwidth"]
        self.draw_seconds = device[f"{decoding}.seconds_per_draw{'_awake' if awake else ''}"]
        start = device["job_start_seconds"] + device[f"engine_start_seconds.{engine}"]
        self.job_start_seconds = start + weights / self.disk_bandwidth

    def decoding_step(self, sequences: float, context: float) -> float:
        """Seconds of one token more for each of `sequences`, which hold `context` tokens on average."""
        memory = (self.weights + self.cache * context * sequences) * self.read
        return self.launch + max(memory, self.compute * sequences)


class DecodingPoint(Section):
    """One measured batch: `seconds` per decoding step of so many `sequences`."""

    sequences: int = Field(ge=1)
    seconds: PositiveFloat


class Measured(Section):
    """What `benchmarks/throughput.py` writes: this machine, one model. Tokens include padding."""

    machine: str
    kind: Literal["gpu", "cpu"]
    note: str
    model: str
    parameters: int
    dtype: Literal["bfloat16", "float32"]
    decoding: tuple[DecodingPoint, DecodingPoint]
    prefill_seconds_per_token: NonNegativeFloat
    forward_seconds_per_token: NonNegativeFloat
    backward_seconds_per_token: NonNegativeFloat
    optimizer_seconds: NonNegativeFloat
    draw_seconds: NonNegativeFloat = 0
    offload_seconds: NonNegativeFloat = 0
    grading_seconds: NonNegativeFloat
    job_start_seconds: NonNegativeFloat
    plumbing_seconds: NonNegativeFloat
    disk_bandwidth: PositiveFloat
    student_prompt_tokens: int = Field(ge=1)
    teacher_prompt_tokens: int = Field(ge=1)
    base_length: float = Share
    base_longest: float = Share
    teacher_length: float = Share
    teacher_longest: float = Share
    acceptance: float | None = Share

    @property
    def observed(self) -> dict[str, float]:
        """The assumptions that this file replaces."""
        values = {name: getattr(self, name) for name in ("base_length", "teacher_length", "acceptance")}
        return {name: value for name, value in values.items() if value is not None}

    def decoding_step(self, sequences: float, context: float) -> float:
        """As above: a straight line in the number of sequences, through two measured points."""
        few, many = sorted(self.decoding, key=lambda point: point.sequences)
        slope = max(0.0, many.seconds - few.seconds) / max(1, many.sequences - few.sequences)
        # Of batches smaller than the first nothing is known but that they take no longer.
        return few.seconds + slope * max(0.0, sequences - few.sequences)


Speed = StatedSpeed | Measured


def read(path: Path, kind: type[Section]):
    """A device's stated figures or a measured file; ConfigError names the file and the key."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {readable(error)}") from None
