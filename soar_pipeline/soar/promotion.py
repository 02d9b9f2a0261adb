"""When a trained student becomes the new baseline (spec section 5, step 3)."""

from dataclasses import dataclass

from soar_pipeline.soar.students import Trial


@dataclass
class RewardWindow:
    """Mean rewards since the last promotion; the moving average exists once the window is full."""

    size: int
    rewards: list[float]

    def add(self, mean_reward: float) -> None:
        self.rewards = [*self.rewards, mean_reward][-self.size :]

    @property
    def average(self) -> float | None:
        return sum(self.rewards) / self.size if len(self.rewards) == self.size else None

    def restart(self) -> None:
        self.rewards = []


def best_dataset(rewards: list[float]) -> int:
    """k* = argmax_k R_k, the first one in a tie."""
    return max(range(len(rewards)), key=lambda k: rewards[k])


def median_repeat(trials: list[Trial], dataset_index: int) -> Trial:
    """The repeat of a dataset whose reward is the lower median: a typical student, not a lucky one."""
    repeats = sorted(
        (trial for trial in trials if trial.dataset_index == dataset_index),
        key=lambda trial: (trial.reward, trial.repeat),
    )
    return repeats[(len(repeats) - 1) // 2]
