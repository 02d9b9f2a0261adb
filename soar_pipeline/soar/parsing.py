r"""Reading a teacher's completion: `<question>…</question><answer>\boxed{…}</answer>` (docs/method.md §3)."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from soar_pipeline.grading.boxes import last_boxed

TAGS = ("<question>", "</question>", "<answer>", "</answer>")

Reason = Literal["missing_tag", "tag_order", "empty_question", "control_character", "no_box", "empty_box"]

# Text without any of the tags, and a question with the answer that follows it before the next question.
_PLAIN = r"(?:(?!</?(?:question|answer)>).)*"
_PAIR = re.compile(
    f"<question>(?P<question>{_PLAIN})</question>(?:(?!<question>{_PLAIN}</question>).)*?"
    f"<answer>(?P<answer>{_PLAIN})</answer>",
    re.DOTALL,
)


@dataclass(frozen=True)
class ParsedQuestion:
    """A question and its answer: the content of the last box between the answer tags. Both stripped, not empty."""

    question: str
    answer: str


@dataclass(frozen=True)
class Rejection:
    """Why a completion is not a question, as one word to count by."""

    reason: Reason


def parse_teacher_completion(text: str) -> ParsedQuestion | Rejection:
    """The question that a completion states, by its form alone: the caller asks Math-Verify about the answer.

    The first complete pair of a question and an answer counts; whatever else stands before it, between the two and
    after it is of no account, further tags too. Tags are lower case. Control characters other than line ends and tabs
    fit no prompt and no page.
    """
    pair = _PAIR.search(text)
    if pair is None:
        return Rejection("tag_order" if all(tag in text for tag in TAGS) else "missing_tag")
    question, answer = pair["question"].strip(), pair["answer"].strip()
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
    """What stands between `<name>` and `</name>`, stripped; a missing tag counts as if it stood at that end."""
    before, _, _ = text.partition(f"</{name}>")
    return before.partition(f"<{name}>")[2].strip() if f"<{name}>" in before else before.strip()


def without_control_characters(text: str) -> str:
    return "".join(character for character in text if not _is_control(character))


def _has_control_character(text: str) -> bool:
    return any(map(_is_control, text))


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\n\r\t"
