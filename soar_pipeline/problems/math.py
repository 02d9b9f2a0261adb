r"""The MATH benchmark as published: `problem`, `level`, `type` (subject), `solution`, and an `id` if there is one.

The answer is the field `answer` if there is one, else the content of the last `\boxed{}` of `solution`.
"""

from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.problems.answers import gold
from soar_pipeline.problems.rows import LeftOut, Problem, Row


def math_problem(row: Row) -> Problem:
    """ArtifactError if the row is malformed or has no answer; LeftOut if the box of its solution is empty."""
    return Problem(
        problem_id=row.problem_id,
        question=row.text("problem"),
        answer=gold(row.text("answer") if "answer" in row.values else _boxed_answer(row)),
        subject=row.optional_text("type") or None,
        level=row.optional_text("level") or None,
        solution=row.usable_text("solution"),
    )


def _boxed_answer(row: Row) -> str:
    answer = last_boxed(row.text("solution"))
    if answer is None:
        raise row.error('has no \\boxed{} answer in "solution"; drop the row or give "answer"')
    if not answer:
        # number_theory/7115 and 7117 of the train split.
        raise LeftOut('the last \\boxed{} in "solution" is empty')
    return answer
