"""Entries of a task of Reasoning Gym as a source of problems (docs/data.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import ConfigError, PoolConfig
from soar_pipeline.grading.entries import EntryReference, digest_of, gold_of
from soar_pipeline.problems.rows import Problem

_PROGRAM = "soar_pipeline.problems.gym_tasks"
# Where this very package lies, which another one that is installed must not replace.
_PACKAGES = str(Path(__file__).resolve().parents[2])


def gym_problems(name: str, dataset: PoolConfig) -> list[Problem]:
    """The `size` entries of the task, whose golds name them. Raises ConfigError if the task or its keys are none."""
    seed, size = dataset.world_seed, dataset.size
    made = _entries(dataset)
    if made and "error" in made[-1]:
        raise ConfigError(f"datasets.{name}.{made[-1]['error']}")
    return [
        Problem(
            f"{dataset.task}-{index:05d}",
            entry["question"],
            gold_of(entry["answer"], EntryReference(seed, size, index, digest_of(entry["question"]))),
            dataset.task,
        )
        for index, entry in enumerate(made)
    ]


def _entries(dataset: PoolConfig) -> list[dict[str, str | None]]:
    config = dataset.model_dump(mode="json")["task_config"]
    arguments = [dataset.task, str(dataset.world_seed), str(dataset.size), json.dumps(config)]
    path = os.pathsep.join(filter(None, (_PACKAGES, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-P", "-m", _PROGRAM, *arguments],
        env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ArtifactError(f"reasoning_gym: {dataset.task} could not be made; its own error stands above")
    return [json.loads(line) for line in done.stdout.splitlines()]
