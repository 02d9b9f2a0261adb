"""The teacher's RL: one RLOO step per outer step on completions that were already drawn and rewarded.

TRL sees one group of g·n rollouts of the one teacher prompt. Its leave-one-out advantage of a rollout of X_k is
n(g-1)/(gn-1) times the advantage over the g datasets (spec section 5), so rewards are scaled by the inverse.
"""

import tempfile
from pathlib import Path

from datasets import Dataset

from soar_pipeline.config import GenerationConfig, TeacherConfig
from soar_pipeline.generation.generator import Completion
from soar_pipeline.models.policy import Policy, PromptFormat, Weights, copy_weights, set_weights
from soar_pipeline.seeds import derive
from soar_pipeline.training.rloo import Moments, ResettableTrainer, trl_settings


def advantage_scale(datasets: int, questions_per_dataset: int) -> float:
    """(gn-1) / (n(g-1)): makes one group of g·n rollouts give the advantages of g datasets."""
    g, n = datasets, questions_per_dataset
    return (g * n - 1) / (n * (g - 1))


class TeacherTrainer:
    """Updates the teacher, one RLOO step at a time; KL is taken to the teacher it started as."""

    def __init__(
        self,
        policy: Policy,
        prompts: PromptFormat,
        config: TeacherConfig,
        generation: GenerationConfig,
        *,
        datasets: int,
        questions_per_dataset: int,
        total_steps: int,
    ):
        self.policy, self.total_steps, self.learning_rate = policy, total_steps, config.learning_rate
        self.scale = advantage_scale(datasets, questions_per_dataset)
        self.start = copy_weights(policy.model)
        self.moments: Moments = {}
        rollouts = datasets * questions_per_dataset
        settings = trl_settings(
            config,
            rollouts=rollouts,
            group_size=rollouts,
            max_new_tokens=generation.teacher_max_new_tokens,
            temperature=generation.temperature,
            folder=Path(tempfile.gettempdir()),
        )
        data = Dataset.from_list([{"prompt": prompts.teacher()}])
        self.trainer = _DrawnTrainer(policy, self._rewards, settings, data)

    def update(self, step: int, completions: list[Completion], rewards: list[float], seed: int) -> float | None:
        """One RLOO step on g·n completions, each with its dataset's reward; returns the KL to the first teacher."""
        self.rewards = rewards
        self.trainer.drawn = [list(completion.token_ids) for completion in completions]
        self.trainer.reset(
            reference=self.start,
            seed=derive(seed, "teacher update", step),
            steps=1,
            learning_rate=self.learning_rate,
            first_step=step - 1,
            total_steps=self.total_steps,
            moments=self.moments,
        )
        self.trainer.train()
        self.moments = self.trainer.moments()
        self.policy.model.eval()
        metrics = next(entry for entry in self.trainer.state.log_history if "reward" in entry)
        return metrics.get("kl")

    def restore(self, weights: Weights, moments: Moments) -> None:
        """Continue from saved weights and moments."""
        set_weights(self.policy.model, weights)
        self.moments = moments

    def _rewards(self, completions: list[str], **_) -> list[float]:
        return [reward * self.scale for reward in self.rewards]


class _DrawnTrainer(ResettableTrainer):
    """A trainer whose completions were drawn beforehand, by rejection sampling."""

    drawn: list[list[int]]

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields):
        return self.drawn
