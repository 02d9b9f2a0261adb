"""The student population of an outer step: one independent training per dataset and repeat."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from soar_pipeline.config import GenerationConfig
from soar_pipeline.generation.generator import Generator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import (
    Policy,
    PromptFormat,
    Weights,
    copy_weights,
    load_weights,
    save_weights,
    set_weights,
)
from soar_pipeline.progress import Progress
from soar_pipeline.seeds import derive
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


class Examiner:
    """Measures the student policy's current weights on questions with known answers."""

    def __init__(
        self, policy: Policy, generator: Generator, grader: Grader, prompts: PromptFormat, generation: GenerationConfig
    ):
        self.policy, self.generator, self.grader = policy, generator, grader
        self.prompts, self.generation = prompts, generation

    def set_weights(self, weights: Weights) -> None:
        """Examine these weights from now on."""
        set_weights(self.policy.model, weights)

    def greedy_accuracy(self, questions: list[Question]) -> float:
        """Share of questions answered right by greedy decoding."""
        completions = self.generator.greedy(
            [self.prompts.student(item.question) for item in questions],
            max_new_tokens=self.generation.student_max_new_tokens,
        )
        return self._right([[item] for item in completions], questions) / len(questions)

    def solve_rates(self, questions: list[Question], samples: int, seed: int) -> list[float]:
        """Share of sampled completions that match the question's answer, per question."""
        completions = self.generator.sample(
            [self.prompts.student(item.question) for item in questions],
            samples=samples,
            max_new_tokens=self.generation.student_max_new_tokens,
            temperature=self.generation.temperature,
            seed=seed,
        )
        return [
            self._right([drawn], [item]) / samples for drawn, item in zip(completions, questions, strict=True)
        ]

    def _right(self, completions, questions: list[Question]) -> int:
        pairs = [
            (item.answer, completion.text)
            for drawn, item in zip(completions, questions, strict=True)
            for completion in drawn
        ]
        return sum(grade.verdict == "right" for grade in self.grader.grade(pairs))


class LocalPool:
    """Trains the students of an outer step one after another in this process.

    Seeds derive from (run seed, outer step, dataset, repeat), so the result depends on neither pool nor order.
    Trained weights wait on disk in `folder` until the next outer step.
    """

    def __init__(self, trainer: StudentTrainer, examiner: Examiner, folder: Path, seed: int):
        self.trainer, self.examiner, self.folder, self.seed = trainer, examiner, folder, seed

    def train(
        self,
        outer_step: int,
        datasets: list[list[Question]],
        *,
        baseline: Weights,
        reward_questions: list[Question],
        repeats: int,
        inner_steps: int,
    ) -> list[Trial]:
        """Train `repeats` students on each dataset, all from `baseline`; the policy ends at `baseline` again."""
        self._clear()
        self.examiner.set_weights(baseline)
        baseline_accuracy = self.examiner.greedy_accuracy(reward_questions)
        progress = Progress(f"students of outer step {outer_step}", len(datasets) * repeats)
        trials = []
        for k, dataset in enumerate(datasets):
            for j in range(repeats):
                started = time.monotonic()
                seed = derive(self.seed, "student", outer_step, k, j)
                schedule = constant_schedule(dataset, inner_steps, self.trainer.config.batch_size, seed)
                metrics = self.trainer.train(baseline, schedule, seed)
                save_weights(self._path(k, j), copy_weights(self.trainer.policy.model))
                trials.append(
                    Trial(
                        dataset_index=k,
                        repeat=j,
                        baseline_accuracy=baseline_accuracy,
                        trained_accuracy=self.examiner.greedy_accuracy(reward_questions),
                        seconds=time.monotonic() - started,
                        tokens=sum(step.tokens for step in metrics),
                    )
                )
                progress.advance(reward=trials[-1].reward)
        self.examiner.set_weights(baseline)
        return trials

    def weights(self, trial: Trial) -> Weights:
        """The trained weights of a student of the last outer step."""
        return load_weights(self._path(trial.dataset_index, trial.repeat))

    def _path(self, dataset_index: int, repeat: int) -> Path:
        return self.folder / f"dataset-{dataset_index}-repeat-{repeat}.safetensors"

    def _clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
