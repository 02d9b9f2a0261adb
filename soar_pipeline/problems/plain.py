"""Problems of one's own: `question` and `answer`, and optionally `id`, `subject` and `level`."""

from soar_pipeline.problems.answers import gold
from soar_pipeline.problems.rows import Problem, Row


def plain_problem(row: Row) -> Problem:
    """ArtifactError where the row is malformed."""
    return Problem(
        problem_id=row.problem_id,
        question=row.text("question"),
        answer=gold(row.text("answer")),
        subject=row.optional_text("subject") or None,
        level=row.optional_text("level") or None,
    )
