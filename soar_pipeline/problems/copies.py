r"""Copies of a question: the same words and formulas, however they are typeset (HARP and MATH share problems)."""

import re
import unicodedata
from collections.abc import Iterable

# Sizes, fonts and spaces of LaTeX, and what carries no word. Pictures stay: two questions may differ in them alone.
_LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|textbf|textit|text|mathrm|mathbf|mbox|quad|qquad)"
    r"(?![a-zA-Z])|\\[,;:! ]|[\s$~{}]|\\[()\[\]]"
)
_FRACTIONS = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
# A point or comma between digits is part of a number, or of a list.
_PUNCTUATION = re.compile(r"[;:?\"'`]|(?<!\d)[.,]|[.,](?!\d)")


def key(question: str) -> str:
    """Equal for copies of a question. A text that is nothing but layout is its own key."""
    text = _FRACTIONS.sub(r"\\frac", unicodedata.normalize("NFKC", question))
    return _PUNCTUATION.sub("", _LAYOUT.sub("", text)) or question


def later_copies(questions: Iterable[tuple[str, str]]) -> list[str]:
    """The ids whose question stood there before, of pairs (id, question)."""
    seen, copies = set(), []
    for name, question in questions:
        if (words := key(question)) in seen:
            copies.append(name)
        seen.add(words)
    return copies
