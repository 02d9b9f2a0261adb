r"""Reading a teacher's completion: `<question>…</question><answer>\boxed{…}</answer>` (spec section 3)."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

from soar_pipeline.grading.boxes import last_boxed

TAGS = ("<question>", "</question>", "<answer>", "</answer>")

Reason = Literal[
    "missing_tag", "repeated_tag", "tag_order", "empty_question", "control_character", "no_box", "empty_box"
]


@dataclass(frozen=True)
class ParsedQuestion:
    """A question and its answer: the content of the last box between the answer tags. Both stripped, not empty."""

    question: str
    answer: str


@dataclass(frozen=True)
class Rejection:
    """Why a completion is no question, as one word to count by."""

    reason: Reason


def parse_teacher_completion(text: str) -> ParsedQuestion | Rejection:
    """The question that a completion states, by its form alone: the caller asks Math-Verify about the answer.

    Each tag stands exactly once and in order (so no second question, nothing nested); any working stands around and
    between them. Tags are lower case. Control characters other than line ends and tabs fit no prompt and no page.
    """
    counts = [text.count(tag) for tag in TAGS]
    if min(counts) == 0:
        return Rejection("missing_tag")
    if max(counts) > 1:
        return Rejection("repeated_tag")
    places = [text.index(tag) for tag in TAGS]
    if places != sorted(places):
        return Rejection("tag_order")
    question, answer = (
        text[places[i] + len(TAGS[i]) : places[i + 1]].strip()
        for i in (TAGS.index("<question>"), TAGS.index("<answer>"))
    )
    if not question:
        return Rejection("empty_question")
    boxed = last_boxed(answer)
    if boxed is None:
        return Rejection("no_box")
    if not boxed:
        return Rejection("empty_box")
    if _has_control_character(question + boxed):
        return Rejection("control_character")
    return ParsedQuestion(question, boxed)


def tagged(text: str, name: str) -> str:
    """What stands between `<name>` and `</name>`, stripped; a missing tag is taken to stand at that end of the text."""
    before, _, _ = text.partition(f"</{name}>")
    return before.partition(f"<{name}>")[2].strip() if f"<{name}>" in before else before.strip()


def without_control_characters(text: str) -> str:
    return "".join(character for character in text if not _is_control(character))


def _has_control_character(text: str) -> bool:
    return any(map(_is_control, text))


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\n\r\t"
