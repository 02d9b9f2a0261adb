"""The verifiers of data sets, as grading workers run them (docs/verdicts.md).

A verifier answers the requests of REQUESTS, which are methods of one or two stripped texts. Math-Verify's are the
functions of comparison.py. Every other verifier is one function that says whether an answer is the gold.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from soar_pipeline.grading import comparison
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.normalisation import normalised

REQUESTS = ("verifies", "parses", "can_be_met", "met_in_other_notation", "loosely_equal")


class VerifierError(Exception):
    """A verifier that cannot be used, or that gave no verdict; the message says which and why."""


class FunctionVerifier:
    """A verifier made of a function (gold, answer) -> bool."""

    def __init__(self, same: Callable[[str, str], bool]):
        self.same = same

    def verifies(self, gold: str, answer: str) -> bool:
        """An empty answer is wrong, and so is every answer against an empty gold."""
        return bool(gold and answer) and self.same(gold, answer)

    def parses(self, answer: str) -> bool:
        """Whether the answer can be a gold: it is right against itself."""
        return self.verifies(answer, answer)

    def can_be_met(self, gold: str) -> bool:
        """Whether the gold fits into a box and is right there."""
        return last_boxed(rf"\boxed{{{gold}}}") == gold and self.parses(gold)

    def met_in_other_notation(self, gold: str) -> bool:
        """True: such a gold need not have another notation."""
        return True

    def loosely_equal(self, gold: str, answer: str) -> bool:
        """As for Math-Verify."""
        return comparison.loosely_equal(gold, answer)


def verifier_of(named: str | dict[str, Any]) -> ModuleType | FunctionVerifier:
    """The verifier that a worker's command line names. Raises VerifierError if it cannot be used."""
    if named == "math_verify":
        return comparison
    if named == "exact":
        return FunctionVerifier(equal_texts)
    # Workers of the others start without what these import: the configuration's models, packages of an extra.
    from soar_pipeline.config.verifiers import OwnVerifier, TaskScorer

    if "task" in named:
        from soar_pipeline.grading.gym import TaskVerifier

        return TaskVerifier(TaskScorer(**named))
    from soar_pipeline.grading.own import own_function

    return FunctionVerifier(own_function(OwnVerifier(**named)))


def equal_texts(gold: str, answer: str) -> bool:
    """Whether two texts are equal in the one spelling of normalisation.py, and not empty in it."""
    return normalised(gold) == normalised(answer) != ""
