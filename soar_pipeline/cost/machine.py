"""The machine that an estimate is for: how fast it runs each model, and how many jobs it holds."""

from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heapreplace
from pathlib import Path

from soar_pipeline.config import Config, ConfigError
from soar_pipeline.cost.assumptions import Assumed
from soar_pipeline.cost.model_size import BYTES, ModelSize
from soar_pipeline.cost.speed import DerivedSpeed, Device, Engine, Measured, MeasuredSpeed, Speed
from soar_pipeline.cost.stages import MODEL_RULES
from soar_pipeline.cost.work import Units
from soar_pipeline.located import find

# Characters of a prompt file to a token, where no tokenizer was measured.
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Machine:
    """Devices of one kind and `measured` files, which win; `sizes` by model name."""

    config: Config
    project: Path
    assumed: Assumed
    device: Device
    measured: tuple[Measured, ...]
    engine: Engine
    gpus: int
    cores: int
    sizes: dict[str, ModelSize]

    @property
    def kind(self) -> str:
        return self.measured[0].kind if self.measured else self.device.kind

    @property
    def plumbing(self) -> float:
        """Seconds of a job that only reads and writes small files."""
        return self.measured[0].plumbing_seconds if self.measured else self.device.plumbing_seconds.value

    def measured_of(self, model: str) -> Measured | None:
        """The measured file of a model. ConfigError where there are files, but none of this model."""
        if not self.measured:
            return None
        size, dtype = self.sizes[model].parameters, self.config.models[model].dtype
        for measured in self.measured:
            if (measured.parameters, measured.dtype) == (size, dtype):
                return measured
        raise ConfigError(
            f"models.{model}: has {size} parameters in {dtype}, and no --throughput file is of such a model; "
            f"measure it with benchmarks/throughput.py --model {model} and give all files"
        )

    def speed(self, model: str, rule: str) -> Speed:
        measured = self.measured_of(model)
        if measured is not None:
            return MeasuredSpeed(measured)
        cores = max(1, self.threads(rule) // self.config.processes_of(rule)) if self.kind == "cpu" else 1
        return DerivedSpeed(self.device, self.sizes[model], self.config.models[model].dtype, self.engine, cores)

    def units(self, model: str, rule: str) -> Units:
        """What the units of work cost a job of the rule."""
        measured, config = self.measured_of(model), self.config
        if measured is not None:
            student, teacher = measured.student_prompt_tokens, measured.teacher_prompt_tokens
        else:
            student, teacher = self._prompt_tokens
        return Units(
            speed=self.speed(model, rule),
            engine=self.engine,
            generation=config.generation,
            grading=config.grading,
            student_prompt=student,
            teacher_prompt=teacher,
            weights=self.sizes[model].parameters * BYTES[config.models[model].dtype],
        )

    def gpus_of(self, rule: str) -> int:
        """GPUs that a job of the rule holds."""
        if self.kind != "gpu" or rule not in MODEL_RULES:
            return 0
        asked = self.config.resources_of(rule)
        return max(1, asked.gpu * max(1, asked.ray_nodes))

    def threads(self, rule: str) -> int:
        return min(self.config.resources_of(rule).threads, self.cores)

    @property
    def parallel_students(self) -> int:
        """Students of a SOAR run that train at once: without Ray they share a GPU, and gain nothing."""
        asked = self.config.resources_of("train_soar")
        if self.kind == "cpu":
            return min(asked.workers, self.cores)
        return min(asked.workers, self.gpus) if asked.ray_nodes else 1

    def slots(self, rule: str) -> int:
        """Jobs of the rule that run at once."""
        held = self.gpus_of(rule)
        by_gpu = self.gpus // held if held else self.cores
        return max(1, min(by_gpu, self.cores // self.threads(rule)))

    @cached_property
    def _prompt_tokens(self) -> tuple[float, float]:
        """Of the student's prompt with a question, and of the teacher's."""
        prompts = self.config.prompts
        student, teacher = (
            len(Path(find(path, self.project)).read_text(encoding="utf-8")) / CHARACTERS_PER_TOKEN
            for path in (prompts.student, prompts.teacher)
        )
        return student + self.assumed.values.question_tokens, teacher


def makespan(seconds: list[float], slots: int) -> float:
    """Seconds until all jobs are done, `slots` at a time, the longest first."""
    free = [0.0] * slots
    heapify(free)
    for duration in sorted(seconds, reverse=True):
        heapreplace(free, free[0] + duration)
    return max(free)
