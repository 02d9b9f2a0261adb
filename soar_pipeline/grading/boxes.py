r"""The answer that a text gives in a LaTeX box."""

import re

# A line break (`\\`) and escaped braces are read as one token, so that they open and close nothing. A doubled
# backslash before `boxed` still opens a box: models that learned from JSON write it.
_TOKEN = re.compile(r"\\boxed\s*\{|\\\\(?!boxed)|\\[{}]|[{}]")


def last_boxed(text: str) -> str | None:
    r"""Content of the last complete `\boxed{…}`, stripped; None if there is no such box.

    Braces must balance, so the box of a truncated text does not count. The last box is the one that opens last: of
    nested boxes the innermost. Only braced boxes count: not `\boxed 5`, not `\fbox{5}`. Time is linear in the text.
    """
    opened: list[tuple[int, bool]] = []
    last: tuple[int, int] | None = None
    for token in _TOKEN.finditer(text):
        brace = token.group()
        if brace == "}" and opened:
            start, boxed = opened.pop()
            if boxed and (last is None or start > last[0]):
                last = start, token.start()
        elif brace.endswith("{") and brace != r"\{":
            opened.append((token.end(), brace != "{"))
    return None if last is None else text[last[0] : last[1]].strip()
