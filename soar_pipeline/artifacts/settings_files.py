"""The settings of a run's jobs as small files.

`<run>/settings/<rule>/<job>.<digest>.json` holds what decides a job's results, and is an input of the job; the file
`….speed.json` holds what does not, and is none. Their names say what is in them, so a file never changes: neither a dry
run with another configuration nor an edit while a run is going on can change what a planned job reads.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.config import Config
from soar_pipeline.config.items import Item, file_name, item_of
from soar_pipeline.config.settings import settings_of


class SettingsFiles:
    """Those of one run; `folder` is `<run>/settings`."""

    def __init__(self, config: Config, folder: Path):
        self.config, self.folder = config, folder
        self._files: dict[tuple[str, Item], Path] = {}
        self._speed: dict[str, Path] = {}

    def results(self, rule: str, wildcards: Mapping[str, Any]) -> str:
        """The file of what decides the results of a rule's job, written if it is not there.

        Raises ConfigError if a file that the configuration names, such as a prompt, cannot be used.
        """
        key = (rule, item_of(wildcards))
        if key not in self._files:
            results, speed = settings_of(self.config, *key)
            job = self.folder / rule / file_name(key[1])
            path = _written(job.with_name(f"{job.name}.{_digest_of(results)}.json"), _json(results))
            speed_path = job.with_name(f"{job.name}.{_digest_of(speed)}.speed.json")
            self._speed[path.as_posix()] = _written(speed_path, _json(speed))
            self._files[key] = path
        return self._files[key].as_posix()

    def options(self, results: str, named: Iterable[tuple[str, Any]]) -> str:
        """The file of a job's command-line options, for `@FILE`: the words of each, one on each line.

        results: the job's own file; named: wildcards, input and output files by name; a name may have several.
        """
        words = ["--speed", self._speed[results].as_posix()]
        for name, value in named:
            words += [f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else value)]
        path = _job(Path(results)).with_suffix(f".{_digest_of(words)}.options")
        return _written(path, "".join(f"{word}\n" for word in words)).as_posix()


def _job(settings: Path) -> Path:
    """What all files of a job's settings begin with."""
    return settings.with_name(settings.name.split(".")[0])


def _written(path: Path, text: str) -> Path:
    # A run has thousands of them, and waiting for the disk took a third of a plan's time. What a power failure spoils
    # is seen here before any job reads it.
    if not (path.exists() and path.read_bytes() == text.encode()):
        write_text(path, text, synced=False)
    return path


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"


def _digest_of(values: Any) -> str:
    """A short name for JSON values of this content."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
