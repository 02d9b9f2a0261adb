"""Hard problems of the toy task, written as the filter leaves them."""

import random
from pathlib import Path

from soar_pipeline.artifacts.files import table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import HARD
from soar_pipeline.problems import digit_shuffles


def write_hard_problems(path: Path, difficulties: list[int]) -> Path:
    """One problem of each difficulty, with its worked solution."""
    problems = digit_shuffles.sample_distinct(random.Random(0), difficulties)
    rows = [
        {
            "problem_id": f"p{i}",
            "dataset": "shuffles",
            "question": one.question,
            "answer": one.answer,
            "solution": one.working,
        }
        for i, one in enumerate(problems)
    ]
    write_parquet(path, table([{**row, "attempts_drawn": 2} for row in rows], HARD), Provenance("test", {}))
    return path
