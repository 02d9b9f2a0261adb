"""Problem files: what they give, and one clear error for each way in which they can be wrong."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soar_pipeline.artifacts.files import ArtifactError, read_rows
from soar_pipeline.artifacts.provenance import read_provenance
from soar_pipeline.artifacts.schemas import PROBLEMS
from soar_pipeline.config import ConfigError, DatasetConfig, DatasetGrading, Pool, PoolConfig, Settings
from soar_pipeline.problems import sources
from soar_pipeline.problems.rows import Problem
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.load_problems import COPIES
from soar_pipeline.stages.load_problems import load_problems as load_problems_stage

MATH_ROW = {
    "id": "algebra/1",
    "problem": "What is $1+1$?",
    "level": "Level 1",
    "type": "Algebra",
    "solution": r"Not \boxed{3} but $\boxed{\frac{4}{2}}$.",
}
PLAIN_ROW = {"id": "a", "question": "What is 1+1?", "answer": "2"}


def jsonl(folder: Path, *rows: object, name: str = "pool.jsonl") -> Path:
    """A file with one line per row; text is written as it is."""
    path = folder / name
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load(path: Path, adapter: str = "plain", **options: object) -> list[Problem]:
    return sources.load_problems("pool", DatasetConfig(adapter=adapter, path=str(path), **options)).problems


def run_stage(path: Path, problems: Path, **options: object) -> list[dict]:
    dataset = PoolConfig(adapter="plain", path=str(path), **options)
    settings = Settings(pool=dataset, grading=DatasetGrading())
    call_stage(load_problems_stage, settings, Pool("pool"), source=[path], problems=problems)
    return read_rows(problems, PROBLEMS)


def test_math_answer_is_the_last_box_of_the_solution(tmp_path):
    [problem] = load(jsonl(tmp_path, MATH_ROW), "math")
    solution = MATH_ROW["solution"]
    assert problem == Problem("algebra/1", "What is $1+1$?", r"\frac{4}{2}", "Algebra", "Level 1", solution=solution)


def test_math_answer_field_comes_before_the_solution(tmp_path):
    [problem] = load(jsonl(tmp_path, {**MATH_ROW, "answer": "2"}), "math")
    assert problem.answer == "2"


def test_plain_rows_need_question_and_answer_only(tmp_path):
    problems = load(jsonl(tmp_path, {"question": "1+1?", "answer": 2}, "", {"question": "1+2?", "answer": "3"}))
    assert [(p.question, p.answer) for p in problems] == [("1+1?", "2"), ("1+2?", "3")]
    assert [p.problem_id for p in problems] == ["pool-00001", "pool-00003"]
    assert [(p.subject, p.level) for p in problems] == [(None, None)] * 2


def test_parquet_gives_the_same_problems_as_jsonl(tmp_path):
    rows = [{**PLAIN_ROW, "id": str(i), "level": f"{i}"} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pool.parquet")
    assert load(tmp_path / "pool.parquet") == load(jsonl(tmp_path, *rows))


def test_line_separator_inside_a_string_does_not_end_the_row(tmp_path):
    [problem] = load(jsonl(tmp_path, json.dumps({**PLAIN_ROW, "question": "a\u2028b"}, ensure_ascii=False)))
    assert problem.question == "a\u2028b"


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"levels": ("1",)}, ["0", "2"]),
        ({"levels": ("Level 1",)}, ["0", "2"]),
        ({"levels": ("level 2", "1")}, ["0", "1", "2", "3"]),
        ({"subjects": ("counting_and_probability",)}, ["2", "3"]),
        ({"subjects": ("Counting & Probability",), "levels": ("2",)}, ["3"]),
        ({"levels": ("1",), "limit": 1, "limit_rows": "first"}, ["0"]),
        ({"limit": 3, "limit_rows": "first"}, ["0", "1", "2"]),
        ({"limit": 99}, ["0", "1", "2", "3"]),
    ],
)
def test_filters_by_subject_and_level_then_limits(tmp_path, options, kept):
    subjects = ["Algebra", "Algebra", "Counting & Probability", "Counting & Probability"]
    rows = [
        {**MATH_ROW, "id": str(i), "type": subject, "level": f"Level {i % 2 + 1}"} for i, subject in enumerate(subjects)
    ]
    assert [p.problem_id for p in load(jsonl(tmp_path, *rows), "math", **options)] == kept


def test_a_limit_samples_rows_by_the_pools_seed_and_keeps_their_order(tmp_path):
    path = jsonl(tmp_path, *({**PLAIN_ROW, "id": f"{i:02d}"} for i in range(40)))
    kept = [[p.problem_id for p in load(path, limit=8, world_seed=seed)] for seed in (0, 0, 1)]
    assert kept[0] == kept[1] == sorted(kept[0])
    assert len({*kept[0]}) == 8
    assert kept[0] != kept[2]
    # Not those of the first subject alone.
    assert max(kept[0]) >= "20"


@pytest.mark.parametrize(
    ("adapter", "bad_row", "message"),
    [
        ("plain", '{"question": "1+1?", ', "is not JSON"),
        ("plain", "[" * 100_000, "is not JSON"),
        ("plain", '["1+1?", "2"]', "is list, not a JSON object"),
        ("plain", {"answer": "2"}, "'question' is missing; it has"),
        ("plain", {"question": "1+1?"}, "'answer' is missing"),
        ("plain", {"question": "1+1?", "answer": None}, "'answer' is null; fill it or drop the row"),
        ("plain", {"question": "  ", "answer": "2"}, "'question' is empty"),
        ("plain", {"question": "1+1?", "answer": ""}, "'answer' is empty"),
        ("plain", {"question": "1+1?", "answer": ["2"]}, "'answer' is list, expected text"),
        ("plain", {"question": "1+1?", "answer": True}, "'answer' is bool, expected text"),
        ("plain", {"question": "\ud800", "answer": "2"}, "surrogate"),
        ("plain", PLAIN_ROW, "its id 'a' is that of row 1 too"),
        ("math", {**MATH_ROW, "id": 2, "solution": "It is 2."}, r"has no \\boxed\{\} answer in \"solution\"; drop the"),
        ("math", {"id": 2, "problem": "1+1?"}, "'solution' is missing"),
        ("math", {**MATH_ROW, "id": 2, "answer": ""}, "'answer' is empty"),
        ("math", {**MATH_ROW, "id": 2, "problem": ""}, "'problem' is empty"),
    ],
)
def test_bad_row_is_one_error_that_names_file_and_row(tmp_path, adapter, bad_row, message):
    path = jsonl(tmp_path, PLAIN_ROW if adapter == "plain" else MATH_ROW, bad_row)
    with pytest.raises(ArtifactError, match=message) as caught:
        load(path, adapter)
    assert str(caught.value).startswith(f"{path}: row 2: ")
    assert "\n" not in str(caught.value)


def test_id_of_a_row_without_one_does_not_hide_a_duplicate(tmp_path):
    with pytest.raises(ArtifactError, match="'pool-00001' is that of row 1 too"):
        load(jsonl(tmp_path, {"question": "1+1?", "answer": "2"}, {**PLAIN_ROW, "id": "pool-00001"}))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pool.jsonl", b"", "holds no problem"),
        ("pool.jsonl", b"\n \n", "holds no problem"),
        ("pool.jsonl", b'{"question": "\xff"}', "is not UTF-8 text"),
        ("pool.parquet", b"PAR1 not really", "is not readable Parquet"),
        ("pool.csv", b"question,answer", "must end in .jsonl"),
    ],
)
def test_unusable_file_is_one_error_that_names_it(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_missing_file_is_one_error_that_names_it(tmp_path):
    with pytest.raises(ArtifactError, match=r"nowhere\.jsonl: cannot be read \(No such file"):
        load(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": ("Algebar",)}, r"datasets\.pool\.subjects: Algebar: .* has Algebra, Geometry"),
        ({"levels": ("6",)}, r"datasets\.pool\.levels: 6: .* has Level 1, Level 2"),
        ({"levels": ()}, r"datasets\.pool\.levels: empty"),
    ],
)
def test_filter_value_that_no_row_has_is_a_configuration_error(tmp_path, options, message):
    rows = [MATH_ROW, {**MATH_ROW, "id": "2", "type": "Geometry", "level": "Level 2"}]
    with pytest.raises(ConfigError, match=message):
        load(jsonl(tmp_path, *rows), "math", **options)


def test_filters_that_together_leave_no_row_are_one_error(tmp_path):
    rows = [MATH_ROW, {**MATH_ROW, "id": "2", "type": "Geometry", "level": "Level 2"}]
    with pytest.raises(ArtifactError, match="no problem is of"):
        load(jsonl(tmp_path, *rows), "math", subjects=("Geometry",), levels=("1",))


def test_stage_skips_and_counts_answers_that_cannot_be_graded(tmp_path, caplog):
    rows = [
        PLAIN_ROW,
        {**PLAIN_ROW, "id": "b", "answer": "\\text{}"},
        {**PLAIN_ROW, "id": "c", "answer": r"\frac{1}{2}"},
    ]
    problems = tmp_path / "problems.parquet"
    kept = run_stage(jsonl(tmp_path, *rows), problems)
    assert [row["problem_id"] for row in kept] == ["pool/a", "pool/c"]
    assert "left out 1 rows, since no attempt could meet the answer: b" in caplog.text
    assert read_provenance(problems)["report"]["left_out"] == {"no attempt could meet the answer": ["b"]}
    assert list(read_provenance(problems)["inputs"]) == [(tmp_path / "pool.jsonl").as_posix()]


def test_stage_refuses_a_pool_without_any_gradable_answer(tmp_path):
    with pytest.raises(ArtifactError, match="no answer of a problem could be met"):
        run_stage(jsonl(tmp_path, {**PLAIN_ROW, "answer": "\\text{}"}), tmp_path / "problems.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


def test_all_published_math_test_rows_load(benchmark_data):
    problems = load(benchmark_data / "math_test.jsonl", "math")
    assert len({problem.problem_id for problem in problems}) == 5000
    assert len({problem.subject for problem in problems}) == 7


def test_easy_published_benchmark_data_are_found_by_subject_and_level(benchmark_data):
    options = {"subjects": ("prealgebra", "algebra"), "levels": ("1", "2"), "limit": 24}
    problems = load(benchmark_data / "math_test.jsonl", "math", **options)
    assert len(problems) == 24
    assert {problem.level for problem in problems} == {"Level 1", "Level 2"}


def test_all_published_math_train_rows_load_or_are_named(benchmark_data):
    dataset = DatasetConfig(adapter="math", path=str(benchmark_data / "math_train.jsonl"), rows=7500)
    pool = sources.load_problems("math", dataset)
    assert pool.left_out == {'the last \\boxed{} in "solution" is empty': ["number_theory/7115", "number_theory/7117"]}
    assert len(pool.problems) == 7498
    assert sum(problem.level == "Level ?" for problem in pool.problems) == 2


def test_every_published_gold_of_math_test_verifies_itself(benchmark_data, tmp_path):
    dataset = PoolConfig(adapter="math", path=str(benchmark_data / "math_test.jsonl"), rows=5000)
    problems = tmp_path / "problems.parquet"
    # Time is not what is tested, and the machine may be busy.
    grading = DatasetGrading(workers=2, timeout_seconds=60)
    settings = Settings(pool=dataset, grading=grading)
    call_stage(load_problems_stage, settings, Pool("math"), source=[Path(dataset.path)], problems=problems)
    assert len(read_rows(problems, PROBLEMS)) == 5000
    # One question stands there under two ids.
    assert read_provenance(problems)["report"] == {"left_out": {}, "remarks": {COPIES: ["intermediate_algebra/1449"]}}
