"""A question with a known answer: what a student trains on, and what it is evaluated on."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import HARD, QUESTION_SET


@dataclass(frozen=True)
class Question:
    """A problem of a pool, or a question that a teacher wrote; its id is unique in a run."""

    question_id: str
    question: str
    answer: str


def read_problems(path: Path, schema: pa.Schema = HARD) -> list[Question]:
    """The problems of a file, in its order."""
    return [Question(row["problem_id"], row["question"], row["answer"]) for row in read_rows(path, schema)]


def read_solutions(path: Path) -> dict[str, str]:
    """The worked solutions of a HARD file, by the ids of the problems that have one."""
    return {row["problem_id"]: row["solution"] for row in read_rows(path, HARD) if row["solution"]}


def read_questions(path: Path) -> list[Question]:
    """The questions of a question set, in its order."""
    return [Question(row["question_id"], row["question"], row["answer"]) for row in read_rows(path, QUESTION_SET)]
