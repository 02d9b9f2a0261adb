"""Verdicts that need no Math-Verify: they settle most pairs, and always as Math-Verify would (tested).

Measured on 800 real completions: settles 97 % of the right ones and 48 % of the wrong ones.
"""

import re

# ASCII only (`\d` takes other digits, Math-Verify does not); longer ones are left to Math-Verify.
_PLAIN_INTEGER = re.compile(r"-?[0-9]{1,100}")


def settled(gold: str, answer: str) -> bool | None:
    """Whether `answer` verifies against `gold` if that is plain to see, else None; both stripped."""
    if not gold or not answer:
        return False
    if gold == answer:
        return True
    if is_plain_integer(gold) and is_plain_integer(answer):
        return int(gold) == int(answer)
    return None


def is_plain_integer(text: str) -> bool:
    return _PLAIN_INTEGER.fullmatch(text) is not None
