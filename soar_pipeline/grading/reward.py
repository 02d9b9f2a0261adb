"""The student's reward (docs/method.md §4)."""

from soar_pipeline.config import StudentConfig
from soar_pipeline.grading.entries import stated_answer
from soar_pipeline.grading.grader import Grade


def student_reward(answer: str, grade: Grade, config: StudentConfig) -> float | None:
    """120 for a right box, 20 for a box in which the text of `answer` occurs, 10 for any box, 0 without one.

    None, which TRL leaves out of the group, if the verification timed out: unscorable is not wrong.
    Source: docs/method.md §4 (the figures are `config`'s); "y's answer" is read as the content of y's last box.
    """
    if grade.verdict == "timeout":
        return None
    if grade.verdict == "right":
        return config.reward_right
    if grade.verdict == "no_box":
        return 0.0
    text = stated_answer(answer.strip())
    return config.reward_contains if text and text in grade.extracted_answer else config.reward_boxed
