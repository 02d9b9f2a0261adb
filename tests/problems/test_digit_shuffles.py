"""The toy task: its arithmetic against an independent reference, its parser, its pool."""

import random
from collections import Counter
from dataclasses import asdict

import pandas as pd
import pytest

from soar_pipeline.config import ConfigError, DatasetConfig
from soar_pipeline.problems.digit_shuffles import Shuffle, parse, question_class, sample, sample_distinct
from soar_pipeline.problems.sources import load_problems
from soar_pipeline.reporting.question_profile import composition

# The operations as slices of the number; the world itself has them as permutations.
REFERENCE = {
    "L": lambda n: n[1:] + n[0],
    "R": lambda n: n[-1] + n[:-1],
    "S": lambda n: n[1] + n[0] + n[2:],
    "T": lambda n: n[:4] + n[5] + n[4],
    "V": lambda n: n[::-1],
    "H": lambda n: n[3:] + n[:3],
}


def pool(size: int, difficulties: tuple[int, ...] = (1, 7, 12), world_seed: int = 0, **filters: object) -> list[dict]:
    dataset = DatasetConfig(
        adapter="digit_shuffles", size=size, difficulties=difficulties, world_seed=world_seed, **filters
    )
    return [asdict(problem) for problem in load_problems("shuffles", dataset).problems]


def reference_answer(question: str) -> str:
    number = question[:6]
    for operation in question[7::2]:
        number = REFERENCE[operation](number)
    return number


def test_question_shows_start_and_labelled_operations():
    problem = Shuffle("482917", "LR")
    assert problem.question == "482917aLbR"
    assert problem.numbers == ["829174", "482917"]
    assert problem.working == "a829174b482917"
    assert problem.answer == "482917"


@pytest.mark.parametrize("difficulty", range(1, 13))
def test_answer_agrees_with_independent_reference(difficulty):
    rng = random.Random(difficulty)
    for _ in range(50):
        problem = sample(rng, difficulty)
        assert problem.difficulty == difficulty
        assert problem.answer == reference_answer(problem.question)


def test_every_answer_is_an_integer_without_leading_zero():
    answers = [problem["answer"] for problem in pool(300)]
    assert all(answer == str(int(answer)) and len(set(answer)) == 6 for answer in answers)


def test_parse_gives_back_the_problem():
    rng = random.Random(3)
    for difficulty in range(1, 13):
        problem = sample(rng, difficulty)
        assert parse(f" {problem.question}\n") == problem


@pytest.mark.parametrize(
    "question",
    [
        "",
        "482917",  # no operation
        "48291aL",  # five digits
        "4829177aL",  # seven digits
        "482914aL",  # a digit twice
        "482017aL",  # a zero
        "482917bL",  # labels do not begin at a
        "482917aLcR",  # a label is missing
        "482917aX",  # unknown operation
        "482917aL and then",
        "482917aLbRcLdReLfRgLhRiLjRkLlRmL",  # thirteen operations
    ],
)
def test_parse_refuses_what_is_not_a_problem(question):
    assert parse(question) is None


def test_an_unsaid_step_leaves_a_problem_without_an_answer():
    problem = Shuffle("482917", "LRV").with_unsaid_step(random.Random(0))
    assert problem.ambiguous
    assert problem.difficulty == 3
    assert parse(problem.question) == problem
    assert {Shuffle("482917", "LRV").with_unsaid_step(random.Random(i)).operations for i in range(30)} == {
        "?RV", "L?V", "LR?",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"leaves a step unsaid"):
        _ = problem.answer


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("482917aLbR", "482917", "trivial"),
        ("482917aLbRcL", "829174", "useful"),
        ("482917aLbRcLdReL", "829174", "useful"),
        ("482917aLbRcLdReLfR", "482917", "hard"),
        ("482917aLbRcL", "482917", "wrong"),
        # The stated answer is that of a reading.
        ("482917aLb?", "829174", "ambiguous"),
        ("482917", "482917", "malformed"),
    ],
)
def test_every_question_is_of_one_class(question, answer, expected):
    problem = parse(question)
    right = problem is not None and not problem.ambiguous and answer == reference_answer(question)
    assert question_class(problem, right) == expected
    [found] = composition(pd.DataFrame({"question": [question], "answer": [answer]}))
    assert found == expected


@pytest.mark.parametrize("difficulty", [0, 13, -1])
def test_sample_refuses_difficulty_outside_the_world(difficulty):
    with pytest.raises(ValueError, match="between 1 and 12"):
        sample(random.Random(0), difficulty)


def test_sampled_problems_are_distinct_and_in_order_of_difficulties():
    difficulties = [1, 2, 3] * 100
    problems = sample_distinct(random.Random(0), difficulties)
    assert [problem.difficulty for problem in problems] == difficulties
    assert len({problem.question for problem in problems}) == 300


def test_pool_cycles_over_difficulties_with_stable_ids():
    problems = pool(31)
    assert Counter(problem["level"] for problem in problems) == {"d1": 11, "d7": 10, "d12": 10}
    assert problems[17]["problem_id"] == "shuffle-00017"
    assert {problem["subject"] for problem in problems} == {"digit shuffles"}


def test_larger_pool_begins_with_the_smaller_one():
    assert pool(40)[:25] == pool(25)


def test_pool_depends_on_the_world_seed():
    assert {p["question"] for p in pool(50)}.isdisjoint({p["question"] for p in pool(50, world_seed=1)})


def test_pool_can_be_filtered_like_any_other():
    assert {problem["level"] for problem in pool(30, levels=("d7",), limit=4)} == {"d7"}
    assert len(pool(30, levels=("d7",), limit=4)) == 4


def test_difficulty_outside_the_world_is_a_configuration_error():
    with pytest.raises(ConfigError, match="difficulty 13 is not between 1 and 12"):
        pool(3, difficulties=(13,))
