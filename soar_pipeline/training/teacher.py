"""The teacher's RL: one RLOO step per outer step on completions that were already drawn and rewarded.

TRL sees one group of g·n rollouts of the one teacher prompt. Its leave-one-out advantage of a rollout of X_k is
n(g-1)/(gn-1) times the advantage over the g datasets (spec section 5), so rewards are scaled by the inverse.
"""

import tempfile
from itertools import chain
from pathlib import Path

import torch
from datasets import Dataset
from trl.trainer.utils import pad

from soar_pipeline.config import GenerationConfig, TeacherConfig
from soar_pipeline.generation.generator import Rollout
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
        kind = _MultiTurnTrainer if prompts.two_turns else _DrawnTrainer
        self.trainer = kind(policy, self._rewards, settings, data, length_parts=config.length_parts)

    def update(self, step: int, rollouts: list[Rollout], rewards: list[float], seed: int) -> float | None:
        """One RLOO step on g·n rollouts, each with its dataset's reward; returns the KL to the first teacher."""
        self.rewards = rewards
        self.trainer.rollouts = rollouts
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
        self.trainer.release()
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
    """A trainer whose rollouts were drawn beforehand."""

    rollouts: list[Rollout]

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields):
        return [list(chain.from_iterable(turn.completion.token_ids for turn in turns)) for turns in self.rollouts]


class _MultiTurnTrainer(_DrawnTrainer):
    """The log-probability of a rollout is the sum over its turns, each after its own prompt (spec section 3).

    To TRL the turns of a rollout are one completion, so that KL, ratio and loss sum over all their tokens. It only
    learns the tokens' log-probabilities from here: no prompt is trained on, and no turn sees another but through its
    prompt.
    """

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
        prompts = [torch.tensor(self._tokenizer(turn.prompt)["input_ids"]) for turn in turns]
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
