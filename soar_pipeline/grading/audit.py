r"""A second opinion on hard problems: a gold that no answer can match looks exactly like an unsolvable problem.

A problem is disputed for one of these reasons, in this order:

- `notation`: the gold has a typo of notation, such as `t(0,4]`.
- `not_an_expression`: the gold cannot be read and is met by its own text alone.
- `other_notation`: the gold is not met by its own value in other notation.
- `agreement`: many completions agree on one value, and a looser comparison takes it for the gold.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soar_pipeline.grading.grader import Grader

# Completions that agree: so many at least, and at least this share of a problem's attempts.
FEWEST, SHARE = 3, 0.1
_PAIRS = {")": "([", "]": "([", "}": "{"}
# A letter where an interval begins, an operator at an end, two signs of relation or operation in a row.
_TYPO = re.compile(
    r"^\s*[a-zA-Z]\s*(?:\(.*,.*\]|\[.*,.*[\])])\s*$|[-+*/^_=<>&]\s*$|^\s*[*/^_=&)\]},;]|[=+*/^][\s]*[=*/^]|,\s*,|\(\s*\)"
)


@dataclass(frozen=True)
class Dispute:
    """Why the gold of a problem may be at fault; of `agreement` the value, and how many completions have it."""

    reason: str
    value: str | None = None
    completions: int | None = None


def disputes(
    golds: Mapping[str, str], answers: Mapping[str, Iterable[str | None]], grader: Grader
) -> dict[str, Dispute]:
    """The disputed problems among `golds`, by id; `answers` are the boxes of each problem's attempts, None without."""
    names, texts = list(golds), list(golds.values())
    # To another verifier than Math-Verify, a gold need not be mathematics.
    reasons = {name: Dispute("notation") for name, gold in golds.items() if grader.reads_mathematics and has_typo(gold)}
    readable = dict(zip(names, grader.parses(texts), strict=True))
    reasons = {name: Dispute("not_an_expression") for name in names if not readable[name]} | reasons
    met = dict(zip(names, grader.met_in_other_notation(texts), strict=True))
    reasons = {name: Dispute("other_notation") for name in names if not met[name]} | reasons
    agreed = {name: _most_common(answers.get(name, ())) for name in names}
    looked_at = [name for name in names if name not in reasons and agreed[name] is not None]
    alike = grader.loosely_equal([(golds[name], agreed[name][0]) for name in looked_at])
    reasons |= {name: Dispute("agreement", *agreed[name]) for name, same in zip(looked_at, alike, strict=True) if same}
    return {name: reasons[name] for name in names if name in reasons}


def has_typo(gold: str) -> bool:
    """Whether brackets do not match, or signs stand where none can."""
    opened: list[str] = []
    for bracket in re.findall(r"[()\[\]{}]", gold.replace(r"\{", "{").replace(r"\}", "}")):
        if bracket in "([{":
            opened.append(bracket)
        elif not opened or opened.pop() not in _PAIRS[bracket]:
            # An interval may open the French way.
            return not re.fullmatch(r"\s*[\[\]][^\[\]()]*[\[\]]\s*", gold)
    return bool(opened) or _TYPO.search(gold) is not None


def _most_common(answers: Iterable[str | None]) -> tuple[str, int] | None:
    answers = list(answers)
    counted = Counter(answer.strip().rstrip(".") for answer in answers if answer).most_common(1)
    if not counted or counted[0][1] < max(FEWEST, SHARE * len(answers)):
        return None
    return counted[0]
