"""A judge's replies on disk: what was read once is never requested again, not even after a kill."""

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.evaluation.taxonomy import Reply

log = logging.getLogger(__name__)

_REPLY = TypeAdapter(Reply)


def request_key(request: dict[str, Any]) -> str:
    """Hash of everything that a reply depends on: the model, its settings, and the prompt with its case."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


class ReplyCache:
    """One file per reply: `<key>-<number>.json`, numbered from 1 in the order in which they were read.

    A file appears complete or not at all, so jobs may share a folder and be killed at any point.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def read(self, key: str, number: int) -> Reply | None:
        """The reply, or None if there is none; the log names a file that is not a reply, and it counts as none."""
        path = self._path(key, number)
        try:
            return _REPLY.validate_json(path.read_bytes(), strict=True)
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            log.warning("%s: this file is not a reply; it is replaced", path)
            return None

    def write(self, key: str, number: int, reply: Reply) -> None:
        write_text(self._path(key, number), json.dumps(asdict(reply), indent=1) + "\n")

    def _path(self, key: str, number: int) -> Path:
        return self.folder / f"{key}-{number}.json"
