"""SeRL's update: RLOO on completions that were drawn, voted on and filtered beforehand (spec section 10, step 6).

The update is TRL's: sequence-level probability ratio, clipped, `batch_size` completions per optimizer step, one epoch.
What TRL cannot do is done here: its advantages are computed before its batch is known, over all completions of a
rollout, of which the difficulty filter then drops some. The released code also spreads the KL over a completion's
tokens and weighs and clips them one by one; here reward, whitening and ratio are per completion, as in the spec.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence

from soar_pipeline.config import SerlConfig
from soar_pipeline.models.policy import Policy, Weights, copy_weights
from soar_pipeline.training.rloo import Moments, ResettableTrainer, trl_settings


@dataclass(frozen=True)
class Sample:
    """One completion ready for training. log_probability: under the policy that drew it; kl: to the base model."""

    prompt_ids: list[int]
    completion_ids: list[int]
    log_probability: float
    kl: float
    advantage: float


def whitened_advantages(rewards: torch.Tensor, kl: torch.Tensor, kl_coefficient: float) -> torch.Tensor:
    """Leave-one-out advantages with the KL in the reward, then mean 0 and variance 1 over all completions.

    rewards, kl: shape (questions, samples); rewards are NaN where unscorable. Returns the same shape; 0 for what is
    unscorable or alone in its group, which counts neither for the baseline nor for mean and variance.
    """
    penalised = rewards - kl_coefficient * kl
    others = (~penalised.isnan()).sum(1, keepdim=True) - 1
    baseline = (penalised.nansum(1, keepdim=True) - penalised) / others
    advantages = penalised - baseline
    scorable = advantages[advantages.isfinite()]
    if not len(scorable):
        return torch.zeros_like(advantages)
    deviation = scorable.var(correction=0).clamp(min=1e-8).sqrt()
    return ((advantages - scorable.mean()) / deviation).nan_to_num(0.0)


class SerlTrainer:
    """Trains the policy, which it finds as the base model: KL is taken to that."""

    def __init__(self, policy: Policy, config: SerlConfig, *, max_new_tokens: int, temperature: float):
        self.policy, self.config = policy, config
        self.base = copy_weights(policy.model)
        self.moments: Moments = {}
        settings = trl_settings(
            config,
            rollouts=config.batch_size,
            optimizer_steps=config.optimizer_steps,
            group_size=config.samples,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            folder=Path(tempfile.gettempdir()),
            clip=config.clip,
        )
        # TRL counts prompts to know how long an epoch is; what it trains on is `prepared`.
        data = Dataset.from_list([{"prompt": ""}] * config.questions)
        self.trainer = _PreparedTrainer(policy, _no_reward, settings, data, length_parts=config.length_parts)
        self.trainer.final_learning_rate = config.final_learning_rate

    def samples(
        self, prompts: list[str], completions: list[list[list[int]]], rewards: list[list[float | None]]
    ) -> list[list[Sample]]:
        """The groups of one rollout with log-probabilities, KL and advantages; the policy is the one that drew them.

        completions, rewards: per prompt, token ids and reward (None: unscorable) of each completion.
        """
        prompt_ids = self.policy.tokenizer(prompts)["input_ids"]
        rows = [(ids, drawn) for ids, group in zip(prompt_ids, completions, strict=True) for drawn in group]
        now, base = self.trainer.log_probabilities(rows)
        shape = (len(prompts), -1)
        scores = torch.tensor([[torch.nan if reward is None else reward for reward in group] for group in rewards])
        kl = (now - base).view(shape)
        advantages = whitened_advantages(scores, kl, self.config.kl_coefficient)
        values = zip(rows, now.tolist(), kl.flatten().tolist(), advantages.flatten().tolist(), strict=True)
        flat = [Sample(*row, *numbers) for row, *numbers in values]
        size = len(completions[0])
        return [flat[i : i + size] for i in range(0, len(flat), size)]

    def update(self, step: int, samples: list[Sample], seed: int) -> None:
        """One epoch over the samples of a full batch of groups: `optimizer_steps` steps."""
        self.trainer.prepared = self.trainer.batch(samples)
        self.trainer.reset(
            reference=self.base,
            seed=seed,
            steps=self.config.optimizer_steps,
            learning_rate=self.config.learning_rate,
            first_step=(step - 1) * self.config.optimizer_steps,
            total_steps=self.config.schedule_steps,
            moments=self.moments,
        )
        self.trainer.train()
        self.moments = self.trainer.moments()
        self.policy.model.eval()

    def restore(self, weights: Weights, moments: Moments) -> None:
        """Continue from saved weights and moments."""
        self.policy.model.load_state_dict(weights)
        self.moments = moments


def _no_reward(**_) -> list[float]:
    raise AssertionError("TRL is never asked to score: advantages are prepared")


class _PreparedTrainer(ResettableTrainer):
    """A trainer whose completions were drawn and scored beforehand; TRL shuffles and splits them."""

    prepared: dict[str, torch.Tensor]

    def _generate_and_score_completions(self, inputs):
        return self.prepared

    def batch(self, samples: list[Sample]) -> dict[str, torch.Tensor]:
        """What TRL's loss wants to know, one row per sample."""
        padded = self._padded([(sample.prompt_ids, sample.completion_ids) for sample in samples])
        columns = {
            "old_logps": [sample.log_probability for sample in samples],
            "advantages": [sample.advantage for sample in samples],
        }
        return padded | {name: torch.tensor(values).to(self.accelerator.device) for name, values in columns.items()}

    @torch.no_grad()
    def log_probabilities(self, rows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Under the policy and under the base model, of the completions in (prompt ids, completion ids); on the CPU."""
        self.model.eval()
        now, base = [], []
        size = self.args.per_device_train_batch_size
        for start in range(0, len(rows), size):
            part = self._padded(rows[start : start + size])
            now.append(self._summed(self.model, part))
            # Without a KL in the reward TRL keeps no base model.
            base.append(now[-1] if self.ref_model is None else self._summed(self.ref_model, part))
        return torch.cat(now), torch.cat(base)

    def _summed(self, model, part: dict[str, torch.Tensor]) -> torch.Tensor:
        mask = part["completion_mask"]
        per_token, _, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1),
            torch.cat([part["prompt_mask"], mask], dim=1),
            mask.shape[1],
        )
        return (per_token * mask).sum(1).float().cpu()

    def _padded(self, rows: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
        """Prompts padded on the left, completions on the right, each with its mask."""
        columns = {}
        for name, side, ids in (
            ("prompt", "left", [torch.tensor(prompt) for prompt, _ in rows]),
            ("completion", "right", [torch.tensor(completion) for _, completion in rows]),
        ):
            masks = [torch.ones_like(row) for row in ids]
            columns[f"{name}_ids"] = pad_sequence(ids, True, self._tokenizer.pad_token_id, side)
            columns[f"{name}_mask"] = pad_sequence(masks, True, 0, side)
        return {name: value.to(self.accelerator.device) for name, value in columns.items()}
