"""Evaluating a student: greedy accuracy and solve rates of a policy's current weights."""

from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import Completion
from soar_pipeline.policy.weights import Weights, set_weights
from soar_pipeline.questions import Question


class Evaluator:
    """Measures the student policy's current weights on questions with known answers."""

    def __init__(self, policy: OpenPolicy):
        self.policy = policy

    def set_weights(self, weights: Weights) -> None:
        """Evaluate these weights from now on."""
        set_weights(self.policy.model, weights)

    def greedy_accuracy(self, questions: list[Question]) -> float:
        """Share of questions answered right by greedy decoding."""
        max_new_tokens = self.policy.generation.student_max_new_tokens
        completions = self.policy.generator.greedy(
            self._prompts(questions), max_new_tokens, self.policy.prompts.student_stop
        )
        return self._right([[item] for item in completions], questions) / len(questions)

    def accuracy(self, questions: list[Question], samples: int | None, seed: int) -> float:
        """Share of right answers, in [0, 1]: greedy, or among `samples` of each question at training's temperature."""
        if samples is None:
            return self.greedy_accuracy(questions)
        return self._right(self.completions(questions, samples, seed), questions) / (samples * len(questions))

    def completions(self, questions: list[Question], samples: int, seed: int) -> list[list[Completion]]:
        """`samples` completions of each question, at the temperature of training."""
        return self.policy.generator.sample(self._prompts(questions), samples, self.policy.student_params(seed))

    def solve_rates(self, questions: list[Question], samples: int, seed: int) -> list[float]:
        """Share of sampled completions that match the question's answer, per question."""
        groups = self.completions(questions, samples, seed)
        return [self._right([group], [item]) / samples for group, item in zip(groups, questions, strict=True)]

    def _prompts(self, questions: list[Question]) -> list[str]:
        return [self.policy.prompts.student(item.question) for item in questions]

    def _right(self, groups: list[list[Completion]], questions: list[Question]) -> int:
        pairs = [
            (item.answer, completion.text)
            for group, item in zip(groups, questions, strict=True)
            for completion in group
        ]
        return sum(grade.verdict == "right" for grade in self.policy.grader.grade(pairs))
