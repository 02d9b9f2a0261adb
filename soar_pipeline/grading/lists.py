r"""Where a text of LaTeX may be taken apart: outside of all brackets. And what its signs ± stand for."""

import re
from itertools import product

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[\s\S]")
_OPENING, _CLOSING = {"{", "(", "[", r"\{", r"\langle", r"\lfloor", r"\lceil"}, {"}", ")", "]", r"\}"}
_ENDS = _CLOSING | {r"\rangle", r"\rfloor", r"\rceil"}
AND_OR = re.compile(r"\s*,?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z]))\s*")
OR = re.compile(r"\s*,?\s*(?:\\text\s*\{\s*,?\s*or\s*\}|(?<![a-zA-Z\\])or(?![a-zA-Z])|\\(?:lor|vee)(?![a-zA-Z]))\s*")


_SIGN = re.compile(r"\s*(\\pm|\\mp)(?![a-zA-Z])\s*")
# A plus sign before a whole term.
_PLUS = re.compile(r"(?:^|(?<=[({\[,=]))\+")
MOST_SIGNS = 4


def tokens(text: str) -> list[tuple[str, int]]:
    """Each command or character, with the number of brackets around it."""
    nested, depth = [], 0
    for token in _TOKEN.findall(text):
        depth -= token in _ENDS
        nested.append((token, depth))
        depth += token in _OPENING
    return nested


def both_signs(text: str) -> str:
    """The list that an answer with ± stands for: `3+1, 3-1` for `3 \\pm 1`; signs are independent unless one is ∓."""
    if not _SIGN.search(text):
        return text
    if text.startswith(r"\{") and text.endswith(r"\}"):
        return rf"\{{{both_signs(text[2:-2])}\}}"
    return ", ".join(variant for part in split(text, ",") for variant in _variants(part))


def _variants(part: str) -> list[str]:
    """The part with each choice of its signs."""
    pieces = _SIGN.split(part)
    between, signs = pieces[::2], pieces[1::2]
    if len(signs) > MOST_SIGNS:
        return [part]
    if r"\mp" in signs:
        choices = [["+" if (sign == r"\pm") == upper else "-" for sign in signs] for upper in (True, False)]
    else:
        choices = list(product("+-", repeat=len(signs)))
    texts = ["".join(map("".join, zip(between, [*choice, ""], strict=True))) for choice in choices]
    return [_PLUS.sub("", text) for text in texts]


def split(text: str, separators: str) -> list[str]:
    """The text at each separator, a character, outside of brackets; its parts are stripped."""
    parts = [""]
    for token, depth in tokens(text):
        if depth <= 0 and token in separators:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]
