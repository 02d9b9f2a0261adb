"""Which generated texts become questions (docs/method.md §10, steps 1 and 2)."""

import re
import string
import unicodedata
from collections.abc import Iterable

from rapidfuzz.distance import LCSseq

from soar_pipeline.config import SerlConfig

# At the start of a line only: an indented number belongs to the question it stands in.
_MARKER = re.compile(r"^[0-9]{1,6}\s?\. ", re.MULTILINE)
_OFF_LIMITS = re.compile(
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw(?:s|n|ings?)?|plot(?:s|ted|ting)?|write an? (?:\w+ )?program)\b",
    re.IGNORECASE,
)


def listed(continuation: str, faithful: bool) -> list[str]:
    """The items of a numbered list's continuation, as written.

    Oddity of the released code, kept if `faithful`: what stands before the first number is lost, though the prompt
    ends with an open number and the first question is its continuation. Else it is an item, unless it announces the
    list ("Here are more:").
    """
    first, *items = _MARKER.split(continuation)
    if faithful or not first.strip() or first.rstrip().endswith(":"):
        return items
    return [first, *items]


def cleaned(text: str, config: SerlConfig) -> str | None:
    """The question that a text holds, on one line; None if it is refused for what it says by itself.

    Refused: too few or too many words; what a text cannot show or asks for a program; a first character that is
    punctuation or not ASCII; control characters, which fit no prompt and no page [ours].
    Oddity of the released code, kept if `faithful`: the first letter becomes a capital and all others small, which
    breaks LaTeX (`\\Delta`, `\\Rightarrow`) and the names of points and sets. Else the text stays as it is.
    """
    # Words are counted first: from here on a text of any length costs time linear in it.
    words = text.split()
    if not config.min_words <= len(words) <= config.max_words:
        return None
    question = " ".join(words)
    if question[0] in string.punctuation or not question[0].isascii() or _OFF_LIMITS.search(question):
        return None
    if any(unicodedata.category(character) == "Cc" for character in question):
        return None
    return question.capitalize() if config.faithful else question


class Novelty:
    """Whether a question is new: its largest ROUGE-L F1 against others is within the limit.

    Tokens are runs of ASCII letters and digits, without case, not stemmed. F1 has the figures of the package
    rouge-score (Lin 2004), which is a hundred times slower and brings NLTK along.
    """

    def __init__(self, others: Iterable[str], limit: float):
        self.limit = limit
        self.known = [_tokens(text) for text in others]

    def admits(self, question: str) -> bool:
        tokens = _tokens(question)
        return all(_f1(tokens, known) <= self.limit for known in self.known)

    def add(self, question: str) -> None:
        self.known.append(_tokens(question))


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _f1(first: list[str], second: list[str]) -> float:
    # With L common tokens, precision L/m and recall L/n: F1 = 2L / (m + n).
    return 2 * LCSseq.similarity(first, second) / (len(first) + len(second)) if first and second else 0.0
