r"""Whether an answer is the gold: Math-Verify as the engine, and around it what it misreads (docs/verdicts.md).

Math-Verify takes sets, tuples, matrices and equations apart; single expressions are compared by exact.py in place of
its own comparison by rounded floats. Sequences with dots, congruences, names, inequalities and units have modules of
their own. This module imports SymPy: only grading workers do.
"""

import re
from functools import lru_cache

from latex2sympy2_extended import NormalizationConfig, latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, normalize_latex
from math_verify import grader as math_verify
from math_verify.parser import get_last_eq
from sympy import Basic, Complement, Expr, FiniteSet, I, MatrixBase, Mul, Product, Sum, Symbol, Tuple, Union, latex

from soar_pipeline.grading import congruences, exact, regions, sequences, statements, units
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.lists import both_signs, split
from soar_pipeline.grading.normalisation import in_radians, normalised

Expression = Basic | MatrixBase

# Texts of which a worker remembers what it read, and the characters that such a text has at most: one gold answer is
# compared with many. Of hostile texts this is 80 MB.
REMEMBERED, SHORT = 4096, 200
# `3t` is not 3: units are taken off by units.py. A capital letter is another variable: R − r is not 0.
_SPELLING = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
_CONVERSION = ConversionConfig(lowercase_symbols=False)
_IMAGINARY_UNIT = Symbol("i", real=True)
_BASE = re.compile(r"(?<![a-zA-Z\\])[0-9A-F]*[0-9][0-9A-F]*\)?_\{?(\d+)\}?")
_NUMERAL = re.compile(r"0*(?P<digits>(?=.*\d_|..)[\dA-Z]+)_\{?\(?(?P<base>\d+)\)?\}?")
_RADIANS = ("angle^1", 1)
_WHITE_SPACE = re.compile(r"\s+(?!\d)|(?<!\d)\s+")
# To Math-Verify `1 2` is the mixed number 1 + 2.
_TWO_NUMBERS = re.compile(r"(?<![_\d])\d+\s+\d")
_PERCENT = re.compile(r"(-?\s*\\frac\s*\{[^{}]*\}\s*\{[^{}]*\})\s*\\%")
_WORDS = re.compile(r"\\text(?![a-zA-Z])|[{}\s]")
_CHOICE = re.compile(r"(?:\\text\s*\{)?\s*\(?([a-zA-Z])\)?\s*\}?")
_ANGLE = re.compile(r"\\pi(?![a-zA-Z])|\\(?:arc)?(?:sin|cos|tan|cot)(?![a-zA-Z])")

# The privates of Math-Verify 0.9.0 that are replaced: how two single expressions are compared.
math_verify.sympy_numeric_eq = lambda gold, answer, *_: exact.equal(gold, answer)
math_verify.sympy_symbolic_eq = lambda gold, answer: False


def verifies(gold: str, answer: str) -> bool:
    """Whether `answer` is `gold`; gold comes first, as the comparison is not symmetric.

    A gold in which nothing can be read is met by its own text alone, white space apart. Empty texts are never equal.
    """
    gold, answer = normalised(gold), normalised(answer)
    if not gold or not answer:
        return False
    return same_text(gold, answer) or _means(gold, answer)


def parses(answer: str) -> bool:
    """Whether `answer` can be read as an expression, not merely as a text."""
    answer = normalised(answer)
    if not answer:
        return False
    if sequences.DOTS in answer:
        return sequences.dotted(answer, read) is not None
    said = statements.statement(answer)
    return any(
        reads(text) is not None
        for text in dict.fromkeys((answer, said.value))
        for reads in (lambda text: congruences.congruence(text, read), lambda text: read(units.split_unit(text)[0]))
    )


def can_be_met(gold: str) -> bool:
    """Whether there is an answer that is this gold: a text that fits into a box will do, if it says something."""
    text = normalised(gold)
    return any(map(str.isalnum, text)) and last_boxed(rf"\boxed{{{text}}}") == text


def met_in_other_notation(gold: str) -> bool:
    """Whether the value of a gold, written as SymPy writes it, is the gold; True if nothing can be read."""
    expression = read(units.split_unit(statements.statement(normalised(gold)).value)[0])
    return expression is None or _verify(expression, read(normalised(latex(expression))))


def loosely_equal(gold: str, answer: str) -> bool:
    """Whether a lenient reader may take an answer for the gold: the same letters and digits, or numbers within 1 %."""
    sides = [statements.statement(normalised(text)).value for text in (gold, answer)]
    letters = [re.sub(r"\\text|[^a-z0-9]", "", side.lower()) for side in sides]
    if letters[0] and letters[0] == letters[1]:
        return True
    numbers = [read(units.split_unit(side)[0]) for side in sides]
    if not all(isinstance(number, Expr) and number.is_number for number in numbers):
        return False
    expected, given = (number.evalf(10) for number in numbers)
    return bool(abs(given - expected) <= abs(expected) / 100)


