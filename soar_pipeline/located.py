"""Files that a configuration names, found: in the working directory first, then in the project's own folder.

So a run may live anywhere (`snakemake --snakefile <project>/Snakefile --directory <elsewhere>`) and still use the
prompts and the model that the project ships.
"""

from pathlib import Path
from typing import TypeVar

from soar_pipeline.config import Config, ConfigError, ObjectiveConfig, PoolConfig
from soar_pipeline.reward_files import read_reward_file

AnyPool = TypeVar("AnyPool", bound=PoolConfig)


def located(config: Config, source: str, project: Path) -> Config:
    """The configuration with its prompt, model, data and reward files found; ConfigError names `source` and the key."""

    def found(key: str, path: str) -> str:
        try:
            return find(path, project)
        except FileNotFoundError as error:
            raise ConfigError(f"{source}: {key}: {error}") from None

    models = {
        name: model.model_copy(update={"path": found(f"models.{name}.path", model.path)})
        if model.source == "folder"
        else model
        for name, model in config.models.items()
    }
    prompts = {role: found(f"prompts.{role}", path) for role, path in config.prompts}

    def with_path(section: str, pools: dict[str, AnyPool]) -> dict[str, AnyPool]:
        return {
            name: pool.model_copy(update={"path": found(f"{section}.{name}.path", pool.path)}) if pool.path else pool
            for name, pool in pools.items()
        }

    def with_reward(name: str, objective: ObjectiveConfig) -> ObjectiveConfig:
        if objective.reward_file is None:
            return objective
        file, function = objective.reward_file
        place = found(f"objectives.{name}.reward", file)
        objective = objective.model_copy(update={"reward": f"{place}:{function}"})
        try:
            read_reward_file(objective, name)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
        return objective

    return config.model_copy(
        update={
            "models": models,
            "prompts": config.prompts.model_copy(update=prompts),
            "datasets": with_path("datasets", config.datasets),
            "pools": with_path("pools", config.pools),
            "objectives": {name: with_reward(name, objective) for name, objective in config.objectives.items()},
        }
    )


def find(path: str, project: Path) -> str:
    """`path` as it stands where the working directory has it, else below `project`; else FileNotFoundError."""
    if Path(path).exists():
        return path
    if (project / path).exists():
        return str(project / path)
    places = "does not exist" if Path(path).is_absolute() else f"is neither in {Path.cwd()} nor in {project}"
    raise FileNotFoundError(f"{path} {places}")
