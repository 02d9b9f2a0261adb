"""A teacher's objective: its reward, loaded and with its tools; what it returns is checked."""

import math
import sys
from collections import Counter
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader

from soar_pipeline.config import ConfigError, ObjectiveConfig
from soar_pipeline.reward_files import RewardFile, read_reward_file
from soar_pipeline.soar.rewards import BUILT_IN, OuterStep, Scores, TeacherReward, Tools


class Objective:
    """Scores outer steps by the reward that `objectives.<name>` in the configuration names."""

    def __init__(self, name: str, config: ObjectiveConfig, reward: TeacherReward, tools: Tools):
        self.name, self.config, self.reward, self.tools = name, config, reward, tools

    def score(self, step: OuterStep) -> Scores:
        """The reward's scores. Raises ConfigError naming the key where they cannot be used."""
        self.tools.examiner.set_weights(step.baseline)
        scores = self.reward(step, self.tools)
        if not isinstance(scores, Scores):
            raise self._error("reward", step, f"returned {type(scores).__name__}; return Scores(rewards)")
        rewards = self._numbers(scores, step)
        if self.config.promotion:
            self._check_promotable(scores, step)
        return Scores(rewards, scores.trials)

    def _numbers(self, scores: Scores, step: OuterStep) -> list[float]:
        """One finite number per dataset."""
        try:
            rewards = [float(reward) for reward in scores.rewards]
        except (TypeError, ValueError):
            raise self._error("reward", step, f"returned {scores.rewards!r}; return a list of numbers") from None
        if len(rewards) != len(step.datasets):
            many = f"returned {len(rewards)} rewards for {len(step.datasets)} datasets"
            raise self._error("reward", step, f"{many}; return one per dataset, in their order")
        if not all(map(math.isfinite, rewards)):
            raise self._error("reward", step, f"returned {rewards}; every reward must be a finite number")
        return rewards

    def _check_promotable(self, scores: Scores, step: OuterStep) -> None:
        """Promotion takes a student of the best dataset, which may be any of them."""
        trials = Counter((trial.dataset_index, trial.repeat) for trial in scores.trials)
        untried = sorted(set(range(len(step.datasets))) - {dataset for dataset, _ in trials})
        if untried:
            raise self._error(
                "promotion",
                step,
                f"returned no trial of dataset {untried[0]}, so there may be no student to promote; return those of "
                "tools.students.train, or set promotion: false",
            )
        twice = [trial for trial, count in trials.items() if count > 1]
        if twice:
            raise self._error(
                "promotion",
                step,
                f"returned two trials of dataset {twice[0][0]}, repeat {twice[0][1]}; return those of its last "
                "tools.students.train, whose students are still there",
            )

    def _error(self, key: str, step: OuterStep, what: str) -> ConfigError:
        return ConfigError(f"objectives.{self.name}.{key}: {self.config.reward} at outer step {step.number} {what}")


def load_reward(name: str, config: ObjectiveConfig, sha256: str | None) -> TeacherReward:
    """The reward of `objectives.<name>`: a built-in one, or a function of a file whose digest must be `sha256`.

    Raises ConfigError naming the key where the file cannot be used or is another than the run was planned with.
    """
    file = read_reward_file(config, name)
    if file is None:
        return BUILT_IN[config.reward]
    if file.sha256 != sha256:
        raise ConfigError(
            f"objectives.{name}.reward: {file.path} has changed since this run was planned; start Snakemake again"
        )
    module_name = f"teacher_reward_{name}"
    module = module_from_spec(spec_from_loader(module_name, _Loader(file)))
    # As of any import: dataclasses and typing look their module up.
    sys.modules[module_name] = module
    module.__spec__.loader.exec_module(module)
    return getattr(module, file.function)


class _Loader(SourceLoader):
    """Imports the very text that was digested: no cached bytecode, which an edit within a second would outlive."""

    def __init__(self, file: RewardFile):
        self.file = file

    def get_filename(self, fullname: str) -> str:
        return str(self.file.path)

    def get_data(self, path: str) -> bytes:
        return self.file.source
