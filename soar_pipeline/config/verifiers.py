"""What decides whether an answer is the gold of a data set (docs/verdicts.md)."""

from typing import Literal

from pydantic import Field

from soar_pipeline.config.policy import GradingConfig
from soar_pipeline.config.section import Section


class OwnVerifier(Section):
    """A function of yours in place of a built-in verifier: `def same(gold: str, answer: str) -> bool`."""

    file: str
    """Python file that has it (docs/verdicts.md)"""

    function: str = Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")
    """its name"""

    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """SHA-256 that the file must have; none: any, and an edit makes the jobs due again that grade"""


TaskConfig = dict[str, bool | int | float | str | tuple[bool | int | float | str, ...]]


class TaskScorer(Section):
    """The own scorer of a task of Reasoning Gym: the verifier of data sets with adapter reasoning_gym."""

    task: str
    task_config: TaskConfig = {}


BuiltIn = Literal["math_verify", "exact"]
Verifier = BuiltIn | OwnVerifier | TaskScorer


class DatasetGrading(GradingConfig):
    """How a job grades: the `grading` section, and the verifier of its data set with the digest of its file."""

    verifier: Verifier = "math_verify"
