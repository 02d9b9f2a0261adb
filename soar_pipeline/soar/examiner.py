"""Examining the student: greedy accuracy and solve rates of a policy's current weights."""

from soar_pipeline.config import GenerationConfig
from soar_pipeline.generation.generator import Completion, Generator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import Policy, PromptFormat, Weights, set_weights
from soar_pipeline.training.schedules import Question


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

    def completions(self, questions: list[Question], samples: int, seed: int) -> list[list[Completion]]:
        """`samples` completions of each question, at the temperature of training."""
        return self.generator.sample(
            [self.prompts.student(item.question) for item in questions],
            samples=samples,
            max_new_tokens=self.generation.student_max_new_tokens,
            temperature=self.generation.temperature,
            seed=seed,
        )

    def solve_rates(self, questions: list[Question], samples: int, seed: int) -> list[float]:
        """Share of sampled completions that match the question's answer, per question."""
        completions = self.completions(questions, samples, seed)
        return [self._right([drawn], [item]) / samples for drawn, item in zip(completions, questions, strict=True)]

    def _right(self, completions: list[list[Completion]], questions: list[Question]) -> int:
        pairs = [
            (item.answer, completion.text)
            for drawn, item in zip(completions, questions, strict=True)
            for completion in drawn
        ]
        return sum(grade.verdict == "right" for grade in self.grader.grade(pairs))
