"""What a rule's resources can be, with the rest of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soar_pipeline.config.overrides import place_of

if TYPE_CHECKING:
    from soar_pipeline.config.run import Config


def check_resources(config: Config, rule: str) -> None:
    """Raise ValueError that names the key."""
    job, where = config.resources[rule], f"resources.{rule}"
    if rule == "train_fresh_student" and job.workers not in (1, config.processes_of(rule)):
        raise ValueError(f"{where}.workers: {job.workers}, but each of the {job.gpu} GPUs has one process")
    # On a CPU accelerate would not shard, and say nothing.
    if job.sharding != "none" and (rule != "train_fresh_student" or job.gpu < 2):
        raise ValueError(f"{where}.sharding: only train_fresh_student on more than one GPU can be sharded")
    if job.sharding != "none":
        _check_sharded_students(config, where)
    # Processes that share a model decode in step with each other.
    if job.sharding != "none" and (config.generation.engine == "vllm" or config.generation.segment_tokens):
        raise ValueError(f"{where}.sharding: needs generation.engine: transformers, and no generation.segment_tokens")
    if not job.ray_nodes:
        return
    if rule != "train_soar":
        raise ValueError(f"{where}.ray_nodes: only train_soar uses Ray")
    room = job.ray_nodes * (min(job.gpu, job.threads) if job.gpu else job.threads)
    if job.workers > room:
        raise ValueError(
            f"{where}.workers: {job.workers} do not fit: each needs a thread, and a GPU if `gpu` is not 0; "
            f"there is room for {room}"
        )


def _check_sharded_students(config: Config, where: str) -> None:
    for name, arm in config.arms.items():
        changes = config.student_changes(name)
        for dataset in config.datasets_of(name) if arm.policy == "fresh_student" else ():
            student = config.student_of(name, dataset)
            if student.offload_moments:
                key = place_of("offload_moments", "student", changes)
                raise ValueError(f"{where}.sharding: shares the moments out, and {key} puts them elsewhere")
            if student.pass_tokens is not None:
                key = place_of("pass_tokens", "student", changes)
                raise ValueError(f"{where}.sharding: needs equally many passes everywhere, and {key} makes what fits")
