"""The toy task's judge: it computes what another judge asks a model.

How the classes of questions (:func:`~soar_pipeline.problems.digit_shuffles.question_class`) map to the taxonomy's kinds
of error:

- malformed: `ill_posed`.
- ambiguous: `ambiguous`.
- trivial, useful, hard: `none`. The stated answer verifies against the computed one, by the same grader that rewards
  the students.
- wrong: `arithmetic` if it is made of the start's digits. Every operation keeps the digits, and some string of
  operations leads to each of their orders, so wrong execution looks like this. Else `logical_fallacy`: no operations,
  executed rightly or wrongly, lead from the start to it.
"""

from collections.abc import Sequence

from soar_pipeline.evaluation.taxonomy import Case, ErrorType, Judgement, Verdict
from soar_pipeline.grading.grader import Grader
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.problems.digit_shuffles import Shuffle, question_class


class ToyTaskJudge:
    """Judges digit shuffles; a :class:`~.taxonomy.Judge`."""

    def __init__(self, grader: Grader):
        self.grader = grader

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        shuffles = [digit_shuffles.parse(question) for question, _ in cases]
        have_answer = [shuffle is not None and not shuffle.ambiguous for shuffle in shuffles]
        stated = [
            (shuffle.answer, rf"\boxed{{{answer}}}")
            for shuffle, (_, answer), has in zip(shuffles, cases, have_answer, strict=True)
            if has
        ]
        grades = iter(self.grader.grade(stated))
        return [
            _judgement(shuffle, answer, next(grades).verdict if has else None)
            for shuffle, (_, answer), has in zip(shuffles, cases, have_answer, strict=True)
        ]


def _judgement(shuffle: Shuffle | None, stated: str, grade: str | None) -> Judgement:
    """grade: of the stated answer; None if no answer is right."""
    if grade == "timeout":
        return _exact(None, f"the stated answer could not be compared with {shuffle.answer} in time")
    error: ErrorType = "none"
    match question_class(shuffle, right=grade == "right"):
        case "malformed":
            error = "ill_posed"
        case "ambiguous":
            error = "ambiguous"
        case "wrong":
            error = "arithmetic" if sorted(stated.strip()) == sorted(shuffle.start) else "logical_fallacy"
    return _exact(
        Verdict(
            well_posed=grade is not None,
            correct=error == "none",
            error_type=error,
            correct_answer=None if grade is None else shuffle.answer,
        )
    )


def _exact(verdict: Verdict | None, reason: str | None = None) -> Judgement:
    return Judgement(verdict, reason, attempts=0, prompt_tokens=0, completion_tokens=0)
