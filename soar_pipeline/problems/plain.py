"""Problems of one's own: `question` and `answer`, and optionally `id`, `subject` and `level`."""

from pathlib import Path

from soar_pipeline.config import DatasetConfig
from soar_pipeline.problems.rows import Problem, Row, problems_in


def plain_problems(dataset: DatasetConfig) -> list[Problem]:
    """Every problem of the file at `dataset.path`; ArtifactError names a row that is malformed."""
    return problems_in(Path(dataset.path), _problem)


def _problem(row: Row) -> Problem:
    return {
        "problem_id": row.problem_id,
        "question": row.text("question"),
        "answer": row.text("answer"),
        "subject": row.optional_text("subject") or None,
        "level": row.optional_text("level") or None,
    }
