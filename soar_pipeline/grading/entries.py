r"""Golds that name the entry of a generated data set, since its scorer needs more than an answer (docs/data.md).

The last line of such a gold is a LaTeX comment, `% reasoning_gym SEED/SIZE/INDEX DIGEST`, under the answer. An entry
that has many answers and states none has no text above it.
"""

import hashlib
import re
from dataclasses import dataclass

_GOLD = re.compile(
    r"(?:(?P<answer>.*)\n)?% reasoning_gym (?P<seed>\d{1,10})/(?P<size>\d{1,10})/(?P<index>\d{1,10}) (?P<digest>\w+)",
    re.DOTALL,
)


@dataclass(frozen=True)
class EntryReference:
    """The entry `index` of a task's data set of so many entries; `digest` is that of its question."""

    seed: int
    size: int
    index: int
    digest: str


def digest_of(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def gold_of(answer: str | None, entry: EntryReference) -> str:
    """A gold that names an entry."""
    reference = f"% reasoning_gym {entry.seed}/{entry.size}/{entry.index} {entry.digest}"
    return f"{answer}\n{reference}" if answer else reference


def stated_answer(gold: str) -> str:
    """The answer that a gold states: all of it, or what stands above the name of an entry."""
    named = _GOLD.fullmatch(gold)
    return gold if named is None else (named["answer"] or "").strip()


def entry_reference(gold: str) -> EntryReference | None:
    """The entry that a gold names, if any."""
    named = _GOLD.fullmatch(gold)
    if named is None:
        return None
    return EntryReference(*(int(named[name]) for name in ("seed", "size", "index")), named["digest"])
