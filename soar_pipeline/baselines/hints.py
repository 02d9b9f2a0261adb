"""Hint withdrawal: RLOO on hard problems that begin with their worked solution, less of it as students succeed.

What is shown of a solution is part of the prompt: the student goes on from there, and only what it writes itself is
trained on (docs/method.md §10). A reverse curriculum of this kind for language models is R3 (arXiv 2402.05808).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from soar_pipeline.config import HintConfig, StudentConfig
from soar_pipeline.grading.grader import Grade
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.prompts import check_context
from soar_pipeline.questions import Question
from soar_pipeline.rl.distributed import gather
from soar_pipeline.rl.schedules import ScheduledQuestion
from soar_pipeline.rl.student import StepMetrics, StudentTrainer


def beginning(solution: str, fraction: float) -> str:
    r"""So much of a worked solution, in whole words if it has any; never its first `\boxed` or what follows."""
    before_answer = solution.partition("\\boxed")[0].rstrip()
    end = round(fraction * len(before_answer))
    if end < len(before_answer) and (spaces := [match.start() for match in re.finditer(r"\s", before_answer)]):
        end = max((space for space in spaces if space <= end), default=0)
    return before_answer[:end].rstrip()


@dataclass
class HintWithdrawal:
    """How much of its solution each problem shows; problems without a solution show nothing.

    solutions: by problem id. shown: parts, by the id of problems that no longer show `config.start` of them.
    """

    config: HintConfig
    solutions: Mapping[str, str]
    shown: dict[str, int] = field(default_factory=dict)

    def fraction(self, problem_id: str) -> float:
        """Share of the solution that is shown, in [0, 1]."""
        if problem_id not in self.solutions:
            return 0.0
        return self.shown.get(problem_id, self.config.start) / self.config.parts

    def hint(self, problem_id: str) -> str:
        """The beginning of the solution that is shown; empty if none is."""
        return beginning(self.solutions.get(problem_id, ""), self.fraction(problem_id))

    def observe(self, problem_id: str, success: float) -> None:
        """A group of completions was right in this share: a part less if that is enough, a part more if none was."""
        shown = self.shown.get(problem_id, self.config.start)
        change = -1 if success >= self.config.shorten_at else 1 if success == 0 else 0
        self.shown[problem_id] = min(max(shown + change, 0), self.config.parts)


class HintedTrainer(StudentTrainer):
    """Trains on problems with hints, which change from step to step; otherwise as `StudentTrainer`."""

    def __init__(
        self, policy: OpenPolicy, config: StudentConfig, hints: HintWithdrawal, problems: list[Question], **options: Any
    ):
        """problems: all that will be trained on. Raises ConfigError naming one that does not fit the context with all
        of its hint.
        """
        super().__init__(policy, config, **options)
        self.hints = hints
        self.problems = {policy.prompts.student(problem.question): problem for problem in problems}
        # Of the steps of the training.
        self.fractions: list[float] = []
        longest = {
            problem.question_id: policy.prompts.student(
                problem.question, beginning(hints.solutions.get(problem.question_id, ""), 1)
            )
            for problem in problems
        }
        check_context(policy, longest, policy.generation.student_max_new_tokens)
        self.trainer.shown_prompt = self._hinted

    def train(self, schedule: list[ScheduledQuestion], seed: int, **options: Any) -> list[StepMetrics]:
        self.fractions = []
        metrics = super().train(schedule, seed, **options)
        return [replace(step, hint_fraction=fraction) for step, fraction in zip(metrics, self.fractions, strict=True)]

    def state(self) -> dict[str, Any]:
        return dict(self.hints.shown)

    def restore(self, state: dict[str, Any]) -> None:
        self.hints.shown = dict(state)

    def _hinted(self, prompt: str) -> str:
        problem = self.problems[prompt]
        return self.policy.prompts.student(problem.question, self.hints.hint(problem.question_id))

    def _observe(self, prompts: list[str], grades: list[Grade]) -> None:
        # A group may be shared by two processes, and all of them must show the same hint next.
        rows = gather(
            [
                (self.problems[prompt].question_id, grade.verdict == "right")
                for prompt, grade in zip(prompts, grades, strict=True)
            ]
        )
        groups = [rows[i : i + self.config.group_size] for i in range(0, len(rows), self.config.group_size)]
        self.fractions.append(fmean(self.hints.fraction(group[0][0]) for group in groups))
        for group in groups:
            self.hints.observe(group[0][0], fmean(right for _, right in group))
