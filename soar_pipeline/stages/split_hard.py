"""The survivors split at random into train and test, half and half (docs/method.md §2)."""

import logging
import random
from typing import Any

from soar_pipeline.artifacts.files import ArtifactError, Artifacts, read_rows
from soar_pipeline.artifacts.schemas import HARD
from soar_pipeline.config import Dataset, Settings
from soar_pipeline.problems.copies import key
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Output, run_stage

log = logging.getLogger(__name__)


def split_hard(
    settings: Settings, run: Dataset, artifacts: Artifacts, hard: Input, train: Output, test: Output
) -> None:
    """Train gets the smaller half of an odd number; the split depends on the ids, the copies and the seed only.

    Copies of a question, which may be in the file under several ids, stay together: else train would hold a test
    problem. A half is then larger than the other by as many as that takes.
    """
    rows = sorted(read_rows(hard, HARD), key=lambda row: row["problem_id"])
    random.Random(derive(settings.seed, "split")).shuffle(rows)
    rows, half = _halved(rows)
    artifacts.write(train, rows[:half], HARD)
    artifacts.write(test, rows[half:], HARD)


def _halved(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The rows, copies after their first one, and where to divide them."""
    copies: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        copies.setdefault(key(row["question"]), []).append(row)
    half = 0
    for alike in copies.values():
        if half and half + len(alike) > len(rows) // 2:
            break
        half += len(alike)
    if len(copies) < 2:
        raise ArtifactError(f"all {len(rows)} hard problems are copies of one question: there is nothing to split")
    if len(copies) < len(rows):
        log.warning("%d problems are copies of others: they stay on one side of the split", len(rows) - len(copies))
    return [row for alike in copies.values() for row in alike], half


if __name__ == "__main__":
    run_stage(split_hard)
