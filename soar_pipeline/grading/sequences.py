r"""Sequences and sums with dots: `1, 2, \ldots, n` and `1+2+\cdots+n`, of which Math-Verify drops the dots."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from sympy import Expr, Integer, Pow, Rational, Symbol, nan

from soar_pipeline.grading import exact
from soar_pipeline.grading.lists import split

DOTS = r"\ldots"
# Terms that are written out for dots between numbers.
LONGEST = 1000


@dataclass(frozen=True)
class Dotted:
    """`first` terms, dots, and the `last` ones, none if it goes on for ever; what encloses and what separates them."""

    brackets: str
    separator: str
    first: list[Expr]
    last: list[Expr]

    @property
    def written_out(self) -> list[Expr] | None:
        """All terms, if they are numbers and few; None otherwise."""
        follows = self.law
        if not self.last or follows is None or not all(isinstance(term, Rational) for term in self.first + self.last):
            return None
        terms = list(self.first)
        while len(terms) < LONGEST and terms[-1] != self.last[0]:
            terms.append(follows(terms))
        return terms + self.last[1:] if terms[-1] == self.last[0] else None

    @property
    def total(self) -> Expr | None:
        """The sum of terms that go on by a difference or by a factor up to a last one; None for others."""
        follows = self.law
        if self.separator != "+" or not self.last or follows is None:
            return None
        second = follows(self.first[:1])
        third = follows([self.first[0], second])
        start, end, difference = self.first[0], self.last[-1], second - self.first[0]
        if exact.equal(third - second, difference):
            return ((end - start) / difference + 1) * (start + end) / 2
        factor = second / start
        return (end * factor - start) / (factor - 1) if exact.equal(third / second, factor) else None

    @property
    def law(self) -> Callable[[list[Expr]], Expr] | None:
        """How a term follows from those before it: by a difference or by a factor, as the first terms show."""
        if all(map(_index, self.first)):
            return lambda terms: _successor(terms[-1])
        first = self.first if len(self.first) > 1 else [*self.first, self.first[0] + 1]
        steps = [b - a for a, b in pairwise(first)]
        # Two terms and a power at the end, as in 1, 2, …, 2^n, are powers.
        powers = len(self.first) == 2 and any(_is_power(term) for term in self.last)
        if not powers and all(exact.equal(step, steps[0]) for step in steps):
            return lambda terms: terms[-1] + steps[0]
        if len(first) > 2:
            factors = [b / a for a, b in pairwise(first)] if 0 not in first else []
            if not factors or not all(exact.equal(factor, factors[0]) for factor in factors):
                # Squares, triangular numbers and the like: the differences have a difference.
                curve = steps[1] - steps[0]
                return lambda terms: 2 * terms[-1] - terms[-2] + curve if len(terms) > 1 else nan
        if any(term == 0 for term in first):
            return None
        factors = [b / a for a, b in pairwise(first)]
        if all(exact.equal(factor, factors[0]) for factor in factors):
            return lambda terms: terms[-1] * factors[0]
        return None


def dotted(text: str, read: Callable[[str], Expr | None]) -> Dotted | None:
    """What a text with dots says; None if its terms cannot be read, or are not separated by commas or plus signs."""
    brackets, inner = "", text
    for opening, closing, kind in ((r"\{", r"\}", ""), ("(", ")", "()"), ("[", "]", "()")):
        if text.startswith(opening) and text.endswith(closing):
            brackets, inner = kind, text[len(opening) : -len(closing)]
    for separator in ",+":
        parts = [part for part in split(inner, separator) if part]
        if parts.count(DOTS) == 1 and len(parts) > 1:
            terms = [part if part == DOTS else read(part) for part in parts]
            if not all(term == DOTS or isinstance(term, Expr) for term in terms):
                return None
            middle = terms.index(DOTS)
            return Dotted(brackets, separator, terms[:middle], terms[middle + 1 :]) if middle else None
    return None


def equal(a: Dotted, b: Dotted) -> bool:
    """Whether two sequences begin alike, go on by the same law and end alike."""
    if (a.brackets, a.separator) != (b.brackets, b.separator) or bool(a.last) != bool(b.last):
        return False
    if a.last and not exact.equal(a.last[-1], b.last[-1]):
        return False
    short, long = sorted((a, b), key=lambda sequence: len(sequence.first))
    law = short.law
    terms = list(short.first)
    while len(terms) < len(long.first) and law is not None:
        terms.append(law(terms))
    if len(terms) < len(long.first) or not all(map(exact.equal, terms, long.first)):
        return False
    # Further terms at the end, as in 1, 2, …, n − 1, n, must follow too.
    return all(_leads_to(sequence, law) for sequence in (a, b))


def _leads_to(sequence: Dotted, law: Callable[[list[Expr]], Expr] | None) -> bool:
    return all(law is not None and exact.equal(law([term]), following) for term, following in pairwise(sequence.last))


def _index(term: Expr) -> re.Match[str] | None:
    """Name and number of a term such as `a_2`."""
    return re.fullmatch(r"(.*_)(\d+)", term.name) if isinstance(term, Symbol) else None


def _successor(term: Expr) -> Expr:
    index = _index(term)
    return Symbol(f"{index[1]}{int(index[2]) + 1}", real=True) if index else nan


def _is_power(term: Expr) -> bool:
    return any(not isinstance(power.exp, Integer) and power.exp.free_symbols for power in term.atoms(Pow))
