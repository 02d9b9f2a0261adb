import pytest

from soar_pipeline.config import StudentConfig
from soar_pipeline.grading.grader import Grade, Grader
from soar_pipeline.grading.reward import student_reward


@pytest.mark.parametrize(
    ("verdict", "answer", "extracted", "reward"),
    [
        ("right", "5", "5", 120),
        ("right", r"\frac{1}{2}", "0.5", 120),
        ("wrong", "5", "15", 20),
        ("wrong", "5", "x = 5 or 6", 20),
        ("wrong", " 5 ", "15", 20),
        ("wrong", "5", "6", 10),
        ("wrong", "15", "5", 10),
        ("wrong", "5", "", 10),
        ("wrong", "", "6", 10),
        ("wrong", " ", "6 7", 10),
        ("no_box", "5", None, 0),
        ("no_box", "", None, 0),
        ("timeout", "5", "9^{9^{9^9}}", None),
        ("timeout", "9", "9^{9^{9^9}}", None),
    ],
)
def test_reward_of_a_verdict(verdict, answer, extracted, reward):
    assert student_reward(answer, Grade(verdict, extracted), StudentConfig()) == reward


def test_figures_come_from_the_config():
    config = StudentConfig(reward_right=1.0, reward_contains=0.5, reward_boxed=0.25)
    grades = [Grade("right", "5"), Grade("wrong", "15"), Grade("wrong", "6"), Grade("no_box", None)]
    assert [student_reward("5", grade, config) for grade in grades] == [1.0, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (r"The final answer is: \boxed{5}", 120),
        (r"The final answer is: \boxed{15}", 20),
        (r"The final answer is: \boxed{6}", 10),
        # The answer's text counts in the box, not in the working.
        (r"5 - 4 = 1. The final answer is: \boxed{1}", 10),
        (r"\boxed{5} or rather \boxed{6}", 10),
        ("The final answer is: 5", 0),
        ("", 0),
    ],
)
def test_reward_of_a_completion(completion, reward):
    with Grader() as grader:
        [grade] = grader.grade([("5", completion)])
    assert student_reward("5", grade, StudentConfig()) == reward
