r"""Problems of one's own: `question` and `answer`, and optionally `id`, `subject`, `level` and `solution`.

A whole solution may stand in `answer`: of GSM8K's form, which ends in `#### 5`, or with the answer in a box.
"""

from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.problems.answers import gold
from soar_pipeline.problems.rows import Problem, Row

_END_OF_SOLUTION = "####"
AFTER_HASHES = "the answer is what stands after the last '####' of its field"
IN_A_BOX = "the answer is what stands in the last \\boxed{} of its field"


def plain_problem(row: Row) -> Problem:
    """ArtifactError if the row is malformed."""
    answer, remark = _stated(row.text("answer"))
    if not answer:
        raise row.error("'answer' ends without an answer; write it after '####' or into the box")
    # A solution that stands in `answer` ends there with the answer.
    worked = row.text("answer").partition(_END_OF_SOLUTION)[0] if remark else ""
    return Problem(
        problem_id=row.problem_id,
        question=row.text("question"),
        answer=gold(answer),
        subject=row.optional_text("subject") or None,
        level=row.optional_text("level") or None,
        solution=row.usable_text("solution") or worked or None,
        remark=remark,
    )


def _stated(answer: str) -> tuple[str, str | None]:
    """The answer of a field that may hold a solution, and a remark if it does."""
    if _END_OF_SOLUTION in answer:
        return answer.rpartition(_END_OF_SOLUTION)[2].strip(), AFTER_HASHES
    boxed = last_boxed(answer)
    return (answer, None) if boxed is None else (boxed, IN_A_BOX)
