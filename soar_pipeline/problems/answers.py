r"""Published answers as the grader reads them: LaTeX without its dollars, fit to stand in `\boxed{}` (docs/data.md)."""

import re

from soar_pipeline.grading.normalisation import tidy

_DOLLARS = re.compile(r"(?<!\\)\$\$?")
_AND = re.compile(r"\s*,?\s*(?:and|or)\s*")
_COMMA = re.compile(r"(?<!\\),\s*")


def gold(answer: str) -> str:
    r"""The answer as LaTeX: `$…$` around mathematics is dropped, and words outside of it go into `\text{}`.

    Digits are not in groups, and no sentence ends: the student's reward looks for this very text. All else is left to
    the grader's own normalisation.
    """
    return tidy(_without_dollars(answer))


def joined(answers: list[str]) -> str:
    """Several answers as the list `a, b`, which Math-Verify compares without regard to order (as a set).

    The space matters: `100,200` is one number to Math-Verify, `100, 200` is two.
    """
    return _COMMA.sub(", ", ", ".join(filter(None, map(gold, answers))))


def _without_dollars(answer: str) -> str:
    parts = _DOLLARS.split(answer)
    if len(parts) == 1 or len(parts) % 2 == 0:
        # No dollars, or not in pairs: then they enclose nothing.
        return "".join(parts)
    return "".join(part if i % 2 else _outside(part) for i, part in enumerate(parts))


def _outside(words: str) -> str:
    if _AND.fullmatch(words):
        return ", "
    is_prose = any(character.isalpha() for character in words) and not set(words) & set("\\{}")
    return rf"\text{{{words}}}" if is_prose else words