def same_text(gold: str, answer: str) -> bool:
    """Whether two texts are equal but for white space; between digits it counts."""
    if _WHITE_SPACE.sub("", gold) == _WHITE_SPACE.sub("", answer):
        return True
    # Capital letters count in mathematics and not in words.
    fold = str.casefold if r"\text" in gold or r"\text" in answer else _with_small_words
    words = [fold(_WORDS.sub("", text)) for text in (gold, answer)]
    return words[0] == words[1] and any(map(str.isalpha, words[0])) and not set("\\^_") & set(words[0])


def _with_small_words(text: str) -> str:
    return re.sub(r"[^\W\d_]{3,}|(?<!\w)no(?!\w)", lambda word: word.group().casefold(), text, flags=re.IGNORECASE)


def _means(gold: str, answer: str) -> bool:
    if sequences.DOTS in gold or sequences.DOTS in answer:
        return _same_sequence(gold, answer)
    classes = [congruences.congruence(text, read) for text in (gold, answer)]
    if any(classes):
        said = (statements.statement(text) for text in (gold, answer))
        progressions = (side or congruences.progression(it, read) for side, it in zip(classes, said, strict=True))
        return _same_congruence(gold, *progressions)
    choices = [_CHOICE.fullmatch(text) for text in (gold, answer)]
    if all(choices):
        # Two single letters may be variables, whose case counts.
        variables = len(gold) == len(answer) == 1 and gold.upper() not in "ABCDE"
        return not variables and choices[0][1].lower() == choices[1][1].lower()
    expected, given = statements.statement(gold), statements.statement(answer)
    if not statements.domains_agree(expected, given) or not _same_bases(gold, answer):
        return False
    if regions.is_relation(gold) or regions.is_relation(answer):
        return _same_region(gold, answer)
    return _same_statement(expected, given)


def _same_sequence(gold: str, answer: str) -> bool:
    named = [statements.statement(text) for text in (gold, answer)]
    if all(side.name for side in named) and len({statements.canonical(side.name) for side in named}) > 1:
        return False
    gold, answer = (side.value for side in named)
    sides = [sequences.dotted(text, read) for text in (gold, answer)]
    if all(sides):
        return sequences.equal(*sides)
    # One side may write out what the other abbreviates.
    for dotted, text in zip(sides, (answer, gold), strict=True):
        terms = dotted.written_out if dotted is not None and dotted.separator == "," else None
        if terms is not None and sequences.DOTS not in text:
            return _verify(FiniteSet(*terms), read(text))
        total = dotted.total if dotted is not None else None
        if total is not None and sequences.DOTS not in text:
            return isinstance(value := read(text), Expr) and exact.equal(total, value)
    return False


def _same_congruence(gold: str, expected: congruences.Congruence | None, given: congruences.Congruence | None) -> bool:
    if expected is not None and given is not None:
        return congruences.equal(expected, given)
    # To a gold of 8, "8 modulo 17" adds where it comes from; to a class of numbers, one of them is not an answer.
    return given is not None and len(given.residues) == 1 and _verify(read(gold), given.residues[0])


def _same_bases(gold: str, answer: str) -> bool:
    """Whether numerals are in the same bases, if both sides write any: Math-Verify does not read them."""
    bases = [sorted(_BASE.findall(text)) for text in (gold, answer)]
    return not all(bases) or bases[0] == bases[1]


def _same_region(gold: str, answer: str) -> bool:
    sides = [regions.region(text, read) for text in (gold, answer)]
    if all(sides):
        return regions.equal(*sides)
    return _verify(read(gold), read(answer))


def _same_statement(gold: statements.Statement, answer: statements.Statement) -> bool:
    answer = statements.with_argument_of(answer, gold)
    named = [statements.canonical(side.name) for side in (gold, answer)]
    if all(named):
        return (named[0] == named[1] and _same_value(gold.value, answer.value)) or _same_equation(gold, answer)
    sides = statements.equated(answer.value)
    if statements.is_equation(gold.value):
        return _same_equation(gold, answer)
    if len(sides) > 1:
        if len(split(answer.value, ",")) == 1 and _states(sides[0], sides[-1], gold.name):
            return _same_value(gold.value, sides[-1])
        return bool(gold.name) and _same_equation(gold, answer)
    return _same_value(gold.value, answer.value)


