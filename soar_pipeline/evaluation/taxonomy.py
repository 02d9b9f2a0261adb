"""The taxonomy of questions: what a judge says about each, and the shares over many (docs/method.md §8).

The five kinds of error split the questions: one that has no single meaning or no solution (`ambiguous`, `ill_posed`)
is not well posed and has no right answer; a well-posed one has an answer, and the stated one is right (`none`) or
wrong (`arithmetic`, `logical_fallacy`). So the kind decides the other two verdicts. (The paper's figures agree with
that reading: in each column of its table 7, well posed is correct + arithmetic + logical within 2.5 points.)
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from soar_pipeline.config import EndpointJudge, readable

ErrorType = Literal["none", "arithmetic", "logical_fallacy", "ill_posed", "ambiguous"]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)
NOT_WELL_POSED = ("ill_posed", "ambiguous")

REASON_LENGTH = 300
_PLACEHOLDER = re.compile(r"\{(boundary|question|answer)\}")


class MalformedReply(ValueError):
    """A reply that holds no verdict; the message says why, in one short line."""

    def __init__(self, reason: str):
        super().__init__(one_line(reason))


class Verdict(BaseModel):
    """What a judge says about one question; combinations that contradict themselves are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    well_posed: bool
    correct: bool
    error_type: ErrorType
    correct_answer: Annotated[str, Field(min_length=1, max_length=2000)] | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.well_posed == (self.error_type in NOT_WELL_POSED):
            raise ValueError(f"well_posed {self.well_posed} contradicts error_type {self.error_type}")
        if self.correct != (self.error_type == "none"):
            raise ValueError(f"correct {self.correct} contradicts error_type {self.error_type}")
        if self.well_posed != (self.correct_answer is not None):
            raise ValueError("correct_answer belongs to well-posed questions, and only to them")
        return self


class _JudgesReply(Verdict):
    """A verdict as a model writes it: behind its working, which makes the verdict better and is not kept."""

    working: str


@dataclass(frozen=True)
class Judgement:
    """The verdict on one question, or None and the reason.

    attempts: replies that were read for it, cached or not (0: the judge is not a model); tokens: of all these replies,
    None if the judge does not count them.
    """

    verdict: Verdict | None
    reason: str | None
    attempts: int
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True)
class Reply:
    """What a model answered to one request; truncated: cut off at the token limit."""

    text: str
    truncated: bool
    prompt_tokens: int | None
    completion_tokens: int | None


Case = tuple[str, str]
"""A question and the answer that its writer gives."""


class Judge(Protocol):
    """Anything that judges questions."""

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """One judgement per case, in order."""
        ...


def judge_prompt(template: str, case: Case) -> str:
    """The template with the case in it, between boundaries that the case itself cannot contain.

    Question and answer are untrusted: a model wrote them, and one that gains from good verdicts may learn to address
    the judge. The boundary depends on their text by a hash, so no text can hold its own.
    """
    question, answer = case
    boundary = hashlib.sha256(json.dumps(case).encode()).hexdigest()[:16]
    values = {"boundary": boundary, "question": question, "answer": answer}
    # One pass: a question that says {answer} stays as it is.
    return _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], template)


def parse_verdict(reply: Reply) -> Verdict:
    """The verdict in a reply: one JSON object with exactly the keys of the prompt, and nothing around it.

    Raises MalformedReply; nothing is repaired or guessed.
    """
    try:
        return _verdict(reply.text)
    except MalformedReply as error:
        cut = " (the reply was cut off at the token limit)" if reply.truncated else ""
        raise MalformedReply(f"{error}{cut}") from None


def _verdict(text: str) -> Verdict:
    try:
        values = json.loads(_unfenced(text.strip()), object_pairs_hook=_without_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise MalformedReply(f"not a JSON object: {error}") from None
    try:
        said = _JudgesReply.model_validate(values)
    except ValidationError as error:
        raise MalformedReply(readable(error)) from None
    return Verdict.model_validate(said.model_dump(exclude={"working"}))


def _unfenced(text: str) -> str:
    """Without the Markdown fence that models like to put around JSON; any other text around it is refused later."""
    if text.startswith("```") and text.endswith("```"):
        language, _, fenced = text[3:-3].partition("\n")
        if language.strip() in ("", "json"):
            return fenced
    return text


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is repeated")
    return dict(pairs)


def one_line(text: str) -> str:
    """What others wrote, fit for a reason or an error message: no line ends or control characters, not long."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:REASON_LENGTH]


def judgement(replies: Sequence[Reply], verdict: Verdict | None, reason: str | None) -> Judgement:
    """A judgement with what its replies cost."""
    return Judgement(
        verdict=verdict,
        reason=None if verdict else reason,
        attempts=len(replies),
        prompt_tokens=total(reply.prompt_tokens for reply in replies),
        completion_tokens=total(reply.completion_tokens for reply in replies),
    )


def total(counts: Iterable[int | None]) -> int | None:
    """Their sum; None if one of them is not known."""
    counts = list(counts)
    return None if None in counts else sum(counts)


def judged_rows(questions: Sequence[Mapping[str, Any]], judge: Judge) -> list[dict[str, Any]]:
    """The TAXONOMY columns of each question (rows with `question_id`, `question` and `answer`), in order.

    Equal questions with equal answers are judged once; what that cost stands in the first one's row.
    """
    cases = [(row["question"], row["answer"]) for row in questions]
    different = list(dict.fromkeys(cases))
    judgements = dict(zip(different, judge.judge(different), strict=True))
    paid: set[Case] = set()
    rows = []
    for row, case in zip(questions, cases, strict=True):
        judged = judgements[case]
        first = case not in paid
        paid.add(case)
        verdict = judged.verdict.model_dump() if judged.verdict else dict.fromkeys(Verdict.model_fields)
        rows.append(
            {
                "question_id": row["question_id"],
                "question": row["question"],
                "answer": row["answer"],
                **verdict,
                "attempts": judged.attempts if first else 0,
                "reason": judged.reason,
                "prompt_tokens": judged.prompt_tokens if first else 0,
                "completion_tokens": judged.completion_tokens if first else 0,
            }
        )
    return rows


def prices(judge: object) -> tuple[float, float] | None:
    """Of a prompt token and of a completion token, in the currency of the configuration; None if it gives none."""
    if not isinstance(judge, EndpointJudge) or judge.prompt_price is None:
        return None
    return judge.prompt_price / 1e6, judge.completion_price / 1e6
