"""The student population of an outer step: on several workers against one, and as it grows.

    python benchmarks/population.py

Students are those of the configuration's first data set and objective, trained for `--steps` steps on the toy
task's curated questions (`--pool`), by default with the `segment_tokens` and `length_buckets` of config/config.yaml.
- one worker, with a thread for each core or with one thread, against a worker process for each core, with one thread
  each: the same students, in turns, `--rounds` times. The limit, against one thread, is the number of cores.
- populations of `--sizes` students on the worker processes: seconds per student, and the overhead, which is the
  share of the workers' time in which they do not work on a student.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from throughput import questions_of

from soar_pipeline.config import Config, Settings, SoarRun, load
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.policy.base_models import write_base_model
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import Question
from soar_pipeline.soar.student_processes import WorkerProcesses
from soar_pipeline.soar.students import Executor, InProcess, StudentPopulation, StudentResult
from soar_pipeline.stages.train_soar import student_worker

PROJECT = Path(__file__).resolve().parent.parent


class Population:
    """Trains populations of students from one base model, and says how long they took."""

    def __init__(self, config: Config, folder: Path, questions: list[Question], steps: int):
        dataset, objective = next(iter(config.datasets)), next(iter(config.objectives))
        self.settings = Settings.of(config, "train_soar", SoarRun(dataset, objective, 1))
        self.folder, self.questions, self.steps = folder, questions, steps
        self.model = folder / "model"
        write_base_model(config.models[config.datasets[dataset].model], config.seed, self.model)
        # This process's own worker: trains where there is one, else measures the baseline, as in a SOAR run.
        self.worker = student_worker(self.settings, self.model, threads=1)
        self.base = copy_weights(self.worker.trainer.policy.model)

    @contextmanager
    def processes(self, workers: int) -> Iterator[WorkerProcesses]:
        """Worker processes of one thread each; one student each has gone before, so that starting is not measured."""
        executor = WorkerProcesses(partial(student_worker, self.settings, self.model, 1), workers)
        try:
            self.train(executor, workers, steps=1)
            yield executor
        finally:
            executor.close()

    def train(self, executor: Executor, size: int, steps: int | None = None) -> tuple[float, list[StudentResult]]:
        """Wall seconds of a population, and its results; equal for every executor."""
        soar = self.settings.soar
        students = StudentPopulation(
            executor, self.worker.evaluator, self.folder / "students", seed=0, reward_samples=soar.reward_samples
        )
        n = soar.questions_per_dataset
        datasets = [[self.questions[(k * n + i) % len(self.questions)] for i in range(n)] for k in range(size)]
        started = time.perf_counter()
        results = students.train(
            1,
            datasets,
            baseline=self.base,
            reward_questions=self.questions[: soar.reward_questions],
            repeats=1,
            inner_steps=steps or self.steps,
        )
        return time.perf_counter() - started, results


def one_against_several(population: Population, executor: WorkerProcesses, workers: int, rounds: int) -> None:
    students = 2 * workers
    alone = InProcess(population.worker)
    # Workers, threads of each, and what trains.
    ways = [(1, workers, alone), (1, 1, alone), (workers, 1, executor)]
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for times, (_, threads, trained_by) in zip(seconds, ways, strict=True):
            torch.set_num_threads(threads)
            took, results = population.train(trained_by, students)
            times.append(took)
            # Another number of threads may add in another order: the last digits may differ, and with them a token.
            print(f"rewards: {[round(trial.reward, 3) for trial in results]}", file=sys.stderr)
    print(f"workers  threads of each  s for {students} students  against several")
    several = median(seconds[-1])
    for times, (count, threads, _) in zip(seconds, ways, strict=True):
        print(f"{count:7d}  {threads:15d}  {median(times):16.2f}  {median(times) / several:15.2f}")


def growth(population: Population, executor: WorkerProcesses, workers: int, sizes: list[int]) -> None:
    print("students  s per student  overhead")
    for size in sizes:
        seconds, results = population.train(executor, size)
        busy = sum(trial.seconds for trial in results) / (workers * seconds)
        print(f"{size:8d}  {seconds / size:13.2f}  {1 - busy:7.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "toy_findings.yaml")
    parser.add_argument("--pool", default="curated", help="name in `pools` (default: curated)")
    parser.add_argument("--segment-tokens", type=int, default=16, help="0: none (default: 16)")
    parser.add_argument("--length-buckets", type=int, default=4, help="default: 4")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="default: the cores of this machine")
    parser.add_argument("--steps", type=int, default=4, help="RLOO steps of a student (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="populations of each way (default: 3)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[4, 16, 64], help="students (default: 4 16 64)")
    options = parser.parse_args()
    config = resolve_paths(load(options.configfile), str(options.configfile), PROJECT)
    segments = {"segment_tokens": options.segment_tokens or None}
    config = config.model_copy(
        update={
            "generation": config.generation.model_copy(update=segments),
            "student": config.student.model_copy(update={"length_buckets": options.length_buckets}),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        questions = questions_of(options.pool, config.pools[options.pool])
        population = Population(config, Path(folder), questions, options.steps)
        with population.processes(options.workers) as executor:
            one_against_several(population, executor, options.workers, options.rounds)
            growth(population, executor, options.workers, options.sizes)


if __name__ == "__main__":
    main()
