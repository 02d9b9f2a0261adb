"""Verdicts of the kinds that graders get wrong, and properties of the one spelling that answers are compared in."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soar_pipeline.grading import comparison
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.normalisation import normalised, tidy
from soar_pipeline.grading.voting import votes

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
FAMILIES = sorted({case["family"] for case in CASES})
SOME = settings(max_examples=min(60, settings().max_examples), deadline=None)


@pytest.mark.parametrize("family", FAMILIES)
def test_verdicts_of_a_family(family):
    wrong = [
        case
        for case in CASES
        if case["family"] == family and comparison.verifies(case["gold"], case["box"]) != case["right"]
    ]
    assert wrong == []


def test_grader_gives_the_same_verdicts_with_its_workers():
    some = CASES[::10]
    with Grader(timeout_seconds=60) as grader:
        grades = grader.grade([(case["gold"], rf"\boxed{{{case['box']}}}") for case in some])
    assert [grade.verdict == "right" for grade in grades] == [case["right"] for case in some]


@pytest.mark.parametrize("text", sorted({case[side] for case in CASES for side in ("gold", "box")}))
def test_spelling_is_stable_and_keeps_the_value(text):
    spelt = normalised(text)
    assert normalised(spelt) == spelt
    assert comparison.verifies(spelt, text) and comparison.verifies(text, spelt)


INTEGERS = st.integers(2, 10**9)
SMALL = st.integers(2, 40)
# Texts in which another digit is another value; {0}, {1} … are replaced by numbers.
FORMS = [
    r"{0}",
    r"{0}.{1}",
    r"\frac{{{0}}}{{7919}}",
    r"7919\sqrt{{{0}}}",
    r"{0}+\sqrt{{3}}",
    r"({0}, {1})",
    r"\{{{0}, -7\}}",
    r"[-1, {0})",
    r"x^2+{0}x+{1}",
    r"x={0}",
    r"f(x)={0}x+{1}",
    r"x>{0}",
    r"{0}\text{{ cm}}",
    r"{0}^\circ",
    r"1{{,}}{0}",
    r"n\equiv 2 \pmod{{{0}}}",
    r"{0}, {0}+1, \ldots, n",
    r"0.\overline{{{0}}}",
    r"{0}i+1",
    r"3^{{-{0}}}",
]


@SOME
@given(st.sampled_from(FORMS), INTEGERS, INTEGERS, st.randoms(use_true_random=False))
def test_a_changed_digit_never_passes(form, first, second, rng: random.Random):
    first = first % 997 + 3 if "3^" in form else first
    numbers = [str(first), str(second)]
    changed = list(numbers[0])
    place = rng.randrange(len(changed))
    changed[place] = rng.choice([digit for digit in "123456789" if digit != changed[place]])
    gold, other = form.format(*numbers), form.format("".join(changed), numbers[1])
    assert comparison.verifies(gold, gold)
    assert not comparison.verifies(gold, other)
    assert not comparison.verifies(gold + ".", other)


@SOME
@given(st.sampled_from(FORMS), INTEGERS, INTEGERS, st.sampled_from([".", ",", "$", r"\left", " "]))
def test_what_means_nothing_changes_nothing(form, first, second, ornament):
    first = first % 997 + 3 if "3^" in form else first
    gold = form.format(first, second)
    written = {
        "$": f"${gold}$",
        r"\left": gold.replace("(", r"\left(").replace(")", r"\right)") if gold.startswith("(") else gold,
        " ": f"  {gold} ",
    }.get(ornament, gold + ornament)
    assert comparison.verifies(gold, written) and comparison.verifies(written, gold)


@SOME
@given(st.integers(1, 10**12), st.sampled_from([",", "{,}", r"\,", ",\\!", "~", " ", "\u202f"]))
def test_grouped_digits_are_the_number(number, separator):
    grouped = f"{number:,}".replace(",", separator)
    assert comparison.verifies(str(number), grouped)
    assert not comparison.verifies(str(number + 1), grouped)
    if number >= 1000:
        assert comparison.verifies(rf"\frac{{1}}{{{number}}}", rf"\frac{{1}}{{{grouped}}}")


@SOME
@given(st.fractions(min_value=0, max_value=99, max_denominator=60))
def test_repeating_decimals_are_their_fraction(fraction):
    whole, rest = divmod(fraction.numerator, fraction.denominator)
    digits, seen = "", {}
    while rest not in seen:
        seen[rest] = len(digits)
        digit, rest = divmod(10 * rest, fraction.denominator)
        digits += str(digit)
    text = rf"{whole}.{digits[: seen[rest]]}\overline{{{digits[seen[rest] :]}}}"
    gold = rf"\frac{{{fraction.numerator}}}{{{fraction.denominator}}}"
    assert comparison.verifies(gold, text)
    assert not comparison.verifies(rf"\frac{{{fraction.numerator + 1}}}{{{fraction.denominator}}}", text)


@SOME
@given(st.text(max_size=40))
def test_any_text_has_a_stable_spelling(text):
    spelt = normalised(text)
    assert normalised(spelt) == spelt


def test_teachers_answers_and_votes_are_spelt_alike():
    with Grader(timeout_seconds=60) as grader:
        assert grader.parses(["73.", "x=7", r"1{,}200", "1,2,\\ldots,n", r"n\equiv 2\pmod 5"]) == [True] * 5
        [vote] = votes([[rf"\boxed{{{answer}}}" for answer in ("73", "73.", "73.", "74")]], grader)
    assert (vote.answer, vote.rewards) == ("73", [1.0, 1.0, 1.0, 0.0])


def test_tidy_text_is_what_was_written():
    assert tidy(r"\dfrac{1}{2}.") == r"\dfrac{1}{2}"
    assert tidy(r"1{,}200") == "1200"


def test_golds_of_math_meet_themselves_and_not_their_mutants(benchmark_data):
    with (benchmark_data / "math_test.jsonl").open(encoding="utf-8") as rows:
        golds = [last_boxed(json.loads(row)["solution"]) for row in rows][::50]
    assert [gold for gold in golds if not comparison.parses(gold)] == []
    assert [gold for gold in golds if not comparison.verifies(gold, normalised(gold) + ".")] == []
    changed = [(gold, gold[:-1] + str((int(gold[-1]) + 1) % 10)) for gold in golds if gold[-1].isdecimal()]
    assert [pair for pair in changed if comparison.verifies(*pair)] == []
