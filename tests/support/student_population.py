"""Four students of an outer step, trained by whatever executor, on two datasets of two questions."""

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from soar_pipeline.config import GenerationConfig, Prompts, StudentConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import Weights, copy_weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.students import Executor, InProcess, StudentPopulation, StudentResult, StudentWorker

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(student_max_new_tokens=30, teacher_max_new_tokens=120, batch_size=64)
QUESTIONS = [Question(str(i), f"{number}aLbV", "x") for i, number in enumerate((482917, 123456, 987654, 135792))]


def student_worker(base_model: Path) -> StudentWorker:
    policy = OpenPolicy.around(load_policy(base_model, "float32"), PROMPTS, GENERATION, Grader())
    config = StudentConfig(learning_rate=1e-3, kl_coefficient=0.1, batch_size=2, group_size=4)
    return StudentWorker(StudentTrainer(policy, config), Evaluator(policy))


@dataclass(frozen=True)
class Undisturbed:
    """The population of a worker in this process, and how others compare with it."""

    worker: StudentWorker
    base: Weights
    results: list[StudentResult]
    weights: Weights

    @classmethod
    def trained(cls, base_model: Path, folder: Path) -> "Undisturbed":
        worker = student_worker(base_model)
        base = copy_weights(worker.trainer.policy.model)
        return cls(worker, base, *population(InProcess(worker), worker, base, folder))

    def assert_same_with(self, executor: Executor, folder: Path) -> None:
        results, weights = population(executor, self.worker, self.base, folder)
        assert results == self.results
        assert all(torch.equal(weights[name], self.weights[name]) for name in self.weights)
        # Only the baseline has a file, which the workers read once, and no student but the one that was asked for.
        assert [path.name.split("-")[0] for path in folder.iterdir()] == ["baseline"]


def population(
    executor: Executor, worker: StudentWorker, base: Weights, folder: Path
) -> tuple[list[StudentResult], Weights]:
    """The results, without their times, and the weights of the last student, which `executor` is asked for."""
    students = StudentPopulation(executor, worker.evaluator, folder, seed=5)
    results = students.train(
        1, [QUESTIONS[:2], QUESTIONS[2:]], baseline=base, reward_questions=QUESTIONS, repeats=2, inner_steps=2
    )
    evaluated = copy_weights(worker.trainer.policy.model)
    assert all(torch.equal(evaluated[name], base[name]) for name in base), "the evaluator has the baseline afterwards"
    return [replace(item, seconds=0.0) for item in results], students.weights(results[-1])


def killed_when_asked(base_model: Path, died: Path) -> StudentWorker:
    """A worker that is killed when it is first asked for a student that it has trained, which `died` says."""
    worker = student_worker(base_model)
    write = worker.write

    def write_or_die(job, path):
        if not (died / "asked").exists():
            (died / "asked").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        write(job, path)

    worker.write = write_or_die
    return worker


def never_ready(marker: Path) -> StudentWorker:
    marker.write_text(str(os.getpid()))
    time.sleep(60)
