"""HARP as published (arXiv 2412.08819): `problem`, `answer`, `year`, `contest`, `number`, `level`, `subject`.

The file of short answers, `HARP.jsonl.zip`. Of its solutions, `solution_1` and further ones, the first is read.
"""

from soar_pipeline.problems.answers import gold
from soar_pipeline.problems.rows import LeftOut, Problem, Row

# Together they identify a problem.
ID_FIELDS = ("year", "contest", "number")


def harp_problem(row: Row) -> Problem:
    """ArtifactError if the row is malformed; LeftOut if it has no answer, as proofs have none."""
    answer = row.optional_text("answer")
    if not answer:
        raise LeftOut("'answer' is empty")
    return Problem(
        problem_id=row.problem_id,
        question=row.text("problem"),
        answer=gold(answer),
        subject=row.optional_text("subject") or None,
        level=row.optional_text("level") or None,
        solution=row.usable_text("solution_1"),
    )
