"""The examples of docs/library.md run, and print what their text says."""

import re

import pytest
from doc_examples import output, python_blocks

import soar_pipeline


@pytest.fixture(scope="module")
def examples(project) -> list[str]:
    return python_blocks(project / "docs" / "library.md")


def test_every_public_name_is_named(project):
    page = (project / "docs" / "library.md").read_text(encoding="utf-8")
    assert [name for name in soar_pipeline.__all__ if f"`{name}`" not in page] == []


def test_pass_at_k_of_own_counts(examples, tmp_path):
    assert output(examples[0], tmp_path) == "[0.    0.25  0.999]\n"


def test_vendi_score_of_texts(examples, tmp_path):
    [score] = re.fullmatch(r"(\d\.\d\d) different questions of 3\n", output(examples[1], tmp_path)).groups()
    assert 1 < float(score) < 3


def test_grades_of_completions(examples, tmp_path):
    assert output(examples[2], tmp_path) == "right 0.5\nwrong 2\nno_box None\n"


def test_steps_of_several_soar_runs_are_one_frame(examples, results):
    rows = re.findall(
        r"^(\w+ +\w+ +|\s+)(\d+) +(-?\d\.\d+) +(-?\d\.\d+)$", output(examples[3], results), flags=re.MULTILINE
    )
    assert [seed for _, seed, *_ in rows] == ["1", "2"]


def test_a_plan_lists_runs_and_jobs(examples, project):
    printed = output(examples[4], project)
    assert "SoarRun(dataset='shuffles', objective='grounded', teacher_seed=1)" in printed
    assert "('train_fresh_student', 22)" in printed


def test_one_trainer_trains_a_student_after_another(examples, project):
    trainings = re.findall(r"^(\d) \[(.+)\]$", output(examples[5], project), flags=re.MULTILINE)
    assert [seed for seed, _ in trainings] == ["1", "2"]
    rewards = [[float(reward) for reward in rewards.split(", ")] for _, rewards in trainings]
    assert [len(steps) for steps in rewards] == [4, 4]
    assert all(0 <= reward <= 120 for steps in rewards for reward in steps)
    assert rewards[0] != rewards[1]
