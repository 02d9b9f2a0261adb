r"""Congruences, `n \equiv 2, 3 \pmod 5`: Math-Verify reads of them the modulus or the residue."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import lcm

from sympy import Expr, Integer

from soar_pipeline.grading import exact
from soar_pipeline.grading.lists import AND_OR, both_signs, split
from soar_pipeline.grading.statements import Statement

_MODULO = re.compile(
    r"(?P<residues>.*?)\s*,?\s*(?:\\text\{\s*\})?\(?\s*(?:\\(?:pmod|bmod|mod|pod)(?![a-zA-Z])|\\text\{\s*\(?\s*mod(?:ulo)?\s*\}|"
    r"(?<![a-zA-Z\\])mod(?:ulo)?(?![a-zA-Z]))\s*\{?\s*(?P<modulus>[^{}()]+?)\s*\}?\s*\)?"
)
_LEFT = re.compile(
    r"(?P<name>[^=,]*?)\s*(?:(?P<none>\\not\s*|\\n)?\\?equiv(?![a-zA-Z])|=|\\cong(?![a-zA-Z]))\s*(?P<residues>.*)"
)
_DIVIDES = re.compile(r"(?P<modulus>\d+)\s*(?:\\mid(?![a-zA-Z])|\\vert(?![a-zA-Z])|\|)\s*(?P<name>\\?[a-zA-Z]+)")
# Residues of a modulus that are listed in order to compare two moduli.
MOST = 10_000


@dataclass(frozen=True)
class Congruence:
    """`name`, which may be empty, leaves one of the residues on division by the modulus."""

    name: str
    residues: list[Expr]
    modulus: Expr


def congruence(text: str, read: Callable[[str], Expr | None]) -> Congruence | None:
    """What a text says that has a modulus; None for others."""
    several = split(AND_OR.sub(", ", text), ",")
    if sum("mod" in part for part in several) > 1:
        return _union([congruence(part, read) for part in several])
    if divides := _DIVIDES.fullmatch(text):
        return Congruence(divides["name"], [Integer(0)], Integer(divides["modulus"]))
    modulo = _MODULO.fullmatch(text)
    if modulo is None:
        return None
    name, residues, none_of = "", modulo["residues"].removesuffix("\\").strip(), False
    if left := _LEFT.fullmatch(residues):
        name, residues, none_of = left["name"], left["residues"], bool(left["none"])
    values = []
    for part in split(AND_OR.sub(", ", residues), ","):
        signs = ("", "-") if part.startswith(r"\pm") else ("",)
        # `x \equiv 1, x \equiv 2` names each.
        part = part.removeprefix(r"\pm").rpartition(r"\equiv")[2].removeprefix(" ")
        values += [read(sign + part.strip()) for sign in signs]
    modulus = read(modulo["modulus"])
    if not values or not all(isinstance(value, Expr) for value in (*values, modulus)):
        return None
    if none_of:
        if not all(isinstance(value, Integer) for value in values) or modulus not in range(1, MOST):
            return None
        excluded = {value % modulus for value in values}
        values = [Integer(value) for value in range(int(modulus)) if value not in excluded]
    return Congruence("".join(name.split()), values, modulus)


def progression(said: Statement, read: Callable[[str], Expr | None]) -> Congruence | None:
    """The congruence that `n = 4k + 1` for whole numbers k stands for; None for other texts."""
    terms = [read(part) for part in split(AND_OR.sub(", ", both_signs(said.value)), ",")]
    if said.limits or not all(isinstance(term, Expr) and len(term.free_symbols) == 1 for term in terms):
        return None
    steps = {term.diff(*term.free_symbols) for term in terms}
    residues = [term.subs(dict.fromkeys(term.free_symbols, 0)) for term in terms]
    if len(steps) != 1 or not all(isinstance(number, Integer) for number in (*steps, *residues)) or 0 in steps:
        return None
    return Congruence("".join(said.name.split()), residues, abs(steps.pop()))


def _union(parts: list[Congruence | None]) -> Congruence | None:
    """What holds if one of the parts does; None unless they are of one name and one modulus."""
    if None in parts or len({(part.name, part.modulus) for part in parts}) != 1:
        return None
    return Congruence(parts[0].name, [residue for part in parts for residue in part.residues], parts[0].modulus)


def equal(gold: Congruence, answer: Congruence) -> bool:
    """Whether two congruences have the same solutions: 2 and 7 modulo 10 are 2 modulo 5."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    moduli = gold.modulus, answer.modulus
    numbers = [*gold.residues, *answer.residues, *moduli]
    if all(isinstance(number, Integer) for number in numbers) and all(modulus > 0 for modulus in moduli):
        common = lcm(*map(int, moduli))
        if common <= MOST:
            return _classes(gold, common) == _classes(answer, common)
    return (
        exact.equal(*moduli)
        and len(gold.residues) == len(answer.residues)
        and all(any(_congruent(a, b, gold.modulus) for b in answer.residues) for a in gold.residues)
    )


def _classes(congruence: Congruence, common: int) -> set[int]:
    modulus = int(congruence.modulus)
    return {(int(residue) % modulus) + step for residue in congruence.residues for step in range(0, common, modulus)}


def _congruent(a: Expr, b: Expr, modulus: Expr) -> bool:
    return exact.equal(a, b) or exact.equal(a - b, modulus) or exact.equal(b - a, modulus)
