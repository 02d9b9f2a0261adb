"""The toy task: shuffle the digits of a number by a string of labelled operations.

A problem is six different digits out of 1–9 followed by up to twelve labelled operations, for example
``482917aLbR``: step *a* rotates left (829174), step *b* rotates right (482917). The answer is the last
number. ``difficulty`` is the number of operations. There is no zero, so every answer is an ordinary integer
and a blind guess among the permutations is right once in 720.

A step can be left unsaid: ``482917aLb?`` names no operation for step *b*, so it has six answers and none of them is
*the* answer. No pool holds such a question, but a teacher writes them: whoever guesses the step agrees with the writer
once in six, which teaches nothing about any other problem.

The world is small, but it is used only through strings: the pipeline reads these problems, prompts, answers
and verdicts exactly as it reads MATH.
"""

import random
import re
from dataclasses import dataclass
from typing import Literal, get_args

NUM_DIGITS = 6
MAX_DIFFICULTY = 12
DIGITS = "123456789"
STEP_LABELS = "abcdefghijkl"

# Position i of the new number is position OPERATIONS[op][i] of the old one.
OPERATIONS = {
    "L": (1, 2, 3, 4, 5, 0),  # rotate left
    "R": (5, 0, 1, 2, 3, 4),  # rotate right
    "S": (1, 0, 2, 3, 4, 5),  # swap the first two
    "T": (0, 1, 2, 3, 5, 4),  # swap the last two
    "V": (5, 4, 3, 2, 1, 0),  # reverse
    "H": (3, 4, 5, 0, 1, 2),  # swap halves
}

# Difficulties of stepping stones: the base model solves them now and then, by the working that longer ones need too.
STEPPING_STONES = (3, 4, 5)

QuestionClass = Literal["useful", "trivial", "ambiguous", "wrong", "hard", "malformed"]
QUESTION_CLASSES: tuple[QuestionClass, ...] = get_args(QuestionClass)

# In the place of an operation: the step is not said.
UNSAID = "?"

_QUESTION = re.compile(rf"([{DIGITS}]{{{NUM_DIGITS}}})((?:[a-l][{''.join(OPERATIONS)}{UNSAID}])*)")


@dataclass(frozen=True)
class Shuffle:
    """One problem: a start number and the operations applied to it in turn.

    An `ambiguous` one has neither numbers nor an answer, only readings that have.
    """

    start: str
    operations: str

    @property
    def difficulty(self) -> int:
        return len(self.operations)

    @property
    def ambiguous(self) -> bool:
        """Whether a step is unsaid."""
        return UNSAID in self.operations

    @property
    def question(self) -> str:
        labelled = zip(STEP_LABELS, self.operations, strict=False)
        return self.start + "".join(label + operation for label, operation in labelled)

    @property
    def numbers(self) -> list[str]:
        """The number after each operation; length ``difficulty``. Raises ValueError for an ambiguous problem."""
        if self.ambiguous:
            raise ValueError(f"{self.question} leaves a step unsaid; ask a reading of it")
        numbers, number = [], self.start
        for operation in self.operations:
            number = "".join(number[i] for i in OPERATIONS[operation])
            numbers.append(number)
        return numbers

    @property
    def answer(self) -> str:
        return self.numbers[-1] if self.operations else self.start

    @property
    def working(self) -> str:
        """The answer step by step, as a worked example shows it: ``a829174b482917``."""
        return "".join(label + number for label, number in zip(STEP_LABELS, self.numbers, strict=False))

    def with_unsaid_step(self, rng: random.Random) -> "Shuffle":
        """The same problem with one step, chosen at random, left unsaid."""
        step = rng.randrange(self.difficulty)
        return Shuffle(self.start, self.operations[:step] + UNSAID + self.operations[step + 1 :])


def parse(question: str) -> Shuffle | None:
    """The problem that a question states, perhaps an ambiguous one, or None if it states none (ill posed)."""
    match = _QUESTION.fullmatch(question.strip())
    if match is None:
        return None
    start, steps = match.groups()
    labels, operations = steps[0::2], steps[1::2]
    well_posed = operations and labels == STEP_LABELS[: len(labels)] and len(set(start)) == NUM_DIGITS
    return Shuffle(start, operations) if well_posed else None


def question_class(problem: Shuffle | None, right: bool) -> QuestionClass:
    """What a question with its stated answer is, as something to train on. The classes split all questions.

    problem: what the question states (:func:`parse`); right: whether the stated answer is the problem's.

    - `malformed`: it states no problem.
    - `ambiguous`: a step is unsaid. No answer is right, and one that was guessed teaches nothing.
    - `wrong`: the stated answer is not the problem's.
    - `trivial`, `useful`, `hard`: right, with fewer operations than a stepping stone has, as many, or more.
    """
    if problem is None:
        return "malformed"
    if problem.ambiguous:
        return "ambiguous"
    if not right:
        return "wrong"
    if problem.difficulty in STEPPING_STONES:
        return "useful"
    return "trivial" if problem.difficulty < min(STEPPING_STONES) else "hard"


def sample(rng: random.Random, difficulty: int) -> Shuffle:
    """A random problem of the given difficulty (1 to 12 operations)."""
    if not 1 <= difficulty <= MAX_DIFFICULTY:
        raise ValueError(f"difficulty {difficulty} is not between 1 and {MAX_DIFFICULTY}")
    start = "".join(rng.sample(DIGITS, NUM_DIGITS))
    return Shuffle(start, "".join(rng.choices(list(OPERATIONS), k=difficulty)))


def sample_distinct(rng: random.Random, difficulties: list[int]) -> list[Shuffle]:
    """One problem for each difficulty, all different."""
    problems: dict[str, Shuffle] = {}
    for difficulty in difficulties:
        problem = sample(rng, difficulty)
        while problem.question in problems:
            problem = sample(rng, difficulty)
        problems[problem.question] = problem
    return list(problems.values())
