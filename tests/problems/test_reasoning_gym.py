"""Tasks of Reasoning Gym as data sets: generated, loaded by the stage, graded by their own scorers."""

import pytest

pytest.importorskip("reasoning_gym", reason="package reasoning-gym is not installed (extra `reasoning-gym`)")

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import PROBLEMS
from soar_pipeline.config import ConfigError, DatasetGrading, Pool, PoolConfig, Settings, StudentConfig
from soar_pipeline.grading.entries import EntryReference, digest_of, entry_reference, gold_of, stated_answer
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.reward import student_reward
from soar_pipeline.problems import gym_tasks
from soar_pipeline.problems.sources import load_problems
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.load_problems import load_problems as load_problems_stage

QUEENS = {"task": "n_queens", "task_config": {"n": 5, "min_remove": 5, "max_remove": 5}, "size": 2, "world_seed": 3}


def pool_of(**keys) -> PoolConfig:
    return PoolConfig(adapter="reasoning_gym", **QUEENS | keys)


def boxed(answer: str) -> str:
    return rf"\boxed{{{answer}}}"


@pytest.fixture(scope="module")
def problems(tmp_path_factory) -> list[dict]:
    """What the stage makes of two boards without queens, and with it the answers that a scorer takes."""
    made = tmp_path_factory.mktemp("gym") / "problems.parquet"
    settings = Settings(pool=pool_of(), grading=DatasetGrading(verifier=pool_of().decided_by))
    call_stage(load_problems_stage, settings, Pool("queens"), source=[], problems=made)
    return read_rows(made, PROBLEMS)


def test_the_stage_loads_the_entries_of_the_task(problems):
    data = gym_tasks.task_data("n_queens", QUEENS["task_config"], seed=3, size=2)
    assert [row["problem_id"] for row in problems] == ["queens/n_queens-00000", "queens/n_queens-00001"]
    for index, row in enumerate(problems):
        assert (row["question"], stated_answer(row["answer"])) == (data[index]["question"], data[index]["answer"])
        assert entry_reference(row["answer"]) == EntryReference(3, 2, index, digest_of(row["question"]))


def test_the_scorer_decides_and_takes_answers_that_the_gold_does_not_state(problems):
    gold = problems[0]["answer"]
    board = stated_answer(gold)
    mirrored = "\n".join(" ".join(reversed(row.split())) for row in board.splitlines())
    assert mirrored != board
    made_up = gold.rpartition(" ")[0] + " 0123456789abcdef"
    with Grader(verifier=pool_of().decided_by) as grader:
        answers = [board, mirrored, f"so: {board}", "none"]
        grades = grader.grade([(gold, boxed(answer)) for answer in answers])
        assert [grade.verdict for grade in grades] == ["right", "right", "wrong", "wrong"]
        rewards = [student_reward(gold, grade, StudentConfig()) for grade in grades]
        assert rewards == [120, 120, 20, 10]
        # A teacher's answer names no entry, or makes its name up.
        assert grader.verify([("4 queens.", "4 queens"), ("4", "5"), (made_up, board)]) == [True, False, False]
        assert grader.parses(["4 queens", "", gold]) == [True, False, True]
        assert grader.can_be_met([gold, made_up]) == [True, False]


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("countdown", "__import__('pathlib').Path('ran').touch()"),
        ("puzzle24", "().__class__"),
        ("polynomial_multiplication", "exec('import pathlib; pathlib.Path(\"ran\").touch()')"),
        ("simple_integration", "print(1)"),
        ("binary_matrix", "__import__('pathlib').Path('ran').touch()"),
        ("n_queens", "[__import__('pathlib').Path('ran').touch()]"),
        ("spiral_matrix", "[__import__('pathlib').Path('ran').touch()]"),
        ("string_insertion", "[__import__('pathlib').Path('ran').touch()]"),
    ],
)
def test_no_scorer_runs_what_a_model_wrote(task, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = gym_tasks.task_data(task, {}, seed=1, size=1)
    entry = data[0]
    assert not gym_tasks.is_right(data, task, answer, entry)
    assert gym_tasks.is_right(data, task, entry["answer"], entry)
    assert list(tmp_path.iterdir()) == []


def test_a_scorer_that_stumbles_over_an_answer_says_wrong():
    data = gym_tasks.task_data("prime_factorization", {}, seed=1, size=1)
    with pytest.raises(ValueError, match="invalid literal"):
        data.score_answer("none", data[0])
    assert not gym_tasks.is_right(data, "prime_factorization", "none", data[0])


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"task": "no_such_task"}, r"^datasets\.gym\.task: Reasoning Gym has no task 'no_such_task'; it has ab, "),
        ({"task_config": {"queens": 5}}, r"^datasets\.gym\.task_config: .* refuses it for n_queens: .*'queens'"),
        ({"task_config": {"n": 2}}, r"^datasets\.gym\.task_config: Reasoning Gym refuses it for n_queens"),
    ],
)
def test_a_task_that_cannot_be_made_is_an_error_that_names_the_key(keys, problem):
    with pytest.raises(ConfigError, match=problem):
        load_problems("gym", pool_of(**keys))


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"task": None}, "needs `task` and `size`"),
        ({"size": 0}, "needs `task` and `size`"),
        ({"path": "a.jsonl"}, "reads nothing"),
        ({"verifier": "exact"}, "brings its own verifier"),
        ({"adapter": "plain", "path": "a.jsonl"}, "`task` and `task_config` belong to adapter reasoning_gym"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys, problem):
    with pytest.raises(ValueError, match=problem):
        PoolConfig(**{"adapter": "reasoning_gym"} | QUEENS | keys)


def test_a_gold_without_a_stated_answer_is_the_name_of_its_entry_alone():
    entry = EntryReference(1, 5, 4, "00ff00ff00ff00ff")
    assert gold_of(None, entry) == "% reasoning_gym 1/5/4 00ff00ff00ff00ff"
    assert (stated_answer(gold_of(None, entry)), entry_reference(gold_of(None, entry))) == ("", entry)
    assert stated_answer("50% of 3") == "50% of 3"
    assert entry_reference("50% of 3") is None
