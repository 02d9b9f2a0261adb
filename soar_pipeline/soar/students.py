"""The student population of an outer step: one independent training per dataset and repeat (spec section 5)."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

from soar_pipeline.models.policy import Weights, copy_weights, load_weights, save_weights
from soar_pipeline.progress import Progress
from soar_pipeline.seeds import derive
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.training.schedules import Question, constant_schedule
from soar_pipeline.training.student import StudentTrainer


@dataclass(frozen=True)
class Trial:
    """One student trained on one dataset. Accuracies are greedy, on the outer step's reward questions, in [0, 1]."""

    dataset_index: int
    repeat: int
    baseline_accuracy: float
    trained_accuracy: float
    seconds: float
    tokens: int

    @property
    def reward(self) -> float:
        """R_kj, the improvement over the baseline student (spec section 4)."""
        return self.trained_accuracy - self.baseline_accuracy


@dataclass(frozen=True)
class StudentJob:
    """All that a worker needs to train one student; weights pass through files."""

    dataset_index: int
    repeat: int
    seed: int
    questions: list[Question]
    inner_steps: int
    learning_rate: float | None
    reward_questions: list[Question]
    baseline_accuracy: float
    baseline: Path
    trained: Path


def place() -> str:
    """Where this process runs, for progress lines."""
    return f"{socket.gethostname()}:{os.getpid()}"


class StudentWorker:
    """Trains students one after another with one trainer, reset for each."""

    def __init__(self, trainer: StudentTrainer, examiner: Examiner):
        self.trainer, self.examiner = trainer, examiner

    def run(self, job: StudentJob) -> Trial:
        started = time.monotonic()
        baseline = load_weights(job.baseline)
        schedule = constant_schedule(job.questions, job.inner_steps, self.trainer.config.batch_size, job.seed)
        metrics = self.trainer.train(
            schedule, job.seed, start=baseline, reference=baseline, learning_rate=job.learning_rate
        )
        self.trainer.release()
        save_weights(job.trained, copy_weights(self.trainer.policy.model))
        return Trial(
            dataset_index=job.dataset_index,
            repeat=job.repeat,
            baseline_accuracy=job.baseline_accuracy,
            trained_accuracy=self.examiner.greedy_accuracy(job.reward_questions),
            seconds=time.monotonic() - started,
            tokens=sum(step.tokens for step in metrics),
        )


# Called with each trial as it is done, and with the worker that did it.
Done = Callable[[Trial, str], None]


class Executor(Protocol):
    """Runs student jobs and hands over each trial as it is done, in any order."""

    def run(self, jobs: list[StudentJob], done: Done) -> None: ...


class InProcess:
    """One worker, in this process."""

    def __init__(self, worker: StudentWorker):
        self.worker = worker

    def run(self, jobs: list[StudentJob], done: Done) -> None:
        for job in jobs:
            done(self.worker.run(job), place())


class WorkerProcesses:
    """Several worker processes on this machine, each with a model of its own.

    `build` makes a worker and is called once in each process. When a process dies, the students it had not
    finished are trained again by new processes, `attempts` times at most.
    """

    def __init__(self, build: Callable[[], StudentWorker], workers: int, attempts: int = 3):
        self.build, self.workers, self.attempts = build, workers, attempts

    def run(self, jobs: list[StudentJob], done: Done) -> None:
        left = {(job.dataset_index, job.repeat): job for job in jobs}
        for attempt in range(self.attempts):
            try:
                self._run_once(left, done)
                return
            except BrokenProcessPool:
                self.close()
                if attempt == self.attempts - 1:
                    raise

    def _run_once(self, left: dict[tuple[int, int], StudentJob], done: Done) -> None:
        if not hasattr(self, "pool"):
            # Spawned, not forked: torch's threads and CUDA do not survive a fork.
            self.pool = ProcessPoolExecutor(
                self.workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(self.build,)
            )
        for future in as_completed([self.pool.submit(_run_job, job) for job in left.values()]):
            trial, worker = future.result()
            del left[trial.dataset_index, trial.repeat]
            done(trial, worker)

    def close(self) -> None:
        if hasattr(self, "pool"):
            self.pool.shutdown(cancel_futures=True)
            del self.pool


_worker: StudentWorker


def _start_worker(build: Callable[[], StudentWorker]) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = build()


def _end_with_parent() -> None:
    """Workers of a killed run must not train on, beside those of the run that takes its place."""
    wait([parent_process().sentinel])
    os._exit(1)


def _run_job(job: StudentJob) -> tuple[Trial, str]:
    return _worker.run(job), place()


class StudentPool:
    """Trains the students of an outer step and keeps their weights, in `folder`, until the next one.

    Seeds derive from (run seed, outer step, dataset, repeat): the result depends on neither executor nor order.
    """

    def __init__(self, executor: Executor, examiner: Examiner, folder: Path, seed: int):
        self.executor, self.examiner, self.folder, self.seed = executor, examiner, folder, seed

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
    ) -> list[Trial]:
        """Train `repeats` students on each dataset, all from `baseline`; trials ordered by dataset and repeat.

        The examiner has the baseline's weights afterwards.
        """
        self.clear()
        baseline_file = self.folder / "baseline.safetensors"
        save_weights(baseline_file, baseline)
        self.examiner.set_weights(baseline)
        baseline_accuracy = self.examiner.greedy_accuracy(reward_questions)
        jobs = [
            StudentJob(
                dataset_index=k,
                repeat=j,
                seed=derive(self.seed, "student", outer_step, k, j),
                questions=dataset,
                inner_steps=inner_steps,
                learning_rate=learning_rate,
                reward_questions=reward_questions,
                baseline_accuracy=baseline_accuracy,
                baseline=baseline_file,
                trained=self._path(k, j),
            )
            for k, dataset in enumerate(datasets)
            for j in range(repeats)
        ]
        progress = Progress(f"students of outer step {outer_step}", len(jobs))
        trials: list[Trial] = []

        def done(trial: Trial, worker: str) -> None:
            trials.append(trial)
            progress.advance(reward=trial.reward, worker=worker)

        self.executor.run(jobs, done)
        # Students that trained in this process left the policy as the last of them.
        self.examiner.set_weights(baseline)
        return sorted(trials, key=lambda trial: (trial.dataset_index, trial.repeat))

    def weights(self, trial: Trial) -> Weights:
        """The trained weights of a student of the last outer step."""
        return load_weights(self._path(trial.dataset_index, trial.repeat))

    def clear(self) -> None:
        """Drop the trained weights of the last outer step."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, dataset_index: int, repeat: int) -> Path:
        return self.folder / f"dataset-{dataset_index}-repeat-{repeat}.safetensors"
