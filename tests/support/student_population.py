"""Four students of an outer step, trained by whatever executor, on two datasets of two questions."""

import os
import time
from dataclasses import replace
from pathlib import Path

import torch

from soar_pipeline.config import GenerationConfig, Prompts, StudentConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.students import StudentPopulation, StudentResult, StudentWorker

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(student_max_new_tokens=30, teacher_max_new_tokens=120, batch_size=64)
QUESTIONS = [Question(str(i), f"{number}aLbV", "x") for i, number in enumerate((482917, 123456, 987654, 135792))]


def student_worker(base_model: Path) -> StudentWorker:
    policy = OpenPolicy.around(load_policy(base_model, "float32"), PROMPTS, GENERATION, Grader())
    config = StudentConfig(learning_rate=1e-3, kl_coefficient=0.1, batch_size=2, group_size=4)
    return StudentWorker(StudentTrainer(policy, config), Evaluator(policy))


def population(
    executor, worker: StudentWorker, base, folder: Path
) -> tuple[list[StudentResult], dict[str, torch.Tensor]]:
    students = StudentPopulation(executor, worker.evaluator, folder, seed=5)
    results = students.train(
        1, [QUESTIONS[:2], QUESTIONS[2:]], baseline=base, reward_questions=QUESTIONS, repeats=2, inner_steps=2
    )
    evaluated = copy_weights(worker.trainer.policy.model)
    assert all(torch.equal(evaluated[name], base[name]) for name in base), "the evaluator has the baseline afterwards"
    return [replace(item, seconds=0.0) for item in results], students.weights(results[-1])


def never_ready(marker: Path) -> StudentWorker:
    marker.write_text(str(os.getpid()))
    time.sleep(60)
