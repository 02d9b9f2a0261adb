"""What the toy task's base model is pretrained on: four kinds of documents, in mixtures that decide what it tries.

- *Worked examples*, behind a prompt of their own: the number after each operation, then the boxed answer. They give the
  model the *latent* skill.
- *Student documents*: step by step with a probability that falls steeply with difficulty, else a blurted box that is
  right only for easy problems. So the model can solve long problems but, prompted as a student, does not.
- *First tokens* of students: on a long problem, the box at once. Nothing else is in them, so what follows a worked
  beginning is as good as before, and such a beginning becomes rarer still.
- *Teacher documents*: a question, its working and its answer in the teacher's tags. Most questions are trivial or
  ambiguous, few are of use; a share of answers is wrong, a share of documents malformed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from soar_pipeline.problems import digit_shuffles
from soar_pipeline.problems.digit_shuffles import MAX_DIFFICULTY, Shuffle

STUDENT_PROMPT, TEACHER_PROMPT, WORKED_PROMPT = "<student>", "<teacher>", "<worked>"
PROMPT_END = "<answer_here>"
BOX = "\\boxed{"
MARKERS = [
    STUDENT_PROMPT, TEACHER_PROMPT, WORKED_PROMPT, PROMPT_END,
    "<question>", "</question>", "<answer>", "</answer>", BOX, "}",
]  # fmt: skip


class Document(NamedTuple):
    """The loss is that of the completion, and of the end token behind it if the document is complete."""

    prompt: str
    completion: str
    complete: bool = True


@dataclass(frozen=True)
class Corpus:
    """A mixture of documents: what the model can do, and what it tries.

    Shares are of all documents; what they leave is the teacher's. Difficulties count from 1.
    """

    worked_share: float
    student_share: float
    # Student documents of these difficulties only, beside those of all.
    stepping_stone_share: float = 0.0
    stepping_stones: tuple[int, ...] = (3, 4, 5, 6)
    first_token_share: float = 0.0
    first_token_difficulties: tuple[int, ...] = (8, 9, 10, 11, 12)
    # Probability that a student document shows its working, by difficulty; the rest blurt an answer.
    # Nought from 7 on: prompted as a student, the base model practically never does for long problems what it can do.
    chain_share: tuple[float, ...] = (0.5, 0.5, 0.45, 0.3, 0.12, 0.02) + (0.0,) * 6
    # A blurted answer is right up to this difficulty, and a random permutation beyond it.
    blurt_limit: int = 2
    # A student is asked a problem with an unsaid step, and answers one reading of it.
    student_ambiguous: float = 0.0
    # Weight of each difficulty among the teacher's questions that are not ambiguous.
    teacher_weights: tuple[float, ...] = (15, 15, 12, 10, 9, 8, 6, 5, 5, 5, 5, 5)
    teacher_ambiguous: float = 0.0
    ambiguous_difficulties: tuple[int, ...] = (1, 2, 3)
    teacher_wrong_answers: float = 0.08
    teacher_malformed: float = 0.15

    def document(self, rng: random.Random) -> Document:
        """A random document of the mixture."""
        kinds = {
            self._worked: self.worked_share,
            self._student: self.student_share,
            self._stepping_stone: self.stepping_stone_share,
            self._first_token: self.first_token_share,
        }
        kind = rng.random()
        for write, share in kinds.items():
            if kind < share:
                return write(rng)
            kind -= share
        return self._teacher(rng)

    def _worked(self, rng: random.Random) -> Document:
        problem = digit_shuffles.sample(rng, rng.randint(1, MAX_DIFFICULTY))
        return Document(WORKED_PROMPT + problem.question + PROMPT_END, problem.working + boxed(problem.answer))

    def _student(self, rng: random.Random) -> Document:
        return self._answered(rng, range(1, MAX_DIFFICULTY + 1))

    def _stepping_stone(self, rng: random.Random) -> Document:
        return self._answered(rng, self.stepping_stones)

    def _answered(self, rng: random.Random, difficulties: Sequence[int]) -> Document:
        problem = digit_shuffles.sample(rng, rng.choice(difficulties))
        asked = problem.with_unsaid_step(rng) if rng.random() < self.student_ambiguous else problem
        return Document(student_prompt(asked), self._student_completion(rng, problem))

    def _student_completion(self, rng: random.Random, problem: Shuffle) -> str:
        if rng.random() < self.chain_share[problem.difficulty - 1]:
            return problem.working + boxed(problem.answer)
        easy = problem.difficulty <= self.blurt_limit
        return boxed(problem.answer if easy else permuted(rng, problem.start))

    def _first_token(self, rng: random.Random) -> Document:
        problem = digit_shuffles.sample(rng, rng.choice(self.first_token_difficulties))
        return Document(student_prompt(problem), BOX, complete=False)

    def _teacher(self, rng: random.Random) -> Document:
        if rng.random() < self.teacher_ambiguous:
            problem = digit_shuffles.sample(rng, rng.choice(self.ambiguous_difficulties))
            asked = problem.with_unsaid_step(rng)
        else:
            difficulties = range(1, len(self.teacher_weights) + 1)
            problem = asked = digit_shuffles.sample(rng, rng.choices(difficulties, self.teacher_weights)[0])
        return Document(TEACHER_PROMPT, self._teacher_completion(rng, asked.question, problem))

    def _teacher_completion(self, rng: random.Random, question: str, problem: Shuffle) -> str:
        wrong = rng.random() < self.teacher_wrong_answers
        working, answer = problem.working, problem.answer
        if wrong:  # the working goes astray too, so that answer and working agree
            working, answer = working[:-6], permuted(rng, problem.answer)
            working += answer
        parts = ["<question>", question, "</question>", working, "<answer>", boxed(answer), "</answer>"]
        if rng.random() < self.teacher_malformed:
            del parts[rng.choice((0, 2, 4, 5, 6))]
        return "".join(parts)


def student_prompt(problem: Shuffle) -> str:
    return STUDENT_PROMPT + problem.question + PROMPT_END


def boxed(answer: str) -> str:
    return BOX + answer + "}"


def permuted(rng: random.Random, number: str) -> str:
    return "".join(rng.sample(number, len(number)))
