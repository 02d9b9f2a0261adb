"""Commands of stages, as Snakemake starts them, and what they make."""

import json
import sys
from pathlib import Path

from soar_pipeline.artifacts.provenance import digest
from soar_pipeline.artifacts.settings_files import SettingsFiles
from soar_pipeline.config import Config, ResourceConfig, Settings, SoarRun
from soar_pipeline.config.items import Item

SOAR_OUTPUTS = ["steps.parquet", "questions.parquet", "students.parquet", "promotions.parquet", "teacher", "student"]


def arguments(folder: Path, config: Config, stage: str, item: Item, **files: Path | list[Path]) -> list[str]:
    """The command line of a stage's job, whose settings are written to `folder`, behind the module's name."""
    settings = SettingsFiles(config, folder / "settings")
    results = settings.results(stage, item._asdict())
    named = {"settings": results, **item._asdict(), **files}
    words = {name: [*map(str, value)] if isinstance(value, list) else str(value) for name, value in named.items()}
    return [f"@{settings.options(results, words.items())}"]


def command(folder: Path, config: Config, stage: str, item: Item, **files: Path | list[Path]) -> list[str]:
    """The same with the interpreter and the module."""
    words = arguments(folder, config, stage, item, **files)
    return [sys.executable, "-m", f"soar_pipeline.stages.{stage}", *words]


def options(folder: Path, settings: Settings) -> list[str]:
    """The options that name settings which no configuration was resolved to."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {name for name, section in settings if section is not None}
    values = {"settings": settings.model_dump(mode="json", include=given), "speed": {}}
    for name, section in values.items():
        (folder / f"{name}.json").write_text(json.dumps(section), encoding="utf-8")
    return [word for name in values for word in (f"--{name}", str(folder / f"{name}.json"))]


def digests(folder: Path, names: list[str]) -> dict[str, str]:
    return {name: digest(folder / name) for name in names}


def settings_beside(folder: Path) -> Path:
    """Where the settings of a job lie that makes this folder."""
    return folder.with_name(f"{folder.name}-settings")


def soar_command(
    config, objective: str, base_model: Path, hard_problems: Path, folder: Path, workers: int = 1, ray_nodes: int = 0
) -> list[str]:
    resources = {"train_soar": ResourceConfig(workers=workers, ray_nodes=ray_nodes)}
    return command(
        settings_beside(folder),
        config.model_copy(update={"resources": resources}),
        "train_soar",
        SoarRun("shuffles", objective, 1),
        base_model=base_model,
        train=hard_problems,
        judge=[],
        **{name: folder / f"{name}.parquet" for name in ("steps", "questions", "students", "promotions")},
        teacher=folder / "teacher",
        student=folder / "student",
    )