def _states(left: str, right: str, asked_for: str) -> bool:
    """Whether an equation states a value: `1 + 4 = 5` and `m + n = 5` do; `x^2 = 4` and `2x + z = 5` can be solved."""
    claim, value = read(left), read(right)
    if claim is None or value is None:
        return False
    sum_of_names = len(claim.free_symbols) > 1 and not statements.has_number(left)
    return not claim.free_symbols or (sum_of_names and not value.free_symbols and not asked_for)


def _same_equation(gold: statements.Statement, answer: statements.Statement) -> bool:
    equations = [f"{side.name}={side.value}" if side.name else side.value for side in (gold, answer)]
    return all(statements.is_equation(side) or "," in side for side in equations) and _verify(*map(read, equations))


def _brackets(text: str) -> str:
    pairs = {"()": ("(", ")"), r"\{\}": (r"\{", r"\}")}
    return next((name for name, (left, right) in pairs.items() if text.startswith(left) and text.endswith(right)), "")


def _same_value(gold: str, answer: str) -> bool:
    if same_text(gold, answer):
        return True
    if {_brackets(gold), _brackets(answer)} == {"()", r"\{\}"}:
        # A pair has an order, and a set has none.
        return False
    if numeral := _NUMERAL.fullmatch(gold):
        other = _NUMERAL.fullmatch(answer)
        return numeral.groups() == other.groups() if other else numeral["digits"] == answer.lstrip("0")
    (gold, unit), (answer, other) = (units.split_unit(text) for text in (gold, answer))
    if same_text(gold, answer) and (unit is None or other is None or unit == other):
        return True
    degrees = [r"^\circ" in text for text in (gold, answer)]
    if any(degrees):
        as_angle = degrees[0] != degrees[1] and (any(map(_ANGLE.search, (gold, answer))) or _RADIANS in (unit, other))
        change = in_radians if as_angle else units.without_degrees
        gold, answer = change(gold), change(answer)
    ratios = [split(text, ":") for text in (gold, answer)]
    if len(ratios[0]) > 2:
        return _same_ratio(*([read(part) for part in parts] for parts in ratios))
    expected, given = (read(both_signs(text)) for text in (gold, answer))
    if unit is None or other is None:
        return _same_region(gold, answer) if isinstance(expected, Union | Complement) else _verify(expected, given)
    if unit[0] != other[0] or expected is None or given is None:
        return False
    return exact.equal(expected * unit[1], given * other[1])


def _same_ratio(gold: list[Expression | None], answer: list[Expression | None]) -> bool:
    if len(gold) != len(answer) or not all(isinstance(part, Expr) for part in (*gold, *answer)):
        return False
    return all(exact.equal(a * answer[0], b * gold[0]) for a, b in zip(gold, answer, strict=True))


def _verify(expected: Expression | None, given: Expression | None) -> bool:
    """Math-Verify's comparison; False if one side could not be read."""
    if expected is None or given is None:
        return False
    sides = [exact.evaluated(side) for side in (expected, given)]
    matrices = [isinstance(side, MatrixBase) for side in sides]
    if matrices[0] != matrices[1]:
        # A vector may be written as a column, a row or a tuple.
        expected, given = (
            Tuple(*side.flat()) if matrix and 1 in side.shape else side
            for side, matrix in zip(sides, matrices, strict=True)
        )
    return math_verify.verify([expected], [given], timeout_seconds=None, allow_set_relation_comp=True)


def read(text: str) -> Expression | None:
    """What Math-Verify reads in LaTeX; None if that is nothing."""
    return (_remembered if len(text) <= SHORT else _read)(text)


def _read(text: str) -> Expression | None:
    if percent := _PERCENT.fullmatch(text):
        # Math-Verify reads a percent sign after digits only.
        value = read(percent[1])
        return Mul(value, exact.HUNDREDTH, evaluate=False) if isinstance(value, Expr) else None
    if _TWO_NUMBERS.search(text):
        return None
    spelt = normalize_latex(text, _SPELLING)
    for part in dict.fromkeys((spelt, get_last_eq(spelt))):
        try:
            expression = latex2sympy(part, is_real=True, normalization_config=None, conversion_config=_CONVERSION)
        except MemoryError:
            raise
        # Its grammar raises plain exceptions.
        except Exception:
            continue
        return _meant(expression) if isinstance(expression, Expression) else None
    return None


_remembered = lru_cache(maxsize=REMEMBERED)(_read)


def _meant(expression: Expression) -> Expression:
    """With i as the imaginary unit, unless it counts the terms of a sum."""
    if expression.has(_IMAGINARY_UNIT) and not expression.has(Sum, Product):
        expression = expression.xreplace({_IMAGINARY_UNIT: I})
    return expression
