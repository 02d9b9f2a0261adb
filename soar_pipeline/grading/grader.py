"""Verdicts on completions: the last box against the gold answer, by Math-Verify (spec section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from soar_pipeline.config import GradingConfig
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.fast_path import is_plain_integer, settled
from soar_pipeline.grading.workers import Request, Workers

# Verdicts remembered at most; beyond it the memory starts afresh.
REMEMBERED = 100_000


@dataclass(frozen=True)
class Grade:
    """`verdict` is one of artifacts.VERDICTS; `extracted_answer` the content of the last box, None without one."""

    verdict: str
    extracted_answer: str | None


class Grader:
    """Grades completions, with worker processes where they are needed; a context manager, or call `close`.

    Belongs to the process and the thread that made it.
    """

    def __init__(self, config: GradingConfig):
        self._workers = Workers(config)
        self._known: dict[Request, bool | None] = {}

    def grade(self, pairs: Sequence[tuple[str, str]]) -> list[Grade]:
        """One grade per pair (gold answer, completion).

        Math-Verify alone would prefer text after the box, and text without one: it only sees the content of the last
        box. An empty box is wrong, and so is every box against an empty gold. A gold that is no expression (`parses`
        tells) is right only against its own text. `timeout` where the comparison takes too long or too much memory.
        """
        answers = [last_boxed(completion) for _, completion in pairs]
        boxed = [(gold, answer) for (gold, _), answer in zip(pairs, answers, strict=True) if answer is not None]
        verified = iter(self.verify(boxed))
        return [
            Grade("no_box", None) if answer is None else Grade(_verdict(next(verified)), answer) for answer in answers
        ]

    def parses(self, answers: Sequence[str]) -> list[bool]:
        """Whether Math-Verify reads each answer, boxed, as an expression; False where that takes too long."""
        stripped = [answer.strip() for answer in answers]
        replies = self._replies([("parses", answer) for answer in stripped if not is_plain_integer(answer)])
        return [is_plain_integer(answer) or replies["parses", answer] is True for answer in stripped]

    def verify_themselves(self, golds: Sequence[str]) -> list[bool]:
        """Whether Math-Verify takes each gold answer for itself; False where that takes too long.

        Unlike `parses` it lets a gold pass that is only compared as a string, as `grade` does: a published answer need
        not be an expression. A gold that fails could be met by its own text alone, which Math-Verify cannot read.
        """
        stripped = [gold.strip() for gold in golds]
        replies = self._replies([("verifies", gold, gold) for gold in stripped if not is_plain_integer(gold)])
        return [is_plain_integer(gold) or replies["verifies", gold, gold] is True for gold in stripped]

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """Whether each answer verifies against the gold before it; None where that takes too long.

        The comparison is not symmetric. An empty answer is wrong, and so is every answer against an empty gold.
        """
        stripped = [(gold.strip(), answer.strip()) for gold, answer in pairs]
        quick = [settled(*pair) for pair in stripped]
        unsettled = [("verifies", *pair) for pair, right in zip(stripped, quick, strict=True) if right is None]
        replies = self._replies(unsettled)
        return [
            replies["verifies", *pair] if right is None else right for pair, right in zip(stripped, quick, strict=True)
        ]

    def _replies(self, requests: list[Request]) -> dict[Request, bool | None]:
        """The workers' replies, by request; they are asked only what they have not been asked before."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        new = [request for request in dict.fromkeys(requests) if request not in self._known]
        self._known |= zip(new, self._workers.replies(new), strict=True)
        return self._known

    def close(self) -> None:
        """End the workers; a later `grade` starts new ones."""
        self._workers.close()

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _verdict(verified: bool | None) -> str:
    return "timeout" if verified is None else "right" if verified else "wrong"
