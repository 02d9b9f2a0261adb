"""The verifier of a task of Reasoning Gym: its own scorer, for the entry that a gold names (docs/data.md)."""

from functools import lru_cache
from typing import Any

from soar_pipeline.config.verifiers import TaskScorer
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.entries import EntryReference, digest_of, entry_reference, stated_answer
from soar_pipeline.grading.verifiers import FunctionVerifier, VerifierError, equal_texts
from soar_pipeline.problems.gym_tasks import is_right, task_data

# Entries that a worker remembers: one is compared with many answers.
REMEMBERED = 1024


class TaskVerifier(FunctionVerifier):
    """Right is what the scorer gives full marks. A gold that names no entry, as a teacher's, is compared as a text."""

    def __init__(self, scorer: TaskScorer):
        """Raises VerifierError if the package is another one than was read, or refuses the configuration."""
        super().__init__(self._is_right)
        self.task, config = scorer.task, scorer.model_dump(mode="json")["task_config"]
        self._data = lru_cache(lambda seed, size: task_data(self.task, config, seed, size))
        self._entry = lru_cache(REMEMBERED)(self._made)
        try:
            self._data(0, 1)
        except ValueError as error:
            raise VerifierError(f"verifier: {error}") from None

    def parses(self, answer: str) -> bool:
        return entry_reference(answer) is not None or super().parses(answer)

    def can_be_met(self, gold: str) -> bool:
        """Whether the entry is made again as it was, and its own answer is right; an entry may have none to state."""
        reference, answer = entry_reference(gold), stated_answer(gold)
        if reference is None or not answer:
            return reference is not None and self._entry(reference) is not None
        return last_boxed(rf"\boxed{{{answer}}}") == answer and self._is_right(gold, answer)

    def loosely_equal(self, gold: str, answer: str) -> bool:
        return super().loosely_equal(stated_answer(gold), answer)

    def _is_right(self, gold: str, answer: str) -> bool:
        reference = entry_reference(gold)
        if reference is None:
            return equal_texts(gold, answer)
        entry = self._entry(reference)
        return entry is not None and is_right(self._data(reference.seed, reference.size), self.task, answer, entry)

    def _made(self, reference: EntryReference) -> dict[str, Any] | None:
        """None unless there is such an entry: a teacher may write whatever looks like a name of one."""
        try:
            entry = self._data(reference.seed, reference.size)[reference.index]
        except MemoryError:
            raise
        except Exception:
            return None
        return entry if digest_of(entry["question"]) == reference.digest else None
