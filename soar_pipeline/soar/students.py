"""The students of an outer step: one independent training per dataset and repeat (docs/method.md §5, step 2)."""

import logging
import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.policy.weights import Weights, copy_weights, load_weights, save_weights, weights_digest
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.runtime import Progress, derive
from soar_pipeline.soar.evaluator import Evaluator


@dataclass(frozen=True)
class StudentResult:
    """One student trained on one dataset.

    Accuracies are on the outer step's reward questions, in [0, 1]: the share of right ones among `reward_samples`
    completions of each, or of greedy ones if that is None.
    """

    dataset_index: int
    repeat: int
    baseline_accuracy: float
    trained_accuracy: float
    seconds: float
    tokens: int
    reward_samples: int | None = None

    @property
    def reward(self) -> float:
        """R_kj, the improvement over the baseline student (docs/method.md §4)."""
        return self.trained_accuracy - self.baseline_accuracy


ATTEMPTS = 3

log = logging.getLogger(__name__)

# A student's place in its outer step: dataset and repeat.
Student = tuple[int, int]


@dataclass(frozen=True)
class StudentJob:
    """All that a worker needs to train one student.

    batch: which call of `train` it belongs to. baseline: a file whose name holds its digest, read by a worker once;
    the trained weights stay with the worker until they are asked for.
    """

    batch: int
    dataset_index: int
    repeat: int
    seed: int
    questions: list[Question]
    inner_steps: int
    learning_rate: float | None
    reward_questions: list[Question]
    reward_samples: int | None
    reward_seed: int
    baseline_accuracy: float
    baseline: Path

    @property
    def student(self) -> Student:
        return self.dataset_index, self.repeat


def place() -> str:
    """Where this process runs, for progress lines."""
    return f"{socket.gethostname()}:{os.getpid()}"


class StudentWorker:
    """Trains students one after another with one trainer, reset for each, and keeps those of the last batch.

    Kept are, on the CPU, the baseline and the weights of each student that it trained.
    """

    def __init__(self, trainer: StudentTrainer, evaluator: Evaluator):
        self.trainer, self.evaluator = trainer, evaluator
        self.baseline: tuple[Path, Weights] | None = None
        self.batch: int | None = None
        self.trained: dict[Student, Weights] = {}

    def run(self, job: StudentJob) -> StudentResult:
        started = time.monotonic()
        if job.batch != self.batch:
            self.batch, self.trained = job.batch, {}
        baseline = self._baseline(job.baseline)
        schedule = constant_schedule(job.questions, job.inner_steps, self.trainer.config.batch_size, job.seed)
        metrics = self.trainer.train(
            schedule, job.seed, start=baseline, reference=baseline, learning_rate=job.learning_rate
        )
        self.trainer.release()
        self.trained[job.student] = copy_weights(self.trainer.policy.model)
        return StudentResult(
            dataset_index=job.dataset_index,
            repeat=job.repeat,
            baseline_accuracy=job.baseline_accuracy,
            trained_accuracy=self.evaluator.accuracy(job.reward_questions, job.reward_samples, job.reward_seed),
            seconds=time.monotonic() - started,
            tokens=sum(step.tokens for step in metrics),
            reward_samples=job.reward_samples,
        )

    def write(self, job: StudentJob, path: Path) -> None:
        """Write the weights of a student that this worker has trained."""
        save_weights(path, self.trained[job.student])

    def _baseline(self, file: Path) -> Weights:
        if self.baseline is None or self.baseline[0] != file:
            # The one before goes first: there is room for one.
            self.baseline = None
            self.baseline = file, load_weights(file)
        return self.baseline[1]


# Called with each result as it is done, and with the worker that did it.
Done = Callable[[StudentResult, str], None]


class Executor(Protocol):
    """Runs student jobs and hands over each result as it is done, in any order."""

    @property
    def has_device(self) -> bool:
        """Whether the process that asks has a device that no other process computes on."""

    def run(self, jobs: list[StudentJob], done: Done) -> None: ...

    def write(self, job: StudentJob, path: Path) -> bool:
        """Have the weights of a student written that was trained by the last `run`; False: its worker is lost."""

    def close(self) -> None:
        """End the workers that it started."""


