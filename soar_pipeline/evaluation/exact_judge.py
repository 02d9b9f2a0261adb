"""The embedded world's judge: it computes what a model would have to be asked about.

How its verdicts map to the kinds of error of the taxonomy:

- `ill_posed`: the text states no problem of this world. Never `ambiguous`: a text that does has exactly one reading.
- `none`: the stated answer verifies against the computed one, by the same grader that rewards the students.
- `arithmetic`: wrong, but made of the start's digits. Every operation keeps the digits, and some string of operations
  leads to each of their orders, so this is what wrong execution looks like.
- `logical_fallacy`: any other wrong answer: no operations, executed rightly or wrongly, lead from the start to it.
"""

from collections.abc import Sequence

from soar_pipeline.evaluation.taxonomy import Case, ErrorType, Judgement, Verdict
from soar_pipeline.grading.grader import Grader
from soar_pipeline.problems import digit_shuffles


class EmbeddedWorldJudge:
    """Judges digit shuffles; a :class:`~.taxonomy.Judge`."""

    def __init__(self, grader: Grader):
        self.grader = grader

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        shuffles = [digit_shuffles.parse(question) for question, _ in cases]
        stated = [
            (shuffle.answer, rf"\boxed{{{answer}}}")
            for shuffle, (_, answer) in zip(shuffles, cases, strict=True)
            if shuffle is not None
        ]
        grades = iter(self.grader.grade(stated))
        return [
            _ILL_POSED if shuffle is None else _judgement(shuffle, answer, next(grades).verdict)
            for shuffle, (_, answer) in zip(shuffles, cases, strict=True)
        ]


def _found(verdict: Verdict | None, reason: str | None = None) -> Judgement:
    return Judgement(verdict, reason, attempts=0, prompt_tokens=0, completion_tokens=0)


_ILL_POSED = _found(Verdict(well_posed=False, correct=False, error_type="ill_posed", correct_answer=None))


def _judgement(shuffle: digit_shuffles.Shuffle, stated: str, grade: str) -> Judgement:
    if grade == "timeout":
        return _found(None, f"the stated answer could not be compared with {shuffle.answer} in time")
    error: ErrorType = "none"
    if grade != "right":
        error = "arithmetic" if sorted(stated.strip()) == sorted(shuffle.start) else "logical_fallacy"
    return _found(
        Verdict(well_posed=True, correct=error == "none", error_type=error, correct_answer=shuffle.answer),
    )
