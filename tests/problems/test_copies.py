"""Copies of a question under other ids and in other typesetting, and solutions in the place of an answer."""

import json
import logging
import random

import pytest

from soar_pipeline.artifacts.files import ArtifactError, read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance, read_provenance
from soar_pipeline.artifacts.schemas import HARD, PROBLEMS, QUESTION_SET
from soar_pipeline.config import (
    Dataset,
    DatasetConfig,
    DatasetGrading,
    Pool,
    PoolConfig,
    PoolQuestions,
    QuestionSet,
    Settings,
)
from soar_pipeline.problems import sources
from soar_pipeline.problems.copies import key
from soar_pipeline.problems.plain import AFTER_HASHES, IN_A_BOX
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.load_problems import COPIES, load_problems
from soar_pipeline.stages.sample_pool_questions import sample_pool_questions
from soar_pipeline.stages.split_hard import split_hard

MADE = Provenance("test", {})


def row(name: str, question: str, **more: object) -> dict:
    return {
        "problem_id": name,
        "dataset": "pool",
        "question": question,
        "answer": "5",
        "subject": None,
        "level": None,
        **more,
    }


@pytest.mark.parametrize(
    ("question", "copy"),
    [
        (r"Find $\dfrac{1}{2}+x$.", r"Find $\frac12 + x$".replace(r"\frac12", r"\frac{1}{2}")),
        (r"Let $\left(a,b\right)$ be \textbf{two} numbers.", "Let $(a, b)$ be two numbers"),
        ("How  many?\n", "How many?"),
        (r"What is \(x\)?", "What is $x$?"),
    ],
)
def test_copies_in_other_typesetting_have_the_same_key(question, copy):
    assert key(question) == key(copy)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("482917aLbR", "482917aRbL"),
        ("What is $2+3$?", "What is $2-3$?"),
        ("Find $x^2$", "Find $x^3$"),
        ("$$", "$~$"),
        ("Is $x<3$?", "Is $x>3$?"),
        ("Find $1.5x$.", "Find $15x$."),
        ("What is $x$? [asy]draw((0,0)--(1,0));[/asy]", "What is $x$? [asy]draw((0,0)--(2,0));[/asy]"),
    ],
)
def test_other_questions_have_other_keys(question, other):
    assert key(question) != key(other)


def test_ids_begin_with_the_pool_and_copies_are_remarked(tmp_path):
    path = tmp_path / "own.jsonl"
    lines = [{"id": "a", "question": "1+1?", "answer": "2"}, {"id": "b", "question": " $1+1$? ", "answer": "2"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = Settings(pool=PoolConfig(adapter="plain", path=str(path)), grading=DatasetGrading())
    call_stage(load_problems, settings, Pool("mine"), source=[], problems=tmp_path / "problems.parquet")
    assert [row["problem_id"] for row in read_rows(tmp_path / "problems.parquet", PROBLEMS)] == ["mine/a", "mine/b"]
    assert read_provenance(tmp_path / "problems.parquet")["report"]["remarks"] == {COPIES: ["b"]}


@pytest.mark.parametrize("seed", range(8))
def test_copies_stay_on_one_side_of_the_split(tmp_path, seed, caplog):
    rows = [row(f"p{i:02d}", f"question {i // 2}" if i < 6 else f"question {i}", attempts_drawn=1) for i in range(20)]
    write_parquet(tmp_path / "hard.parquet", table(rows, HARD), MADE)
    halves = tmp_path / "train.parquet", tmp_path / "test.parquet"
    files = {"hard": tmp_path / "hard.parquet", "train": halves[0], "test": halves[1]}
    call_stage(split_hard, Settings(seed=seed), Dataset("pool"), **files)
    train, test = ([found["question"] for found in read_rows(half, HARD)] for half in halves)
    assert not set(train) & set(test)
    assert len(train) + len(test) == 20 and 9 <= len(train) <= 10
    assert "3 problems are copies of others" in caplog.text


def test_copies_of_one_question_cannot_be_split(tmp_path):
    rows = [row(name, "the same", attempts_drawn=1) for name in "ab"]
    write_parquet(tmp_path / "hard.parquet", table(rows, HARD), MADE)
    with pytest.raises(ArtifactError, match="copies of one question"):
        files = {"hard": tmp_path / "hard.parquet", "train": tmp_path / "a.parquet", "test": tmp_path / "b.parquet"}
        call_stage(split_hard, Settings(seed=0), Dataset("pool"), **files)


def test_hard_problems_in_other_typesetting_are_not_drawn_and_counted(tmp_path, caplog):
    pool = [row("pool/a", r"Find $\dfrac{1}{2}$."), row("pool/b", "Another")]
    hard = [row("harp/1", r"Find \(\frac{1}{2}\).", attempts_drawn=1)]
    write_parquet(tmp_path / "pool.parquet", table(pool, PROBLEMS), MADE)
    write_parquet(tmp_path / "hard.parquet", table(hard, HARD), MADE)
    with caplog.at_level(logging.INFO):
        files = {name: tmp_path / f"{name}.parquet" for name in ("pool", "hard", "questions")}
        settings = Settings(questions=PoolQuestions(source="pool", pool="math"), seed=0)
        call_stage(sample_pool_questions, settings, QuestionSet("harp", "math_train", 0), **files)
    assert [found["question_id"] for found in read_rows(tmp_path / "questions.parquet", QUESTION_SET)] == ["pool/b"]
    assert "1 questions of" in caplog.text


def test_each_draw_of_real_questions_has_its_own(tmp_path):
    rows = [row(f"pool/{i}", f"Question {i}?") for i in range(20)]
    write_parquet(tmp_path / "pool.parquet", table(rows, PROBLEMS), MADE)
    write_parquet(tmp_path / "hard.parquet", table([], HARD), MADE)
    settings = Settings(questions=PoolQuestions(source="pool", pool="math", size=8), seed=0)

    def drawn(draw: int) -> list[str]:
        files = {name: tmp_path / f"{name}.parquet" for name in ("pool", "hard", "questions")}
        call_stage(sample_pool_questions, settings, QuestionSet("harp", "math_train", draw), **files)
        return [found["question_id"] for found in read_rows(files["questions"], QUESTION_SET)]

    once = random.Random(derive(0, "pool questions")).sample([made["problem_id"] for made in rows], 8)
    assert drawn(0) == once
    assert len({tuple(drawn(draw)) for draw in range(4)}) == 4
    assert drawn(2) == drawn(2)


@pytest.mark.parametrize(
    ("field", "answer", "remarks"),
    [
        ("5", "5", {}),
        ("2 + 3 = 5\n#### 5", "5", {AFTER_HASHES: ["a"]}),
        (r"\boxed{5}", "5", {IN_A_BOX: ["a"]}),
        (r"So it is $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}", {IN_A_BOX: ["a"]}),
    ],
)
def test_solution_in_place_of_an_answer_is_read_with_a_remark(tmp_path, field, answer, remarks):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"id": "a", "question": "?", "answer": field}))
    pool = sources.load_problems("pool", DatasetConfig(adapter="plain", path=str(path)))
    assert [problem.answer for problem in pool.problems] == [answer]
    assert pool.remarks == remarks


def test_solution_without_an_answer_is_one_error(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"question": "?", "answer": "so ####"}))
    with pytest.raises(ArtifactError, match="row 1: 'answer' ends without an answer"):
        sources.load_problems("pool", DatasetConfig(adapter="plain", path=str(path)))
