r"""Published answers as the grader reads them: LaTeX without its dollars, fit to stand in `\boxed{}` (docs/data.md)."""

import re

_DOLLARS = re.compile(r"(?<!\\)\$\$?")
_AND = re.compile(r"\s*,?\s*(?:and|or)\s*")
# `5,\!525` and `5{,}525`: a comma that groups digits, set so that no space follows it.
_DIGIT_GROUPING = re.compile(r"(?<=\d)(?:,\\!|\{,\})(?=\d{3})")
# Not of an ellipsis, and not of the spaces `\,` and `\;`.
_SENTENCE_END = re.compile(r"(?<![.\\])[.,;]$")
_COMMA = re.compile(r"(?<!\\),\s*")


def gold(answer: str) -> str:
    r"""The answer as it is compared.

    `$…$` around mathematics is dropped, and words outside of it go into `\text{}`; commas that group digits, and a full
    stop, comma or semicolon at the end, are dropped: with them Math-Verify may read no expression.
    """
    ungrouped = _DIGIT_GROUPING.sub("", _without_dollars(answer).strip())
    return _SENTENCE_END.sub("", ungrouped).strip()


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
