"""The files that a configuration names are looked up and checked before anything runs.

A file is looked for in the working directory, then beside the configuration, then in the project's own folder. So a
run may live anywhere (`snakemake --snakefile <project>/Snakefile --directory <elsewhere>`) and still use the prompts
and the model that the project ships.
"""

import csv
import json
from pathlib import Path
from typing import TypeVar

from soar_pipeline.config import Config, ConfigError, ModelConfig, ObjectiveConfig, PoolConfig
from soar_pipeline.config.own_functions import read_reward_file, read_verifier_file
from soar_pipeline.config.prompts import read_prompt
from soar_pipeline.config.verifiers import OwnVerifier

AnyPool = TypeVar("AnyPool", bound=PoolConfig)

_PACKAGE = Path(__file__).resolve().parents[1]
# All that is shipped and is not Python: beside the package in a clone, in an installed one within it (setup.py).
PROJECT = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent


def resolve_paths(config: Config, source: str, project: Path, beside: Path | None = None) -> Config:
    """The configuration with the places of the files that it names; `beside` is its own folder.

    Raises ConfigError that names `source` and the key if a file is missing or cannot be what the key says.
    """
    folders = (project,) if beside is None else (beside, project)
    try:
        config = config.model_copy(
            update={
                "models": {name: _with_folder(model, name, folders) for name, model in config.models.items()},
                "prompts": config.prompts.model_copy(
                    update={role: _found(path, f"prompts.{role}", folders) for role, path in config.prompts}
                ),
                "datasets": _with_files(config.datasets, "datasets", folders),
                "pools": _with_files(config.pools, "pools", folders),
                "objectives": {name: _with_reward(it, name, folders) for name, it in config.objectives.items()},
            }
        )
        for role, _ in config.prompts:
            read_prompt(config.prompts, role)
        _check_serl_template(config)
        _check_paper_rows(config, project)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return config


def find(path: str, *folders: Path) -> str:
    """`path` as it stands if the working directory has it, else in the first folder that has it.

    Raises FileNotFoundError that names the places in which it is not.
    """
    if Path(path).exists():
        return path
    if Path(path).is_absolute():
        raise FileNotFoundError(f"{path} does not exist")
    for folder in folders:
        if (folder / path).exists():
            return str(folder / path)
    hint = " (`~` is not expanded: write the full path)" if path.startswith("~") else ""
    places = list(dict.fromkeys(str(folder.resolve()) for folder in (Path.cwd(), *folders)))
    raise FileNotFoundError(f"{path} is not in {' or '.join(places)}{hint}")


def find_config(path: str | Path) -> Path:
    """A configuration by its path; a shipped one, such as `config/smoke.yaml`, is found from any folder.

    Raises ConfigError that names the places in which it is not.
    """
    try:
        return Path(find(str(path), PROJECT))
    except FileNotFoundError as error:
        raise ConfigError(str(error)) from None


def _found(path: str, key: str, folders: tuple[Path, ...]) -> str:
    try:
        return find(path, *folders)
    except FileNotFoundError as error:
        raise ConfigError(f"{key}: {error}") from None


def _input(path: str, key: str, folders: tuple[Path, ...]) -> str:
    """A path that is an input of a rule, too."""
    place = _found(path, key, folders)
    if "{" in place or "}" in place:
        raise ConfigError(f"{key}: {place} has braces, which Snakemake would read as a wildcard; rename it")
    return place


def _with_folder(model: ModelConfig, name: str, folders: tuple[Path, ...]) -> ModelConfig:
    if model.source != "folder":
        return model
    place = _input(model.path, f"models.{name}.path", folders)
    if not (Path(place) / "config.json").is_file():
        raise ConfigError(f"models.{name}.path: {place} is not a Hugging Face folder: it has no config.json")
    if model.chat_template and not _has_chat_template(Path(place)):
        raise ConfigError(f"models.{name}.chat_template: true, but {place} has no chat template; set it to false")
    return model.model_copy(update={"path": place})


def _has_chat_template(folder: Path) -> bool:
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json", "chat_templates")):
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template"))
    # A folder that cannot be loaded is refused by prepare_base_model, which says more.
    except (OSError, ValueError, AttributeError):
        return False


def _check_serl_template(config: Config) -> None:
    """Raise ConfigError if a model that continues SeRL's list in a chat template has none."""
    if config.serl.style != "numbered_list" or not config.serl.chat_template:
        return
    for name in (name for name, arm in config.arms.items() if arm.policy == "serl"):
        for model in {config.datasets[dataset].model for dataset in config.datasets_of(name)}:
            folder = config.models[model].path
            if config.models[model].source == "folder" and not _has_chat_template(Path(folder)):
                raise ConfigError(
                    f"serl.chat_template: true, but {folder} (models.{model}) has no chat template; set it to false"
                )


def _with_files(pools: dict[str, AnyPool], section: str, folders: tuple[Path, ...]) -> dict[str, AnyPool]:
    return {
        name: _with_verifier(_with_file(pool, f"{section}.{name}.path", folders), f"{section}.{name}.verifier", folders)
        for name, pool in pools.items()
    }


def _with_verifier(pool: AnyPool, key: str, folders: tuple[Path, ...]) -> AnyPool:
    if not isinstance(pool.verifier, OwnVerifier):
        return pool
    verifier = pool.verifier.model_copy(update={"file": _found(pool.verifier.file, key, folders)})
    read_verifier_file(verifier, key)
    return pool.model_copy(update={"verifier": verifier})


def _with_file(pool: AnyPool, key: str, folders: tuple[Path, ...]) -> AnyPool:
    if pool.path is None:
        return pool
    place = _input(pool.path, key, folders)
    if not Path(place).is_file():
        raise ConfigError(f"{key}: {place} is a folder; name the file of the problems in it")
    return pool.model_copy(update={"path": place})


def _with_reward(objective: ObjectiveConfig, name: str, folders: tuple[Path, ...]) -> ObjectiveConfig:
    if objective.reward_file is None:
        return objective
    file, function = objective.reward_file
    place = _found(file, f"objectives.{name}.reward", folders)
    objective = objective.model_copy(update={"reward": f"{place}:{function}"})
    read_reward_file(objective, name)
    return objective


def _check_paper_rows(config: Config, project: Path) -> None:
    """Raise ConfigError if the row of the paper that an arm names is not in `resources/paper`."""
    rows = set()
    for shipped in sorted((project / "resources" / "paper").glob("*.csv")):
        with open(find(f"resources/paper/{shipped.name}", project), encoding="utf-8", newline="") as lines:
            rows |= {line["method"] for line in csv.DictReader(lines) if "method" in line}
    for name, arm in config.arms.items():
        if arm.paper is not None and arm.paper not in rows:
            raise ConfigError(
                f"arms.{name}.paper: the paper's tables have no row {arm.paper!r}; their rows are {sorted(rows)}"
            )
