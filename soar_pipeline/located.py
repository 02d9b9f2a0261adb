"""Files that a configuration names, found: in the working directory first, then in the project's own folder.

So a run may live anywhere (`snakemake --snakefile <project>/Snakefile --directory <elsewhere>`) and still use the
prompts and the model that the project ships.
"""

from pathlib import Path

from soar_pipeline.config import Config, ConfigError


def located(config: Config, source: str, project: Path) -> Config:
    """The configuration with its prompt, model and data paths found; ConfigError names `source` and the key."""

    def found(key: str, path: str) -> str:
        try:
            return find(path, project)
        except FileNotFoundError as error:
            raise ConfigError(f"{source}: {key}: {error}") from None

    model = config.model
    if model.source == "folder":
        model = model.model_copy(update={"path": found("model.path", model.path)})
    prompts = {role: found(f"prompts.{role}", path) for role, path in config.prompts}
    datasets = {
        name: dataset.model_copy(update={"path": found(f"datasets.{name}.path", dataset.path)})
        if dataset.path
        else dataset
        for name, dataset in config.datasets.items()
    }
    changes = {"model": model, "prompts": config.prompts.model_copy(update=prompts), "datasets": datasets}
    return config.model_copy(update=changes)


def find(path: str, project: Path) -> str:
    """`path` as it stands where the working directory has it, else below `project`; else FileNotFoundError."""
    if Path(path).exists():
        return path
    if (project / path).exists():
        return str(project / path)
    places = "does not exist" if Path(path).is_absolute() else f"is neither in {Path.cwd()} nor in {project}"
    raise FileNotFoundError(f"{path} {places}")
