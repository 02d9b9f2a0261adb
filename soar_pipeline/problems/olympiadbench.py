"""OlympiadBench as published (arXiv 2402.14008): `id`, `subfield`, `context`, `question`, `final_answer` and more.

Of any file of it, the problems of the subset OE_TO_maths_en_COMP are used: open-ended, text-only,
mathematics, English, automatically checkable. A field that says so may be missing (the JSON files say it by their
name); then the text itself must not say otherwise.
"""

import re
from typing import Any

from soar_pipeline.problems.answers import gold, joined
from soar_pipeline.problems.rows import LeftOut, Problem, Row

# What a row may say of itself, beginning like this, case apart.
WANTED = {"subject": "math", "language": "en", "modality": "text", "question_type": "open"}
TOLERANCE_UNUSED = "its tolerance (`error`) is not used: a decimal is the number that it writes"
_IMAGE = re.compile(r"<img_\d+>")
_CHINESE = re.compile("[\u4e00-\u9fff]")


def olympiadbench_problem(row: Row) -> Problem:
    """ArtifactError if the row is malformed; LeftOut if it is not of the subset, or has no answer."""
    question = row.text("question")
    if context := row.optional_text("context"):
        question = f"{context}\n{question}"
    _check_kind(row, question)
    return Problem(
        problem_id=row.problem_id,
        question=question,
        answer=_answer(row),
        subject=row.optional_text("subfield") or None,
        level=row.optional_text("difficulty") or None,
        solution=_solution(row),
        remark=TOLERANCE_UNUSED if row.optional_text("error") else None,
    )


def _check_kind(row: Row, question: str) -> None:
    for field, wanted in WANTED.items():
        text = row.optional_text(field)
        if text and not text.casefold().startswith(wanted):
            raise LeftOut(f"{field!r} is {text[:40]!r}")
    if row.flag("is_proof"):
        raise LeftOut("'is_proof' is true")
    if "human" in (row.optional_text("answer_type") or "").casefold():
        raise LeftOut("'answer_type' says that a human must judge the answer")
    if _IMAGE.search(question):
        raise LeftOut("the question refers to an image")
    if _CHINESE.search(question):
        raise LeftOut("the question is Chinese")


def _answer(row: Row) -> str:
    values = row.values.get("final_answer")
    listed = values if isinstance(values, list) else [values]
    texts = [row.text_of("final_answer", value) for value in listed if not _nothing(value)]
    answers = [text for text in texts if text]
    if not answers:
        raise LeftOut("'final_answer' is empty")
    if row.flag("is_multiple_answer"):
        return joined(answers)
    if len(answers) > 1:
        raise LeftOut("'final_answer' holds several answers, but 'is_multiple_answer' is not true")
    return gold(answers[0])


def _solution(row: Row) -> str | None:
    """The first of a problem's solutions."""
    listed = row.values.get("solution")
    first = listed[0] if isinstance(listed, list) and listed else listed
    return Row(row.source, row.number, {"solution": first}).usable_text("solution")


def _nothing(value: Any) -> bool:
    return value is None or value != value