class InProcess:
    """One worker, in this process."""

    has_device = True

    def __init__(self, worker: StudentWorker):
        self.worker = worker

    def run(self, jobs: list[StudentJob], done: Done) -> None:
        for job in jobs:
            done(self.worker.run(job), place())

    def write(self, job: StudentJob, path: Path) -> bool:
        self.worker.write(job, path)
        return True

    def close(self) -> None:
        """It started none."""


class StudentPopulation:
    """Trains the students of an outer step; their weights can be had until the next one. `folder`: for files.

    Seeds derive from (run seed, outer step, dataset, repeat): the result depends on neither executor nor order.
    reward_samples: how accuracy is measured (`soar.reward_samples`).
    """

    def __init__(
        self, executor: Executor, evaluator: Evaluator, folder: Path, seed: int, reward_samples: int | None = None
    ):
        self.executor, self.evaluator, self.folder, self.seed = executor, evaluator, folder, seed
        self.reward_samples = reward_samples
        self.batch = 0
        self.jobs: dict[Student, StudentJob] = {}
        self.baseline: tuple[Weights, Path] | None = None

    def train(
        self,
        outer_step: int,
        datasets: list[list[Question]],
        *,
        baseline: Weights,
        reward_questions: list[Question],
        repeats: int,
        inner_steps: int,
        learning_rate: float | None = None,
    ) -> list[StudentResult]:
        """Train `repeats` students on each dataset, all from `baseline`; results ordered by dataset and repeat.

        The evaluator has the baseline's weights afterwards.
        """
        self.batch += 1
        self.evaluator.set_weights(baseline)
        baseline_file = self._baseline_file(baseline)
        # One seed for all: a student that learned nothing answers as the baseline does, and its reward is 0.
        reward_seed = derive(self.seed, "reward samples", outer_step)
        baseline_accuracy = self.evaluator.accuracy(reward_questions, self.reward_samples, reward_seed)
        jobs = [
            StudentJob(
                batch=self.batch,
                dataset_index=k,
                repeat=j,
                seed=derive(self.seed, "student", outer_step, k, j),
                questions=dataset,
                inner_steps=inner_steps,
                learning_rate=learning_rate,
                reward_questions=reward_questions,
                reward_samples=self.reward_samples,
                reward_seed=reward_seed,
                baseline_accuracy=baseline_accuracy,
                baseline=baseline_file,
            )
            for k, dataset in enumerate(datasets)
            for j in range(repeats)
        ]
        self.jobs = {job.student: job for job in jobs}
        progress = Progress(f"students of outer step {outer_step}", len(jobs))
        results: list[StudentResult] = []

        def done(result: StudentResult, worker: str) -> None:
            results.append(result)
            progress.advance(reward=result.reward, worker=worker)

        self.executor.run(jobs, done)
        # Students that trained in this process left the policy as the last of them.
        self.evaluator.set_weights(baseline)
        return sorted(results, key=lambda result: (result.dataset_index, result.repeat))

    def weights(self, result: StudentResult) -> Weights:
        """The trained weights of a student of the last outer step; ArtifactError if its workers die again and again."""
        job, path = self.jobs[result.dataset_index, result.repeat], self.folder / "trained.safetensors"
        for _ in range(ATTEMPTS):
            if self.executor.write(job, path):
                weights = load_weights(path)
                path.unlink()
                return weights
            log.warning(
                "the worker of student %d of dataset %d was lost with it: it is trained again",
                job.repeat,
                job.dataset_index,
            )
            self.executor.run([job], lambda result, worker: None)
        raise ArtifactError(
            f"student {job.repeat} of dataset {job.dataset_index}: workers were lost {ATTEMPTS} times with its weights"
        )

    def clear(self) -> None:
        """Drop the files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.baseline = None

    def _baseline_file(self, baseline: Weights) -> Path:
        """The file that workers read the baseline from: a new one when the baseline is another."""
        if self.baseline is None or self.baseline[0] is not baseline:
            self.clear()
            file = self.folder / f"baseline-{weights_digest(baseline)}.safetensors"
            save_weights(file, baseline)
            self.baseline = baseline, file
        return self.baseline[1]
