"""Where a SOAR run stands after an outer step."""

from dataclasses import asdict, dataclass, field
from typing import Any

from soar_pipeline.models.policy import Weights
from soar_pipeline.training.checkpoints import Checkpoint


@dataclass
class Progression:
    """Everything small: what has been recorded, and the numbers that the next step needs."""

    step: int = 0
    stage: int = 0
    window: list[float] = field(default_factory=list)
    baseline_train_accuracy: float = 0.0
    best_train_accuracy: float = 0.0
    steps: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    students: list[dict[str, Any]] = field(default_factory=list)
    promotions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class RunState:
    """A progression with the weights that belong to it; `best` is the baseline with the best train accuracy."""

    progression: Progression
    teacher: Weights
    moments: Weights
    baseline: Weights
    best: Weights

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "RunState":
        return cls(Progression(**checkpoint.record), **checkpoint.weights)

    def checkpoint(self) -> Checkpoint:
        weights = {"teacher": self.teacher, "moments": self.moments, "baseline": self.baseline, "best": self.best}
        return Checkpoint(self.progression.step, asdict(self.progression), weights)
