"""The teacher's RL: one RLOO step per outer step on completions that were already drawn and rewarded.

TRL sees one group of g·n rollouts of the one teacher prompt. Its leave-one-out advantage of a rollout of X_k is
n(g-1)/(gn-1) times the advantage over the g datasets (spec section 5), so rewards are scaled by the inverse.
"""

import math
import tempfile
from pathlib import Path

import torch
from datasets import Dataset

from soar_pipeline.config import GenerationConfig, TeacherConfig
from soar_pipeline.generation.generator import Completion
from soar_pipeline.models.policy import Policy, PromptFormat, Weights, copy_weights, set_weights
from soar_pipeline.seeds import derive
from soar_pipeline.training.rloo import ResettableTrainer, trl_settings

OptimizerState = dict[str, torch.Tensor]


def advantage_scale(datasets: int, questions_per_dataset: int) -> float:
    """(gn-1) / (n(g-1)): makes one group of g·n rollouts give the advantages of g datasets."""
    g, n = datasets, questions_per_dataset
    return (g * n - 1) / (n * (g - 1))


def learning_rate_at(step: int, total: int, config: TeacherConfig) -> float:
    """Linear warm-up, then cosine decay to zero over the run; `step` counts from 1."""
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    done = (step - 1 - config.warmup_steps) / max(1, total - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


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
        self.policy, self.config, self.total_steps = policy, config, total_steps
        self.scale = advantage_scale(datasets, questions_per_dataset)
        self.start = copy_weights(policy.model)
        rollouts = datasets * questions_per_dataset
        settings = trl_settings(
            config,
            rollouts=rollouts,
            group_size=rollouts,
            max_new_tokens=generation.teacher_max_new_tokens,
            temperature=generation.temperature,
            folder=Path(tempfile.gettempdir()),
        )
        # The schedule over outer steps is `learning_rate_at`; each TRL training is one step long.
        settings.lr_scheduler_type, settings.warmup_steps = "constant", 0
        data = Dataset.from_list([{"prompt": prompts.teacher()}])
        self.trainer = _DrawnTrainer(policy, self._rewards, settings, train_dataset=data)

    def update(self, step: int, completions: list[Completion], rewards: list[float], seed: int) -> float | None:
        """One RLOO step on g·n completions, each with its dataset's reward; returns the KL to the first teacher."""
        self.rewards = rewards
        self.trainer.drawn = [list(completion.token_ids) for completion in completions]
        self.trainer.args.learning_rate = learning_rate_at(step, self.total_steps, self.config)
        self.trainer.reset(reference=self.start, seed=derive(seed, "teacher update", step), steps=1)
        self.trainer.train()
        self.trainer.keep_moments()
        self.policy.model.eval()
        metrics = next(entry for entry in self.trainer.state.log_history if "reward" in entry)
        return metrics.get("kl")

    def _rewards(self, completions: list[str], **_) -> list[float]:
        return [reward * self.scale for reward in self.rewards]

    @property
    def optimizer_state(self) -> OptimizerState:
        """AdamW's moments by parameter name (empty before the first update)."""
        return self.trainer.moments

    def restore(self, weights: Weights, moments: OptimizerState) -> None:
        """Continue from saved weights and moments."""
        set_weights(self.policy.model, weights)
        self.trainer.moments = moments


class _DrawnTrainer(ResettableTrainer):
    """A trainer whose completions were drawn beforehand, and whose AdamW moments outlive each one-step training."""

    drawn: list[list[int]]
    moments: OptimizerState

    def __init__(self, *arguments, **options):
        self.moments = {}
        super().__init__(*arguments, **options)

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields):
        return self.drawn

    def create_optimizer(self, model=None):
        """A new optimizer that continues from the kept moments."""
        optimizer = super().create_optimizer()
        for name, parameter in self.model.named_parameters():
            if f"{name}/step" in self.moments:
                optimizer.state[parameter] = {
                    key: self.moments[f"{name}/{key}"].to(parameter.device if key != "step" else "cpu")
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        return optimizer

    def keep_moments(self) -> None:
        self.moments = {
            f"{name}/{key}": value.detach().to("cpu", copy=True)
            for name, parameter in self.model.named_parameters()
            for key, value in self.optimizer.state[parameter].items()
        }
