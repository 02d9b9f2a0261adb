"""The teacher's RL: RLOO steps on rollouts that were sampled and rewarded beforehand."""

import tempfile
from itertools import chain
from pathlib import Path

import torch
from datasets import Dataset
from trl import RLOOConfig as TRLSettings
from trl.trainer.utils import pad

from soar_pipeline.config import TeacherConfig
from soar_pipeline.policy.encoding import encode
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import Rollout
from soar_pipeline.rl.rloo import ResettableTrainer, trl_settings


def rollout_trainer(policy: OpenPolicy, config: TeacherConfig, group_size: int, groups: int) -> "RolloutTrainer":
    """The trainer for steps of `groups` groups of `group_size` rollouts, which all answer the one teacher prompt."""
    settings = trl_settings(
        config,
        rollouts=groups * group_size,
        group_size=group_size,
        max_new_tokens=policy.generation.teacher_max_new_tokens,
        temperature=policy.generation.temperature,
        folder=Path(tempfile.gettempdir()),
    )
    kind = MultiTurnTrainer if policy.prompts.two_turns else RolloutTrainer
    # A row for each group of a step: TRL takes another prompt for each.
    data = Dataset.from_list([{"prompt": policy.prompts.teacher()}] * groups)
    return kind(policy, settings, data, config)


class RolloutTrainer(ResettableTrainer):
    """Trains on rollouts that it is given."""

    def __init__(self, policy: OpenPolicy, settings: TRLSettings, data: Dataset, config: TeacherConfig):
        # What TRL asks for in the course of `train_on`.
        self.rollouts: list[Rollout] = []
        self.rewards: list[float] = []
        super().__init__(policy, self._given_rewards, settings, data, passes=config)

    def train_on(self, rollouts: list[Rollout], rewards: list[float]) -> float | None:
        """The step that `reset` prepared, on these rollouts; returns the mean KL per token to the reference.

        The policy must be the one that sampled them. None: `kl_coefficient` is 0.
        """
        self.rollouts, self.rewards = rollouts, rewards
        self.train()
        metrics = next(entry for entry in self.state.log_history if "reward" in entry)
        return metrics.get("kl")

    def _given_rewards(self, completions: list[str], **_) -> list[float]:
        return self.rewards

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields):
        return [list(chain.from_iterable(turn.completion.token_ids for turn in turns)) for turns in self.rollouts]


class MultiTurnTrainer(RolloutTrainer):
    """The log-probability of a rollout is the sum over its turns, each after its own prompt (docs/method.md §3).

    To TRL the turns of a rollout are one completion, so that KL, ratio and loss sum over all their tokens. It only
    learns the tokens' log-probabilities from here: no prompt is trained on, and no turn sees another but through its
    prompt.
    """

    def __init__(self, *args, **options):
        # The rollouts that TRL is at.
        self.rows: list[int] = []
        super().__init__(*args, **options)

    def _generate_and_score_completions(self, inputs):
        rows = torch.arange(len(self.rollouts))
        self.rows = rows.tolist()
        # TRL shuffles and splits the batch: each part says which rollouts it holds.
        return super()._generate_and_score_completions(inputs) | {"rows": rows}

    def _compute_loss(self, model, inputs):
        self.rows = inputs["rows"].tolist()
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, logits_to_keep, *args, **options):
        """As TRL's, shape (rollouts, tokens), for the rollouts `self.rows`."""
        turns = list(chain.from_iterable(self.rollouts[row] for row in self.rows))
        prompts = [torch.tensor(ids) for ids in encode([turn.prompt for turn in turns], self._tokenizer)]
        completions = [torch.tensor(turn.completion.token_ids) for turn in turns]
        ids = [self._padded(prompts, "left"), self._padded(completions, "right")]
        masks = [
            self._padded([torch.ones_like(row) for row in rows], side, 0)
            for rows, side in ((prompts, "left"), (completions, "right"))
        ]
        logps, entropies, aux_loss = super()._get_per_token_logps_and_entropies(
            model, torch.cat(ids, dim=1), torch.cat(masks, dim=1), ids[1].shape[1], *args, **options
        )
        # Row by row, the tokens of all turns are those of all rollouts in the same order.
        wanted = attention_mask[:, -logits_to_keep:].bool()

        def by_rollout(values):
            joined = values.new_zeros(wanted.shape)
            joined[wanted] = values[masks[1].bool()]
            return joined

        return by_rollout(logps), None if entropies is None else by_rollout(entropies), aux_loss

    def _padded(self, rows, side, value=None):
        value = self._tokenizer.pad_token_id if value is None else value
        return pad(rows, padding_value=value, padding_side=side).to(self.accelerator.device)
