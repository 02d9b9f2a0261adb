r"""Inequalities as sets of real numbers, so that `0 \le x \le 5` is [0, 5] and `x > 0, x \ne 1` is (0, 1) ∪ (1, ∞)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sympy import Basic, Complement, Eq, Expr, FiniteSet, Intersection, Interval, S, Set, Symbol, Union
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.logic.boolalg import And

from soar_pipeline.grading import exact
from soar_pipeline.grading.lists import OR, split

_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|lt|gt)(?![a-zA-Z])")
_AND = re.compile(
    r"\s*,?\s*(?:\\text\s*\{\s*,?\s*(?:and|but)\s*\}|(?<![a-zA-Z\\])and(?![a-zA-Z])|\\(?:land|wedge)(?![a-zA-Z]))\s*"
)
_BUILDER = re.compile(
    r"\\\{\s*(?P<variable>\\?[a-zA-Z]+)\s*(?:\\in\s*\\mathbb\{R\})?\s*(?:\\mid(?![a-zA-Z])|\\vert(?![a-zA-Z])|\||:)"
    r"\s*(?P<condition>.*)\\\}"
)
_MEMBER = re.compile(r"(?P<variable>\\?[a-zA-Z](?:_\w)?|[a-zA-Z]\([a-zA-Z]\))\s*\\in(?![a-zA-Z])\s*(?P<set>.*)")


class _Piece(NamedTuple):
    """An interval; a single point is one of no length, which to SymPy is a finite set."""

    start: Expr
    end: Expr
    open_left: bool
    open_right: bool


@dataclass(frozen=True)
class Region:
    """The values of `variable`, None if a set was written without one, that are meant."""

    variable: Symbol | None
    values: Set


def is_relation(text: str) -> bool:
    """Whether a text has a sign of inequality."""
    return _RELATION.search(text) is not None


def region(text: str, read: Callable[[str], Basic | None]) -> Region | None:
    """The set that inequalities in one variable, or a set's own notation, describe; None for other texts."""
    if builder := _BUILDER.fullmatch(text):
        text = builder["condition"]
    if not is_relation(text):
        member = _MEMBER.fullmatch(text)
        values = read(member["set"] if member else text)
        variable = read(member["variable"]) if member else None
        return Region(variable, values) if isinstance(values, Set) else None
    choices = OR.split(text)
    regions = [_all_of(split(_AND.sub(", ", choice), ","), read, _AND.search(choice) is not None) for choice in choices]
    variables = {part.variable for part in regions if part is not None}
    if None in regions or len(variables) != 1:
        return None
    return Region(variables.pop(), Union(*(part.values for part in regions)))


def equal(a: Region, b: Region) -> bool:
    """Whether two regions are the same set, of the same variable if both name one."""
    if a.variable is not None and b.variable is not None and a.variable != b.variable:
        return False
    pieces = [_pieces(side.values) for side in (a, b)]
    if None in pieces:
        return a.values == b.values or a.values.symmetric_difference(b.values) == S.EmptySet
    return len(pieces[0]) == len(pieces[1]) and all(
        (x.open_left, x.open_right) == (y.open_left, y.open_right)
        and exact.equal(x.start, y.start)
        and exact.equal(x.end, y.end)
        for x, y in zip(*pieces, strict=True)
    )


def _all_of(parts: list[str], read: Callable[[str], Basic | None], strictly: bool) -> Region | None:
    """The values for which every part holds; if there are none, as in `x<1, x>2`, those for which one does.

    strictly: an "and" stands there.
    """
    regions = [_one(read(part)) for part in parts if part]
    variables = {part.variable for part in regions if part is not None}
    if not regions or None in regions or len(variables) != 1:
        return None
    values = Intersection(*(part.values for part in regions))
    if values == S.EmptySet and not strictly:
        values = Union(*(part.values for part in regions))
    return Region(variables.pop(), values)


def _one(relation: Basic | None) -> Region | None:
    if not isinstance(relation, Relational | And):
        return None
    relation = relation.xreplace({call: Symbol(str(call), real=True) for call in relation.atoms(AppliedUndef)})
    if isinstance(relation, Eq) and isinstance(relation.lhs, Symbol) and not relation.rhs.free_symbols:
        return Region(relation.lhs, FiniteSet(relation.rhs))
    if len(relation.free_symbols) != 1 or relation.atoms(Eq):
        return None
    [variable] = relation.free_symbols
    parts = relation.args if isinstance(relation, And) else (relation,)
    try:
        return Region(variable, Intersection(*(part.doit().as_set() for part in parts)))
    except (NotImplementedError, AttributeError, TypeError, ValueError):
        return None


def _pieces(values: Set) -> list[_Piece] | None:
    """The intervals, single points among them, in order; None if the set is made of others."""
    values = values.doit() if isinstance(values, Complement | Union | Intersection) else values
    if isinstance(values, Complement | Intersection):
        values = values.simplify()
    parts = values.args if isinstance(values, Union) else (values,)
    pieces = []
    for part in parts:
        if part == S.Reals:
            pieces.append(_Piece(S.NegativeInfinity, S.Infinity, True, True))
        elif isinstance(part, Interval):
            pieces.append(_Piece(part.start, part.end, bool(part.left_open), bool(part.right_open)))
        elif isinstance(part, FiniteSet):
            pieces += [_Piece(point, point, False, False) for point in part.args]
        elif part != S.EmptySet:
            return None
    if not all(piece.start.is_extended_real for piece in pieces):
        return None
    return sorted(pieces, key=lambda piece: piece.start.evalf())
