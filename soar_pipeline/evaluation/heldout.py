"""What a training keeps of the steps that are evaluated on test, and the attempts that come of it (docs/method.md §6).

A training keeps its weights at these steps, and a stage of its own samples the attempts: then evaluation may change
without training anything again. Without room for the weights (`evaluation.keep_weights`), the training samples the
attempts itself and keeps them. Either lies in one folder, a file for each step, on disk until the training is finished.
"""

import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError, safe_open

from soar_pipeline.artifacts.atomic import new_folder, put_in_place, unfinished
from soar_pipeline.artifacts.files import ArtifactError, read_parquet, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import EVALUATION
from soar_pipeline.config import EvaluationConfig
from soar_pipeline.policy.attempts import AttemptSampler
from soar_pipeline.policy.loading import Policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import (
    adapters_of,
    cast_weights,
    copy_weights,
    load_weights,
    save_weights,
    set_weights,
)
from soar_pipeline.questions import Question
from soar_pipeline.rl.distributed import gather, processes, rank_seed
from soar_pipeline.runtime import derive

log = logging.getLogger(__name__)

ATTEMPTS_FILE, WEIGHTS_FILE = ".parquet", ".safetensors"


@dataclass(frozen=True)
class WeightsKept:
    """Keeps the policy's weights, in the type that it samples in; of a policy with adapters these alone."""

    policy: Policy
    folder: Path

    def keep(self, step: int) -> None:
        """Those after a step, which the policy has now; every process of the job calls it."""
        weights = copy_weights(self.policy.model)
        weights = adapters_of(weights) or cast_weights(weights, self.policy.dtype)
        if processes().is_main_process:
            save_weights(_file(self.folder, step, WEIGHTS_FILE), weights)


@dataclass(frozen=True)
class AttemptsOnTest:
    """Samples `samples` attempts at every problem and keeps them.

    run: the columns of the training; adapters: whether what is kept of its weights are adapters.
    """

    sampler: AttemptSampler
    problems: list[Question]
    samples: int
    folder: Path
    seed: int
    run: dict[str, str | int]
    adapters: bool = False

    def keep(self, step: int) -> None:
        """Attempts after a step, by the policy as it is now; every process of the job calls it."""
        seed = rank_seed(derive(self.seed, "test", step))
        with processes().split_between_processes(self.problems) as share:
            # Of equal size everywhere: the processes of a sharded model can only generate in step with each other.
            size = math.ceil(len(self.problems) / processes().num_processes)
            problems = share + self.problems[-1:] * (size - len(share))
        rows = self.sampler.sample(problems, samples=self.samples, seed=seed)[: len(share) * self.samples]
        attempts = table(gather([{"step": step, **row} for row in rows]), EVALUATION, **self.run)
        if processes().is_main_process:
            write_parquet(_file(self.folder, step, ATTEMPTS_FILE), attempts, Provenance("test attempts", {}))

    def kept(self, step: int) -> pa.Table | None:
        """The attempts of a step, if they are there."""
        file = _file(self.folder, step, ATTEMPTS_FILE)
        return read_parquet(file, EVALUATION) if file.exists() else None


def keeper(
    policy: OpenPolicy,
    evaluation: EvaluationConfig | None,
    problems: list[Question],
    folder: Path,
    seed: int,
    run: dict[str, str | int],
) -> WeightsKept | AttemptsOnTest:
    """What keeps the evaluated steps of a training; evaluation: how it samples attempts itself, if it does."""
    if evaluation is None:
        return WeightsKept(policy, folder)
    return AttemptsOnTest(
        AttemptSampler(policy), problems[: evaluation.test_limit], evaluation.samples, folder, seed, run
    )


def all_kept(folder: Path, steps: Sequence[int]) -> bool:
    """Whether what was kept of these steps of an unfinished training is there, and whole."""
    for step in steps:
        weights, attempts = (_file(folder, step, suffix) for suffix in (WEIGHTS_FILE, ATTEMPTS_FILE))
        try:
            if weights.exists():
                with safe_open(weights, framework="pt"):
                    continue
            read_parquet(attempts, EVALUATION)
        except (ArtifactError, OSError, SafetensorError) as error:
            log.warning("%s", error if isinstance(error, ArtifactError) else f"{weights}: {error}")
            return False
    return True


def publish(folder: Path, target: Path) -> None:
    """Make the folder of the evaluated steps an artifact. `folder` stays, without taking room twice where it can."""
    with unfinished(target, new_folder) as workplace:
        # One level deeper, see `write_base_model`.
        partial = workplace / target.name
        partial.mkdir()
        for file in sorted(folder.glob("step-*")) if folder.exists() else ():
            try:
                os.link(file, partial / file.name)
            except OSError:
                # A file system without links.
                shutil.copyfile(file, partial / file.name)
        put_in_place(partial, target)


def attempts_of(evaluated: Path, make_tests: Callable[[], AttemptsOnTest]) -> Iterator[tuple[int, pa.Table]]:
    """The attempts of every evaluated step, in order: sampled by its weights, or those that the training sampled.

    make_tests: called only if there is something to sample. What is sampled is kept in their folder, so that a killed
    evaluation goes on where it was.
    """
    tests: AttemptsOnTest | None = None
    for file in sorted(evaluated.glob("step-*")):
        step = int(file.stem.partition("-")[2])
        if file.suffix == ATTEMPTS_FILE:
            yield step, read_parquet(file, EVALUATION)
            continue
        tests = tests or make_tests()
        if tests.kept(step) is None:
            set_weights(tests.sampler.policy.model, load_weights(file), part=tests.adapters)
            tests.keep(step)
        yield step, tests.kept(step)


def _file(folder: Path, step: int, suffix: str) -> Path:
    return folder / f"step-{step:06d}{suffix}"
