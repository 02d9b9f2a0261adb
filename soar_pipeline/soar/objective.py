"""A teacher's objective: its reward, loaded and with its context; what it returns is checked."""

import math
from collections import Counter

from soar_pipeline.config import ConfigError, ObjectiveConfig
from soar_pipeline.config.own_functions import read_reward_file
from soar_pipeline.soar.rewards import BUILT_IN, DatasetRewards, OuterStep, RewardContext, TeacherReward


class Objective:
    """Rewards the datasets of outer steps, by the reward that `objectives.<name>` in the configuration names."""

    def __init__(self, name: str, config: ObjectiveConfig, reward: TeacherReward, context: RewardContext):
        self.name, self.config, self.reward, self.context = name, config, reward, context

    @property
    def promotes(self) -> bool:
        """Whether students are promoted."""
        return self.config.promotion

    def rewards(self, step: OuterStep) -> DatasetRewards:
        """R_k of each dataset. Raises ConfigError naming the key if the reward returns what cannot be used."""
        self.context.evaluator.set_weights(step.baseline)
        scored = self.reward(step, self.context)
        if not isinstance(scored, DatasetRewards):
            raise self._error("reward", step, f"returned {type(scored).__name__}; return DatasetRewards(rewards)")
        rewards = self._numbers(scored, step)
        if self.promotes:
            self._check_promotable(scored, step)
        return DatasetRewards(rewards, scored.results)

    def _numbers(self, scored: DatasetRewards, step: OuterStep) -> list[float]:
        """One finite number per dataset."""
        try:
            rewards = [float(reward) for reward in scored.rewards]
        except (TypeError, ValueError):
            raise self._error("reward", step, f"returned {scored.rewards!r}; return a list of numbers") from None
        if len(rewards) != len(step.datasets):
            counts = f"returned {len(rewards)} rewards for {len(step.datasets)} datasets"
            raise self._error("reward", step, f"{counts}; return one per dataset, in their order")
        if not all(map(math.isfinite, rewards)):
            raise self._error("reward", step, f"returned {rewards}; every reward must be a finite number")
        return rewards

    def _check_promotable(self, scored: DatasetRewards, step: OuterStep) -> None:
        """A student of the best dataset is promoted, and any dataset may be the best one."""
        students = Counter((result.dataset_index, result.repeat) for result in scored.results)
        without = sorted(set(range(len(step.datasets))) - {dataset for dataset, _ in students})
        if without:
            raise self._error(
                "promotion",
                step,
                f"returned no student result of dataset {without[0]}, so there may be no student to promote; return "
                "the results of context.students.train, or set promotion: false",
            )
        repeated = [student for student, count in students.items() if count > 1]
        if repeated:
            dataset, repeat = repeated[0]
            raise self._error(
                "promotion",
                step,
                f"returned two student results of dataset {dataset}, repeat {repeat}; return the results of the last "
                "context.students.train alone, whose students are still kept",
            )

    def _error(self, key: str, step: OuterStep, what: str) -> ConfigError:
        return ConfigError(f"objectives.{self.name}.{key}: {self.config.reward} at outer step {step.number} {what}")


def load_reward(name: str, config: ObjectiveConfig, sha256: str | None) -> TeacherReward:
    """The reward of `objectives.<name>`: a built-in one, or a function of a file whose digest must be `sha256`.

    Raises ConfigError naming the key if the file cannot be used or has changed since the run was planned.
    """
    file = read_reward_file(config, name)
    if file is None:
        return BUILT_IN[config.reward]
    if file.sha256 != sha256:
        raise ConfigError(
            f"objectives.{name}.reward: {file.path} has changed since this run was planned; start Snakemake again"
        )
    return file.load(f"teacher_reward_{name}")
