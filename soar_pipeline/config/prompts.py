"""The texts of the prompt files."""

from pathlib import Path

from soar_pipeline.config.policy import PromptConfig
from soar_pipeline.config.section import ConfigError, Section

# What each prompt must hold exactly once. The judge's must hold {boundary} too, before and after what it judges.
PLACEHOLDERS = {
    "student": ("{question}",),
    "teacher": (),
    "judge": ("{question}", "{answer}"),
    "serl": ("{questions}",),
    "serl_rollout": ("{question}",),
    "teacher_question": (),
    "teacher_answer": ("{question}",),
}


def read_prompt(prompts: PromptConfig, role: str) -> str:
    """The text of a prompt file, without line breaks at its end.

    Raises ConfigError that names `prompts.<role>` if the file cannot be read, is empty, or does not hold a
    placeholder exactly once.
    """
    path = Path(getattr(prompts, role))
    try:
        text = path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise ConfigError(f"prompts.{role}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"prompts.{role}: {path} is not text in UTF-8") from None
    if not text.strip():
        raise ConfigError(f"prompts.{role}: {path} is empty")
    for placeholder in PLACEHOLDERS[role]:
        if (count := text.count(placeholder)) != 1:
            raise ConfigError(
                f"prompts.{role}: {path} must hold {placeholder} exactly once, and holds it {count} times"
            )
    if role == "judge" and text.count("{boundary}") < 2:
        raise ConfigError(f"prompts.judge: {path} must hold {{boundary}} before and after the question and its answer")
    return text


class Prompts(Section):
    """Prompt texts of student and teacher.

    A teacher that writes in two turns is asked for a question by `teacher`, and by `teacher_answer` for the answer. In
    one turn there is no `teacher_answer`.
    """

    student: str = ""
    teacher: str = ""
    teacher_answer: str | None = None


class SerlPrompts(Section):
    """By which SeRL writes questions, and by which it answers them."""

    questions: str
    rollout: str


def read_prompts(prompts: PromptConfig, turns: int = 1) -> Prompts:
    """The texts of the prompt files; ConfigError if a file cannot be read or lacks its placeholder."""
    roles = {"student": "student", "teacher": "teacher"}
    if turns == 2:
        roles |= {"teacher": "teacher_question", "teacher_answer": "teacher_answer"}
    return Prompts(**{field: read_prompt(prompts, role) for field, role in roles.items()})
