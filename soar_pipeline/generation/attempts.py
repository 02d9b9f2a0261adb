"""Attempts: completions of problems, drawn from a policy and graded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from soar_pipeline.config import GenerationConfig
from soar_pipeline.generation.generator import Generator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat
from soar_pipeline.seeds import derive

Problem = dict[str, Any]
Attempt = dict[str, Any]


def solved(attempts: list[Attempt]) -> bool:
    """Whether one of them is right. A verification that timed out is not."""
    return any(attempt["verdict"] == "right" for attempt in attempts)


@dataclass(frozen=True)
class AttemptDrawer:
    """Draws attempts of the generator's policy at problems: rows with `problem_id`, `question` and `answer`."""

    generator: Generator
    grader: Grader
    prompts: PromptFormat
    generation: GenerationConfig

    def draw(self, problems: list[Problem], *, samples: int, seed: int, first_sample: int = 0) -> list[Attempt]:
        """`samples` attempts at every problem, in problem order: ATTEMPTS rows, numbered from `first_sample`."""
        drawn = self.generator.sample(
            [self.prompts.student(problem["question"]) for problem in problems],
            samples=samples,
            max_new_tokens=self.generation.student_max_new_tokens,
            temperature=self.generation.temperature,
            seed=seed,
        )
        flat = [
            (problem, first_sample + i, completion)
            for problem, completions in zip(problems, drawn, strict=True)
            for i, completion in enumerate(completions)
        ]
        grades = self.grader.grade([(problem["answer"], completion.text) for problem, _, completion in flat])
        return [
            {
                "problem_id": problem["problem_id"],
                "sample": sample,
                "completion": completion.text,
                "extracted_answer": grade.extracted_answer,
                "verdict": grade.verdict,
                "tokens": completion.tokens,
                "truncated": completion.truncated,
            }
            for (problem, sample, completion), grade in zip(flat, grades, strict=True)
        ]

    def draw_until_solved(self, problems: list[Problem], rounds: Sequence[int], seed: int) -> Iterator[list[Attempt]]:
        """The attempts at each problem in turn; a problem leaves after the round of its first right answer.

        The same verdict of the filter as drawing every round at once, for a fraction of the tokens. Problems go
        through the rounds in blocks of the batch size, so that batches are full and memory does not grow with the
        pool. A block's draws depend on `seed`, on its problems and on the round, not on the blocks before it.
        """
        size = self.generation.batch_size
        for start in range(0, len(problems), size):
            block = problems[start : start + size]
            yield from self._block_until_solved(block, rounds, derive(seed, block[0]["problem_id"]))

    def _block_until_solved(self, block: list[Problem], rounds: Sequence[int], seed: int) -> Iterator[list[Attempt]]:
        attempts: dict[str, list[Attempt]] = {problem["problem_id"]: [] for problem in block}
        unsolved, first_sample = block, 0
        for samples in rounds:
            if not unsolved:
                break
            drawn = self.draw(unsolved, samples=samples, seed=derive(seed, first_sample), first_sample=first_sample)
            for attempt in drawn:
                attempts[attempt["problem_id"]].append(attempt)
            unsolved = [problem for problem in unsolved if not solved(attempts[problem["problem_id"]])]
            first_sample += samples
        yield from attempts.values()
