"""The machine that an estimate is for: how fast it runs each model, and how many jobs it holds."""

import os
from pathlib import Path

from soar_pipeline.config import Config, ConfigError, Plan
from soar_pipeline.config.paths import find
from soar_pipeline.cost.assumptions import Assumptions, Options, problem_pools
from soar_pipeline.cost.model_size import BYTES, HELD, model_size
from soar_pipeline.cost.speed import Device, Measured, Speed, StatedSpeed, read
from soar_pipeline.cost.work import Text, UnitCosts

# Rules whose jobs run the language model; the others read and write small files.
MODEL_RULES = (
    "prepare_base_model", "sample_attempts", "train_soar", "sample_questions", "train_fresh_student",
    "evaluate_student", "train_serl", "evaluate_serl", "evaluate_policy",
)  # fmt: skip
Files = tuple[Measured, ...]
CHARACTERS_PER_TOKEN = 4  # of a prompt file, if no tokenizer was measured


class Machine:
    """A configuration, and the devices of one kind that it is to run on; `measured` files win over stated figures."""

    def __init__(self, config: Config, project: Path, options: Options, measured: Files = (), *, count: bool = True):
        self.config, self.measured = config, measured
        self.engine = options.engine or config.generation.engine
        resources = {rule: config.resources_of(rule) for rule in MODEL_RULES}
        self.held = held = {rule: job.gpu * max(1, job.ray_nodes) for rule, job in resources.items()}
        largest = max(held, key=held.__getitem__)
        device = options.device or ("h100" if held[largest] else "cpu")
        self.device = read(Path(find(f"resources/throughput/{device}.yaml", project)), Device)
        self.kind = measured[0].kind if measured else self.device.kind
        self.name = measured[0].machine if measured else self.device.name
        self.plumbing_seconds = measured[0].plumbing_seconds if measured else self.device["plumbing_seconds"]
        self.gpus, self.cores = 1, options.cores or os.cpu_count() or 1
        if self.kind == "gpu":
            self.gpus = options.gpus or max(1, held[largest])
            self.cores = options.cores or self.gpus * max(job.threads for job in resources.values())
            if self.gpus < held[largest]:
                raise ConfigError(f"--gpus {self.gpus}: a job of {largest} holds {held[largest]} (resources.{largest})")
        names = [item.model for item in Plan(config).models]
        self.sizes = {name: model_size(config.models[name], name, project, options.parameters) for name in names}
        observed = measured[0].observed if measured else {}
        given = options.model_dump(include=set(Assumptions.model_fields), exclude_unset=True)
        self.assumed = Assumptions(**(observed | given))
        sources = dict.fromkeys(observed, "measured") | dict.fromkeys(given, "given")
        self.sources = dict.fromkeys(Assumptions.model_fields, "default") | sources
        files = {role: Path(find(getattr(config.prompts, role), project)) for role in ("student", "teacher")}
        self.prompt_tokens = {role: len(file.read_text("utf-8")) / CHARACTERS_PER_TOKEN for role, file in files.items()}
        self.prompt_tokens["student"] += self.assumed.question_tokens
        self.pools = problem_pools(config, project, self.assumed, count=count)

    def speed(self, model: str, rule: str, *, shared: bool = False) -> Speed:
        """Of one process of a job; shared: of one whose GPU another process computes on, so that its engine sleeps.

        ConfigError if there are measured files, but none of this model.
        """
        size, dtype = self.sizes[model], self.config.models[model].dtype
        if not self.measured:
            cores = max(1, self.threads(rule) // self.config.processes_of(rule)) if self.kind == "cpu" else 1
            awake = self.engine == "vllm" and self.config.generation.vllm_stays_awake and not shared
            return StatedSpeed(self.device, size, dtype, self.engine, cores, awake)
        for measured in self.measured:
            if (measured.parameters, measured.dtype) == (size.parameters, dtype):
                return measured
        raise ConfigError(
            f"models.{model}: has {size.parameters} parameters in {dtype}, and no --throughput file is of such a "
            f"model; measure it with benchmarks/throughput.py --model {model} and give all files"
        )

    def units(self, model: str, rule: str, *, upper: bool = False, shared: bool = False) -> UnitCosts:
        """What the units of work cost a job of the rule; `upper`: every completion runs to its limit; `shared`: as for
        `speed`.
        """
        size, dtype, config = self.sizes[model].parameters, self.config.models[model].dtype, self.config
        speed, held = self.speed(model, rule, shared=shared), HELD[dtype]
        return UnitCosts(
            speed=speed,
            base=self._text("base", speed, config.generation.student_max_new_tokens, upper),
            student=self._text("student", speed, config.generation.student_max_new_tokens, upper),
            teacher=self._text("teacher", speed, config.generation.teacher_max_new_tokens, upper),
            batch_size=config.generation.batch_size,
            continuous=self.engine == "vllm",
            grading_workers=config.grading.workers,
            model=size * BYTES[dtype],
            weights=size * held["weights"],
            state=size * (held["weights"] + held["moments"]),
        )

    def _text(self, writer: str, speed: Speed, limit: int, upper: bool) -> Text:
        role, name = "teacher" if writer == "teacher" else "student", f"{writer}_length"
        tokens = getattr(speed, f"{role}_prompt_tokens", self.prompt_tokens[role])
        if upper:
            return Text(tokens, limit, limit)
        longest = getattr(self.measured[0], f"{writer}_longest") * limit if self.sources[name] == "measured" else None
        return Text(tokens, max(1.0, getattr(self.assumed, name) * limit), limit, longest)

    def gpus_of(self, rule: str) -> int:
        """GPUs that a job of the rule holds."""
        return max(1, self.held[rule]) if self.kind == "gpu" and rule in self.held else 0

    def threads(self, rule: str) -> int:
        """Cores that a job of the rule holds."""
        return min(self.config.resources_of(rule).threads, self.cores)

    @property
    def parallel_students(self) -> int:
        """Students of a SOAR run that train at once: without Ray they share a GPU, and gain nothing."""
        job = self.config.resources_of("train_soar")
        if self.kind == "cpu":
            return min(job.workers, self.cores)
        return min(job.workers, self.gpus) if job.ray_nodes else 1

    @property
    def teacher_shares(self) -> bool:
        """Whether a worker computes on the teacher's GPU."""
        job = self.config.resources_of("train_soar")
        return not (job.one_process or job.workers < job.gpu * job.ray_nodes)

    def slots(self, rule: str) -> int:
        """Jobs of the rule that run at once."""
        held = self.gpus_of(rule)
        return max(1, min(self.gpus // held if held else self.cores, self.cores // self.threads(rule)))
