"""A finished run, as its folder tells it."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import yaml

from soar_pipeline.artifacts.provenance import read_provenance
from soar_pipeline.config import Config, ConfigError, Plan, SoarRun, validate
from soar_pipeline.config.paths import PROJECT, find

NOT_RECORDED = "not recorded here; say it before you publish"


@dataclass(frozen=True)
class FinishedRun:
    """`folder` is `results/<run>`; the configuration is the one that its report was made with."""

    folder: Path
    config: Config

    @classmethod
    def read(cls, folder: Path) -> "FinishedRun":
        """ConfigError that says what to do if the run is not finished."""
        try:
            record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
            return cls(folder, validate(record["config"], str(folder / "provenance.json")))
        except FileNotFoundError:
            raise ConfigError(
                f"{folder}: is not the folder of a finished run: it has no provenance.json, which comes with the report"
            ) from None
        except ConfigError:
            raise
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{folder / 'provenance.json'}: is damaged; `soar-pipeline report` makes it anew"
            ) from None

    @property
    def name(self) -> str:
        return self.config.run

    @cached_property
    def plan(self) -> Plan:
        return Plan(self.config)

    def of_soar_run(self, run: SoarRun, name: str) -> Path:
        """A file or folder of a SOAR run."""
        return self._there(self.folder / run.folder / name)

    def question_sets(self) -> list[Path]:
        """The question sets that a teacher or the base model wrote after training."""
        return [
            self._there(self.folder / one.dataset / "questions" / one.arm / f"t{one.teacher_seed}.parquet")
            for one in self.plan.question_sets
            if self.plan.question_rule(one.arm) == "sample_questions"
        ]

    def table(self, name: str) -> Path:
        """A long table of the run."""
        return self._there(self.folder / "tables" / f"{name}.csv")

    def provenance(self, file: Path) -> dict[str, Any]:
        """How a file was made; nothing in it says where on this machine the run and its files lie."""
        record = read_provenance(file)
        inputs = {self._within(PurePath(path)): digest for path, digest in record.get("inputs", {}).items()}
        return _without_folders(record) | {"inputs": inputs}

    def base_model(self, dataset: str) -> str:
        """What a data set's students start as: a Hub id, the name of a package, or of a folder."""
        model = self.config.models[self.config.datasets[dataset].model]
        return PurePath(model.path).name if model.source in ("folder", "pretrain") else model.path

    def hub_id(self, dataset: str) -> str | None:
        """The base model's id if it is of the Hub."""
        model = self.config.models[self.config.datasets[dataset].model]
        return model.path if model.source == "hub" else None

    def licences(self, datasets: list[str]) -> list[tuple[str, str, str]]:
        """Name, kind and licence of every source behind some data sets: problems, pools and models."""
        stated = yaml.safe_load(Path(find("resources/licences.yaml", PROJECT)).read_text(encoding="utf-8"))
        rows = [
            (name, f"problems ({pool.adapter})", stated["problems"].get(pool.adapter, NOT_RECORDED))
            for name, pool in (self.config.datasets | self.config.pools).items()
            if name in datasets or name in self.config.pools
        ]
        for dataset in datasets:
            path = self.config.models[self.config.datasets[dataset].model].path
            # A shipped folder may have been found anywhere.
            known = [text for start, text in stated["models"].items() if path.startswith(start) or path.endswith(start)]
            rows.append((self.base_model(dataset), "base model", known[0] if known else NOT_RECORDED))
        return list(dict.fromkeys(rows))

    def _there(self, path: Path) -> Path:
        if not path.exists():
            raise ConfigError(f"{path}: is missing; `soar-pipeline run` with the run's configuration makes it")
        return path

    def _within(self, path: PurePath) -> str:
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.name


def _without_folders(value: Any) -> Any:
    """The value with the name alone of each file or folder of this machine that is named by its full path."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if isinstance(value, str) and value.startswith("/") and len(value) < 1000 and Path(value).exists():
        return PurePath(value).name
    return value
