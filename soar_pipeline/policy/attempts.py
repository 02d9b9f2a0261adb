"""Attempts: completions of problems, sampled from a policy and graded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.questions import Question
from soar_pipeline.runtime import derive

Attempt = dict[str, Any]


def id_in_pool(problem: Question) -> str:
    """The name that a problem has in its pool, without the pool's."""
    return problem.question_id.split("/", 1)[-1]


def solved(attempts: list[Attempt]) -> bool:
    """Whether one of them is right. A verification that timed out is not."""
    return any(attempt["verdict"] == "right" for attempt in attempts)


@dataclass(frozen=True)
class AttemptSampler:
    """Samples a policy's attempts at problems."""

    policy: OpenPolicy

    def sample(self, problems: list[Question], *, samples: int, seed: int, first_sample: int = 0) -> list[Attempt]:
        """`samples` attempts at every problem, in problem order: ATTEMPTS rows, numbered from `first_sample`."""
        prompts = [self.policy.prompts.student(problem.question) for problem in problems]
        groups = self.policy.generator.sample(prompts, samples, self.policy.student_params(seed))
        flat = [
            (problem, first_sample + i, completion)
            for problem, completions in zip(problems, groups, strict=True)
            for i, completion in enumerate(completions)
        ]
        grades = self.policy.grader.grade([(problem.answer, completion.text) for problem, _, completion in flat])
        return [
            {
                "problem_id": problem.question_id,
                "sample": sample,
                "completion": completion.text,
                "extracted_answer": grade.extracted_answer,
                "verdict": grade.verdict,
                "tokens": completion.tokens,
                "truncated": completion.truncated,
            }
            for (problem, sample, completion), grade in zip(flat, grades, strict=True)
        ]

    def sample_until_solved(
        self, problems: list[Question], rounds: Sequence[int], seed: int
    ) -> Iterator[list[Attempt]]:
        """The attempts at each problem in turn; a problem leaves after the round of its first right answer.

        What the filter keeps has the same distribution as if all rounds were sampled at once, for a fraction of the
        tokens. Problems go through the rounds in blocks of the batch size, so that batches are full and memory does
        not grow with the pool. A block's samples depend on `seed`, on its problems and on the round, not on the blocks
        before it.
        """
        size = self.policy.generation.batch_size
        for start in range(0, len(problems), size):
            block = problems[start : start + size]
            yield from self._block_until_solved(block, rounds, derive(seed, id_in_pool(block[0])))

    def _block_until_solved(self, block: list[Question], rounds: Sequence[int], seed: int) -> Iterator[list[Attempt]]:
        attempts: dict[str, list[Attempt]] = {problem.question_id: [] for problem in block}
        unsolved, first_sample = block, 0
        for samples in rounds:
            if not unsolved:
                break
            round_seed = derive(seed, first_sample)
            for attempt in self.sample(unsolved, samples=samples, seed=round_seed, first_sample=first_sample):
                attempts[attempt["problem_id"]].append(attempt)
            unsolved = [problem for problem in unsolved if not solved(attempts[problem.question_id])]
            first_sample += samples
        yield from attempts.values()
