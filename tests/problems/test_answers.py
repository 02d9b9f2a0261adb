"""How published answers become golds, and what the real grader then takes for them."""

import pytest

from soar_pipeline.grading.grader import Grader
from soar_pipeline.problems.answers import gold, joined


@pytest.fixture(scope="module")
def grader():
    # Time is not what is tested, and the machine may be busy.
    with Grader(timeout_seconds=60) as grader:
        yield grader


@pytest.mark.parametrize(
    ("published", "compared"),
    [
        ("12", "12"),
        (r"$\frac{1}{2}$", r"\frac{1}{2}"),
        ("$$x$$", "x"),
        ("$5$.", "5"),
        ("$5", "5"),
        (r"\$5", r"\$5"),
        (r"$\$5$", r"\$5"),
        ("$13$ meters", r"13\text{ meters}"),
        ("$12$ and $20$", "12, 20"),
        ("$1$, or $2$", "1, 2"),
        ("$1$, $2$", "1, 2"),
        ("x = 3", "x = 3"),
        (r"\frac{12}{5,\!525}", r"\frac{12}{5525}"),
        (r"29,\!322,\!216", "29322216"),
        ("1{,}000", "1000"),
        ("(1,234)", "(1,234)"),
        (r"30^\circ.", r"30^\circ"),
        ("1, 2, ...", "1, 2, ..."),
        (r"5\,", "5"),
        ("  ", ""),
        ("$$", ""),
    ],
)
def test_gold(published, compared):
    assert gold(published) == compared


@pytest.mark.parametrize(
    ("published", "compared"),
    [
        (["$1$", "$2$"], "1, 2"),
        (["$100,200$"], "100, 200"),
        (["$100,200$", "", "$300$"], "100, 200, 300"),
        (["$(1,8), (2,7)$"], "(1, 8), (2, 7)"),
        ([r"$a\,b$", "$c$"], r"a\,b, c"),
        (["$", ""], ""),
    ],
)
def test_several_answers_are_one_list(published, compared):
    assert joined(published) == compared


@pytest.mark.parametrize(
    ("published", "answer", "verdict"),
    [
        (["$1$", "$2$"], "2,1", "right"),
        (["$1$", "$2$"], r"\{2, 1\}", "right"),
        (["$1$", "$2$"], r"1 \text{ or } 2", "right"),
        (["$1$", "$2$"], "x=1, x=2", "right"),
        (["$1$", "$-1$"], r"\pm 1", "right"),
        (["$1$", "$2$"], "1", "wrong"),
        (["$1$", "$2$"], "1,2,3", "wrong"),
        (["$0.5$", r"$\frac{1}{3}$"], r"\frac13, \frac12", "right"),
        (["$100,200$"], "200, 100", "right"),
        (["$(1,8,19), (2,7,13)$"], "(2,7,13),(1,8,19)", "right"),
        (["$(1,8), (2,7)$"], "(8,1), (2,7)", "wrong"),
        (["$f(n)=n, f(n)=2-n$"], "f(n)=2-n, f(n)=n", "right"),
        (["$[0,1], [2,3]$"], "[2,3], [0,1]", "right"),
        # Known limits of Math-Verify (docs/data.md).
        (["$1$", "$2$"], "1,2,2", "right"),
        (["$100,200$"], "200,100", "wrong"),
        ([r"$(-\infty,1]$", r"$[2,\infty)$"], r"(-\infty,1]\cup[2,\infty)", "wrong"),
    ],
)
def test_several_answers_are_compared_without_regard_to_order(grader, published, answer, verdict):
    [grade] = grader.grade([(joined(published), rf"\boxed{{{answer}}}")])
    assert grade.verdict == verdict


@pytest.mark.parametrize(
    ("published", "answer", "verdict"),
    [
        # Units, degrees and percent signs count for nothing, on either side.
        ("$5$", r"5 \text{ cm}", "right"),
        ("$5$ cm", "5", "right"),
        ("$30$", r"30^{\circ}", "right"),
        (r"$30^\circ$", "30", "right"),
        ("$50$", r"50\%", "right"),
        # Decimals are compared rounded to six places, whatever tolerance is published.
        ("$0.333333$", r"\frac{1}{3}", "right"),
        ("$0.33$", r"\frac{1}{3}", "wrong"),
        ("$3.14$", "3.1416", "wrong"),
        (r"\frac{12}{5,\!525}", r"\frac{12}{5525}", "right"),
        (r"\frac{12}{5,\!525}", r"\frac{4}{1841}", "wrong"),
    ],
)
def test_units_degrees_and_tolerance(grader, published, answer, verdict):
    [grade] = grader.grade([(gold(published), rf"\boxed{{{answer}}}")])
    assert grade.verdict == verdict
