"""How fast a machine runs a model: derived from a device's stated figures, or read from a measured file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import yaml
from pydantic import Field, ValidationError

from soar_pipeline.config import ConfigError, Section, readable
from soar_pipeline.cost.model_size import BYTES, ModelSize
from soar_pipeline.located import find

Engine = Literal["transformers", "vllm"]

# AdamW and gradient clipping read or write parameter-sized arrays about so often: parameters, gradients (clipped and
# zeroed) and two moments.
OPTIMIZER_PASSES = 10


class Figure(Section):
    """A number and, in one line, where it comes from."""

    value: float = Field(ge=0)
    basis: str


class EngineFigures(Section):
    """What an engine makes of a device in decoding."""

    bandwidth_utilisation: Figure
    flops_utilisation: Figure
    seconds_per_layer: Figure
    cache_traffic: Figure


class Device(Section):
    """A device's stated figures: `resources/throughput/<device>.yaml`. Rates are per second."""

    name: str
    kind: Literal["gpu", "cpu"]
    peak_flops: dict[Literal["bfloat16", "float32"], Figure]
    memory_bandwidth: Figure
    generation: dict[Engine, EngineFigures]
    training_flops_utilisation: Figure
    job_start_seconds: Figure
    engine_start_seconds: dict[Engine, Figure]
    plumbing_seconds: Figure
    grading_seconds: Figure
    disk_bandwidth: Figure


class DecodingPoint(Section):
    """One measured batch: `seconds` per decoding step of so many `sequences`."""

    sequences: int = Field(ge=1)
    seconds: float = Field(gt=0)


class Measured(Section):
    """What `benchmarks/throughput.py` writes: this machine, one model."""

    machine: str
    kind: Literal["gpu", "cpu"]
    note: str
    model: str
    parameters: int
    dtype: Literal["bfloat16", "float32"]
    decoding: tuple[DecodingPoint, DecodingPoint]
    prefill_seconds_per_token: float = Field(ge=0)
    forward_seconds_per_token: float = Field(ge=0)
    backward_seconds_per_token: float = Field(ge=0)
    optimizer_seconds: float = Field(ge=0)
    grading_seconds: float = Field(ge=0)
    job_start_seconds: float = Field(ge=0)
    plumbing_seconds: float = Field(ge=0)
    disk_bandwidth: float = Field(gt=0)
    student_prompt_tokens: int = Field(ge=1)
    teacher_prompt_tokens: int = Field(ge=1)
    base_length: float = Field(gt=0, le=1)
    base_longest: float = Field(gt=0, le=1)
    teacher_length: float = Field(gt=0, le=1)
    teacher_longest: float = Field(gt=0, le=1)
    acceptance: float | None = Field(gt=0, le=1)

    @property
    def observed(self) -> dict[str, float]:
        """The assumptions that this file replaces."""
        found = {name: getattr(self, name) for name in ("base_length", "teacher_length", "acceptance")}
        return {name: value for name, value in found.items() if value is not None}


class Speed(Protocol):
    """Seconds of the parts of a job. Tokens are positions computed, padding included."""

    job_start: float
    grading: float
    disk_bandwidth: float

    def decoding_step(self, sequences: float, context: float) -> float:
        """One token more for each of `sequences`, which hold `context` tokens on average."""
        ...

    def prefill(self, tokens: float) -> float: ...

    def forward(self, tokens: float) -> float: ...

    def backward(self, tokens: float) -> float: ...

    def optimizer_step(self) -> float: ...


@dataclass(frozen=True)
class DerivedSpeed:
    """A roofline: whatever takes longer, reading memory or computing; `cores` of a CPU count, a GPU is one."""

    device: Device
    size: ModelSize
    dtype: str
    engine: Engine
    cores: int = 1

    def decoding_step(self, sequences: float, context: float) -> float:
        """Reads every weight once and every sequence's cache; launches its kernels layer by layer."""
        engine = self.device.generation[self.engine]
        cache = self.size.cache_bytes(self.dtype) * context * sequences * engine.cache_traffic.value
        memory = (self.weight_bytes + cache) / (self.device.memory_bandwidth.value * engine.bandwidth_utilisation.value)
        compute = 2 * self.size.parameters * sequences / (self._peak * engine.flops_utilisation.value)
        return self.size.layers * engine.seconds_per_layer.value + max(memory, compute)

    def prefill(self, tokens: float) -> float:
        return self.forward(tokens)

    def forward(self, tokens: float) -> float:
        """2 FLOPs per parameter and token; attention over a thousand tokens adds a few per cent, not counted."""
        return 2 * self.size.parameters * tokens / (self._peak * self.device.training_flops_utilisation.value)

    def backward(self, tokens: float) -> float:
        """Twice the forward pass."""
        return 2 * self.forward(tokens)

    def optimizer_step(self) -> float:
        return OPTIMIZER_PASSES * self.weight_bytes / self.device.memory_bandwidth.value

    @property
    def weight_bytes(self) -> int:
        return self.size.parameters * BYTES[self.dtype]

    @property
    def _peak(self) -> float:
        return self.device.peak_flops[self.dtype].value * self.cores

    @property
    def job_start(self) -> float:
        read = self.weight_bytes / self.disk_bandwidth
        start = self.device.job_start_seconds.value + self.device.engine_start_seconds[self.engine].value
        return start + read

    @property
    def grading(self) -> float:
        return self.device.grading_seconds.value

    @property
    def disk_bandwidth(self) -> float:
        return self.device.disk_bandwidth.value


@dataclass(frozen=True)
class MeasuredSpeed:
    """As measured; a decoding step is a straight line in the number of sequences, through two measured points."""

    measured: Measured

    def decoding_step(self, sequences: float, context: float) -> float:
        few, many = self.measured.decoding
        slope = max(0.0, (many.seconds - few.seconds) / (many.sequences - few.sequences))
        # Of smaller batches than the first nothing is known but that they take no longer.
        return few.seconds + slope * max(0.0, sequences - few.sequences)

    def prefill(self, tokens: float) -> float:
        return self.measured.prefill_seconds_per_token * tokens

    def forward(self, tokens: float) -> float:
        return self.measured.forward_seconds_per_token * tokens

    def backward(self, tokens: float) -> float:
        return self.measured.backward_seconds_per_token * tokens

    def optimizer_step(self) -> float:
        return self.measured.optimizer_seconds

    @property
    def job_start(self) -> float:
        return self.measured.job_start_seconds

    @property
    def grading(self) -> float:
        return self.measured.grading_seconds

    @property
    def disk_bandwidth(self) -> float:
        return self.measured.disk_bandwidth


def read_device(name: str, project: Path) -> Device:
    """The stated figures of a device; ConfigError where the file is not such a table."""
    return _read(Path(find(f"resources/throughput/{name}.yaml", project)), Device)


def read_measured(path: Path) -> Measured:
    """A measured file; ConfigError names the file and the key."""
    measured = _read(path, Measured)
    if measured.decoding[0].sequences >= measured.decoding[1].sequences:
        raise ConfigError(f"{path}: decoding: the second batch must be larger than the first; measure again")
    return measured


def _read(path: Path, kind: type[Section]):
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {readable(error)}") from None
