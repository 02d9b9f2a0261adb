"""Question sets that no teacher wrote for the arm: real questions from a pool, and those that a judge let pass."""

from pathlib import Path

import pytest

from soar_pipeline.artifacts.files import ArtifactError, read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import HARD, PROBLEMS, QUESTION_SET
from soar_pipeline.config import PoolQuestions, QuestionSet, Settings
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.sample_pool_questions import sample_pool_questions


def problem(number: int, **changes: object) -> dict:
    return {"problem_id": f"p{number}", "dataset": "pool", "question": f"What is {number} + 1?"} | {
        "answer": str(number + 1),
        **changes,
    }


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "problems.parquet"
    write_parquet(path, table([problem(i) for i in range(20)], PROBLEMS), Provenance("made", {}))
    return path


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    """Problem 3 of the pool, its copy broken over two lines, and one that the pool has not."""
    rows = [problem(3, question="What is\n3 +  1?", problem_id="other-name"), problem(99)]
    path = tmp_path / "hard.parquet"
    write_parquet(path, table([{**row, "attempts_drawn": 8} for row in rows], HARD), Provenance("made", {}))
    return path


def drawn(pool: Path, hard: Path, size: int | None, seed: int = 0) -> list[dict]:
    target = pool.parent / "questions.parquet"
    settings = Settings(seed=seed, questions=PoolQuestions(source="pool", pool="pool", size=size))
    run = QuestionSet("shuffles", "real", 0)
    call_stage(sample_pool_questions, settings, run, pool=pool, hard=hard, questions=target)
    return read_rows(target, QUESTION_SET)


def test_the_whole_pool_is_drawn_but_for_the_hard_problems(pool: Path, hard: Path):
    assert sorted(row["question_id"] for row in drawn(pool, hard, None)) == sorted(f"p{i}" for i in range(20) if i != 3)


def test_questions_keep_their_answers(pool: Path, hard: Path):
    assert all(row["answer"] == str(int(row["question_id"][1:]) + 1) for row in drawn(pool, hard, 10))


def test_a_seed_gives_a_sample_of_its_own(pool: Path, hard: Path):
    first, again, other = ([row["question_id"] for row in drawn(pool, hard, 8, seed)] for seed in (0, 0, 1))
    assert first == again
    assert len(set(first)) == 8
    assert first != other


def test_a_pool_that_is_too_small_is_refused_with_both_numbers(pool: Path, hard: Path):
    with pytest.raises(ArtifactError, match="20 questions are wanted and it has 19"):
        drawn(pool, hard, 20)
