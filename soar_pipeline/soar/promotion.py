"""When a trained student becomes the new baseline, and which (docs/method.md §5, step 3)."""

from dataclasses import asdict, dataclass, field
from typing import Any

from soar_pipeline.policy.weights import Weights
from soar_pipeline.questions import Question
from soar_pipeline.soar.students import StudentResult


@dataclass
class RewardWindow:
    """Mean rewards since the last promotion; their moving average exists once there are `size` of them."""

    size: int
    rewards: list[float] = field(default_factory=list)

    def add(self, mean_reward: float) -> float | None:
        """The moving average with this reward; None until the window is full."""
        self.rewards = [*self.rewards, mean_reward][-self.size :]
        return sum(self.rewards) / self.size if len(self.rewards) == self.size else None

    def restart(self) -> None:
        self.rewards = []


@dataclass(frozen=True)
class Candidate:
    """A student that may be promoted: a typical one of its outer step's best dataset, `questions`."""

    outer_step: int
    dataset_reward: float
    result: StudentResult
    questions: list[Question]
    weights: Weights

    def record(self) -> dict[str, Any]:
        """All but the weights, as JSON values."""
        questions = [asdict(question) for question in self.questions]
        return {**vars(self), "result": asdict(self.result), "questions": questions, "weights": None}

    @classmethod
    def of(cls, record: dict[str, Any], weights: Weights) -> "Candidate":
        result, questions = StudentResult(**record["result"]), [Question(**row) for row in record["questions"]]
        return cls(**record | {"result": result, "questions": questions, "weights": weights})


def best_first(candidates: list[Candidate], steps: int) -> list[Candidate]:
    """Those of the last `steps` outer steps, the one with the largest reward first.

    candidates: as this returned them at the outer step before, and the new one. Those that are no better than the new
    one are left out: they would never be first again.
    """
    *earlier, new = candidates
    left = [one for one in earlier if one.outer_step > new.outer_step - steps]
    return [*(one for one in left if one.dataset_reward > new.dataset_reward), new]


def best_dataset(rewards: list[float]) -> int:
    """k* = argmax_k R_k, the first one in a tie."""
    return max(range(len(rewards)), key=lambda k: rewards[k])


def median_repeat(results: list[StudentResult], dataset_index: int) -> StudentResult:
    """The student of a dataset whose reward is the lower median: a typical student, not a lucky one."""
    repeats = sorted(
        (result for result in results if result.dataset_index == dataset_index),
        key=lambda result: (result.reward, result.repeat),
    )
    return repeats[(len(repeats) - 1) // 2]
