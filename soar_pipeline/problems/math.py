r"""The MATH benchmark as published: `problem`, `level`, `type` (subject), `solution`, and here an `id` if it has one.

The answer is the field `answer` where there is one, else the content of the last `\boxed{}` of `solution`.
"""

from pathlib import Path

from soar_pipeline.config import DatasetConfig
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.problems.rows import Problem, Row, problems_in


def math_problems(dataset: DatasetConfig) -> list[Problem]:
    """Every problem of the file at `dataset.path`; ArtifactError names a row that is malformed or has no answer."""
    return problems_in(Path(dataset.path), _problem)


def _problem(row: Row) -> Problem:
    return {
        "problem_id": row.problem_id,
        "question": row.text("problem"),
        "answer": row.text("answer") if "answer" in row.values else _boxed_answer(row),
        "subject": row.optional_text("type") or None,
        "level": row.optional_text("level") or None,
    }


def _boxed_answer(row: Row) -> str:
    answer = last_boxed(row.text("solution"))
    if answer is None:
        raise row.error('has no \\boxed{} answer in "solution"; drop the row or give "answer"')
    if not answer.strip():
        raise row.error('the last \\boxed{} in "solution" is empty; drop the row or give "answer"')
    return answer.strip()
