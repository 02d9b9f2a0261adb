"""What a configuration asks of a machine: GPUs, memory and disk. Arithmetic (docs/memory.md, docs/cost.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from soar_pipeline.config import Config, Plan, RLOOConfig
from soar_pipeline.config.items import SoarRun
from soar_pipeline.cost.assumptions import bisect
from soar_pipeline.cost.estimate import estimate
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.memory import USABLE, Memory, TrainingSetup, student_memory
from soar_pipeline.cost.model_size import BYTES

# What a process holds without a model: Python, torch and TRL, measured on Linux with the CPU build.
PROCESS_BYTES = 0.53e9
# No GPU is larger.
LARGEST_GPU = 1e13


@dataclass(frozen=True)
class Needs:
    """gpus: of the largest job, on all its nodes, 0 if it runs on a CPU; memory: bytes that each of these GPUs must
    have, or that the largest job has on a CPU; kept, scratch: bytes on disk, after a run and at most besides while it
    goes on.
    """

    gpus: int
    memory: float
    kept: float
    scratch: float


def needs(machine: Machine) -> Needs:
    """Of the machine's configuration; ConfigError if the size of a model or of a pool is not known."""
    _, total = estimate(machine)
    gpus = max(machine.held.values())

    def too_small(gpu_bytes: float) -> bool:
        return max(trainings(machine, gpu_bytes), default=0) > USABLE * gpu_bytes

    return Needs(
        gpus=gpus,
        # What vLLM holds is a share of the GPU, so it grows with it.
        memory=bisect(too_small, 0, LARGEST_GPU) if gpus else max(trainings(machine, 0), default=0),
        kept=total["kept_bytes"],
        scratch=total["scratch_bytes"],
    )


def trainings(machine: Machine, gpu_bytes: float) -> Iterator[float]:
    """Bytes of the fullest device (a GPU of so many bytes), or of the job (on a CPU), for each training."""
    config, plan = machine.config, Plan(machine.config)
    for run in plan.soar_runs:
        memory = max(soar_run_memory(machine, run, gpu_bytes).values())
        job = config.resources_of("train_soar")
        yield memory if job.gpu else memory + PROCESS_BYTES * (1 if job.one_process else 1 + job.workers)
    for run in plan.fresh_students:
        student = config.student_of(run.arm, run.dataset)
        lora = config.fresh_student_of(run.arm, run.dataset).lora_rank
        job, processes = config.resources_of("train_fresh_student"), config.processes_of("train_fresh_student")
        shared = {"devices": processes, "sharded": job.sharding == "full", "lora_rank": lora}
        memory = _student(machine, run.dataset, student, gpu_bytes if job.gpu else 0, **shared)
        yield memory.peak if job.gpu else processes * (memory.peak + PROCESS_BYTES)
    for run in plan.serl_runs:
        serl, job = config.serl, config.resources_of("train_serl")
        memory = _memory(
            machine,
            run.dataset,
            serl,
            gpu_bytes if job.gpu else 0,
            rollouts=serl.questions * serl.samples,
            at_once=serl.batch_size,
            group=serl.samples,
        )
        yield memory.peak if job.gpu else memory.peak + PROCESS_BYTES


def soar_run_memory(machine: Machine, run: SoarRun, gpu_bytes: float) -> dict[str, float]:
    """Bytes on the fullest device (a GPU of so many bytes) of a SOAR run, by what it does: `students` train, or the
    `teacher` learns. The teacher's process also measures baselines, with a model of its own if it trains no student.
    """
    config, job = machine.config, machine.config.resources_of("train_soar")
    gpu_bytes = gpu_bytes if job.gpu else 0
    soar = config.soar_of(run.dataset, run.objective)
    rollouts = soar.datasets_per_step * soar.questions_per_dataset
    student = _student(machine, run.dataset, config.student, gpu_bytes)
    teacher = _memory(
        machine,
        run.dataset,
        config.teacher,
        gpu_bytes,
        rollouts=rollouts,
        group=rollouts,
        role="teacher",
        # Its engine sleeps if a worker computes on its GPU.
        awake=not machine.teacher_shares,
    )
    model = config.datasets[run.dataset].model
    evaluator = 0 if job.one_process else machine.sizes[model].parameters * BYTES[config.models[model].dtype]
    beside = _workers_beside_the_teacher(config)
    if not beside:
        return {"students": student.peak, "teacher": teacher.peak + evaluator}
    # One process has one engine.
    twice = teacher.engine if job.one_process else 0
    return {
        "students": beside * student.peak + teacher.idle + evaluator - twice,
        "teacher": teacher.peak + beside * student.idle + evaluator - twice,
    }


def _workers_beside_the_teacher(config: Config) -> int:
    """Workers on the teacher's device: all without Ray, one with it, none if the teacher has a GPU to itself."""
    job = config.resources_of("train_soar")
    if not (job.ray_nodes and job.gpu):
        return job.workers
    return int(job.workers >= job.ray_nodes * job.gpu)


def _student(machine: Machine, dataset: str, student: RLOOConfig, gpu_bytes: float, **shared: Any) -> Memory:
    rollouts = student.batch_size * student.group_size
    return _memory(machine, dataset, student, gpu_bytes, rollouts=rollouts, group=student.group_size, **shared)


def _memory(
    machine: Machine,
    dataset: str,
    training: RLOOConfig,
    gpu_bytes: float,
    *,
    rollouts: int,
    at_once: int | None = None,
    role: str = "student",
    awake: bool = True,
    devices: int = 1,
    **shared: Any,
) -> Memory:
    """Of a training of a data set's model; `at_once`: completions of an optimizer step, if not all `rollouts`; `awake`:
    whether its engine may stay so.
    """
    config, share = machine.config, (at_once or rollouts) // devices
    model, generation = config.datasets[dataset].model, config.generation
    setup = TrainingSetup(
        dtype=config.models[model].dtype,
        rollouts=rollouts,
        batch=generation.batch_size,
        prompt_tokens=round(machine.prompt_tokens[role]),
        new_tokens=getattr(generation, f"{role}_max_new_tokens"),
        micro_batch=min(training.micro_batch_size or share, share),
        checkpointing=training.gradient_checkpointing,
        reference=training.kl_coefficient > 0,
        pass_tokens=training.pass_tokens,
        offloaded=training.offload_moments,
        engine=generation.vllm_memory_share * gpu_bytes if generation.engine == "vllm" and gpu_bytes else None,
        awake=awake and generation.vllm_stays_awake,
        devices=devices,
        **shared,
    )
    return student_memory(machine.sizes[model], setup)
