"""Verdicts on completions: the last box against the gold answer (docs/verdicts.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from soar_pipeline.config.verifiers import Verifier
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.fast_path import is_plain_integer, settled
from soar_pipeline.grading.workers import Request, Workers

# Verdicts remembered at most; beyond it the memory starts afresh.
REMEMBERED = 100_000


@dataclass(frozen=True)
class Grade:
    """`verdict` is one of schemas.VERDICTS; `extracted_answer` the content of the last box, None without one."""

    verdict: str
    extracted_answer: str | None


class Grader:
    """Grades completions, with worker processes if they are needed; a context manager, or call `close`.

    workers: processes at once; timeout_seconds: CPU seconds of one comparison; memory_mb: MB that a worker may take
    above its start size. A comparison that needs more of either is a `timeout`. verifier: what decides whether an
    answer is the gold. A grader belongs to the process and the thread that made it.

    A verifier of the user's own that raises, returns no bool, or lies in a file that has changed is a ConfigError of
    whichever method asks it.
    """

    def __init__(
        self,
        workers: int = 1,
        timeout_seconds: int = 5,
        memory_mb: int = 2048,
        verifier: Verifier = "math_verify",
    ):
        self.reads_mathematics = verifier == "math_verify"
        self._workers = Workers(workers, timeout_seconds, memory_mb, verifier)
        self._known: dict[Request, bool | None] = {}

    def grade(self, pairs: Sequence[tuple[str, str]]) -> list[Grade]:
        """One grade per pair (gold answer, completion).

        Only the content of the last box counts: not a text after it, nor one without a box. An empty box is wrong, and
        so is every box against an empty gold. A gold that is not an expression (`parses` tells) is met by its own text
        alone. `timeout` if the comparison takes too long or too much memory.
        """
        answers = [last_boxed(completion) for _, completion in pairs]
        boxed = [(gold, answer) for (gold, _), answer in zip(pairs, answers, strict=True) if answer is not None]
        verified = iter(self.verify(boxed))
        return [
            Grade("no_box", None) if answer is None else Grade(_verdict(next(verified)), answer) for answer in answers
        ]

    def parses(self, answers: Sequence[str]) -> list[bool]:
        """Whether each answer can be a gold; False if to find that out takes too long.

        To Math-Verify that is one that can be read as an expression; to another verifier, one that is right against
        itself.
        """
        return self._hold("parses", answers)

    def can_be_met(self, golds: Sequence[str]) -> list[bool]:
        """Whether some box could be right against each gold; False if to find that out takes too long.

        Unlike `parses` of Math-Verify it lets a gold pass that is only compared as a text, as `grade` does: a published
        answer need not be an expression. What is left is empty, does not fit into a box, or is not right against
        itself to another verifier.
        """
        return self._hold("can_be_met", golds)

    def _hold(self, kind: str, texts: Sequence[str]) -> list[bool]:
        """Whether a request about one text is met by each; a plain integer meets those of Math-Verify."""
        stripped = [text.strip() for text in texts]
        plain = [self.reads_mathematics and is_plain_integer(text) for text in stripped]
        replies = self._replies([(kind, text) for text, known in zip(stripped, plain, strict=True) if not known])
        return [known or replies[kind, text] is True for text, known in zip(stripped, plain, strict=True)]

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """Whether each answer verifies against the gold before it; None if that takes too long.

        The comparison is not symmetric. An empty answer is wrong, and so is every answer against an empty gold.
        """
        stripped = [(gold.strip(), answer.strip()) for gold, answer in pairs]
        quick = [self._settled(*pair) for pair in stripped]
        unsettled = [("verifies", *pair) for pair, right in zip(stripped, quick, strict=True) if right is None]
        replies = self._replies(unsettled)
        return [
            replies["verifies", *pair] if right is None else right for pair, right in zip(stripped, quick, strict=True)
        ]

    def _settled(self, gold: str, answer: str) -> bool | None:
        """A verdict that needs no worker, if there is one."""
        if self.reads_mathematics:
            return settled(gold, answer)
        return None if gold and answer else False

    def met_in_other_notation(self, golds: Sequence[str]) -> list[bool]:
        """Whether each gold is met by its own value as SymPy writes it; True if that takes too long."""
        replies = self._replies([("met_in_other_notation", gold) for gold in golds])
        return [replies["met_in_other_notation", gold] is not False for gold in golds]

    def loosely_equal(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether a lenient reader may take each answer for the gold before it."""
        replies = self._replies([("loosely_equal", *pair) for pair in pairs])
        return [replies[("loosely_equal", *pair)] is True for pair in pairs]

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
