"""SeRL's update: RLOO on completions that were sampled, voted on and filtered before (docs/method.md §10, step 6).

One epoch with `batch_size` completions per optimizer step. What TRL cannot do is done here: its advantages are computed
before its batch is known, over all completions of a rollout, of which the difficulty filter then drops some; and if
`faithful` the probability ratio is one of each token, weighed and clipped by itself, as in the released code, and not
TRL's of the completion. The released code also spreads the KL over a completion's tokens; here reward and whitening are
per completion.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from trl import RLOOConfig as TRLSettings

from soar_pipeline.config import SerlConfig
from soar_pipeline.policy.encoding import encode
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import Weights, copy_weights
from soar_pipeline.rl.advantages import leave_one_out_advantages
from soar_pipeline.rl.rloo import OptimizerState, ResettableTrainer, trl_settings


@dataclass(frozen=True)
class Sample:
    """One completion ready for training.

    log_probability: under the policy that wrote it, by token in `token_log_probabilities`; kl: to the base model.
    """

    prompt_ids: list[int]
    completion_ids: list[int]
    token_log_probabilities: list[float]
    log_probability: float
    kl: float
    advantage: float


def whitened_advantages(rewards: torch.Tensor, kl: torch.Tensor, kl_coefficient: float) -> torch.Tensor:
    """Leave-one-out advantages with the KL in the reward, then mean 0 and variance 1 over all completions.

    rewards, kl: shape (questions, samples); rewards are NaN if unscorable. Returns the same shape; 0 for what is
    unscorable or alone in its group, which counts neither for the baseline nor for mean and variance.
    """
    advantages = leave_one_out_advantages(rewards - kl_coefficient * kl)
    scorable = advantages[advantages.isfinite()]
    if not len(scorable):
        return torch.zeros_like(advantages)
    deviation = scorable.var(correction=0).clamp(min=1e-8).sqrt()
    return ((advantages - scorable.mean()) / deviation).nan_to_num(0.0)


class SerlTrainer:
    """Trains the policy, which must be the base model: KL is taken to that."""

    def __init__(self, policy: OpenPolicy, config: SerlConfig):
        self.policy, self.config = policy, config
        self.base = copy_weights(policy.model)
        self.optimizer_state: OptimizerState = {}
        settings = trl_settings(
            config,
            rollouts=config.batch_size,
            optimizer_steps=config.optimizer_steps,
            group_size=config.samples,
            max_new_tokens=policy.generation.student_max_new_tokens,
            temperature=policy.generation.temperature,
            folder=Path(tempfile.gettempdir()),
            clip=config.clip,
        )
        # TRL counts prompts to know how long an epoch is; what it trains on is `prepared`.
        data = Dataset.from_list([{"prompt": ""}] * config.questions)
        self.trainer = PreparedTrainer(policy, settings, data, config)

    def samples(
        self, prompts: list[str], completions: list[list[list[int]]], rewards: list[list[float | None]]
    ) -> list[list[Sample]]:
        """The groups of one rollout with log-probabilities, KL and advantages; the policy is the one that wrote them.

        completions, rewards: per prompt, token ids and reward (None: unscorable) of each completion.
        """
        prompt_ids = encode(prompts, self.policy.tokenizer)
        rows = [(ids, written) for ids, group in zip(prompt_ids, completions, strict=True) for written in group]
        tokens, now, base = self.trainer.log_probabilities(rows)
        shape = (len(prompts), -1)
        scores = torch.tensor([[torch.nan if reward is None else reward for reward in group] for group in rewards])
        kl = (now - base).view(shape)
        advantages = whitened_advantages(scores, kl, self.config.kl_coefficient)
        values = zip(rows, tokens, now.tolist(), kl.flatten().tolist(), advantages.flatten().tolist(), strict=True)
        flat = [Sample(*row, *numbers) for row, *numbers in values]
        size = len(completions[0])
        return [flat[i : i + size] for i in range(0, len(flat), size)]

    def update(self, step: int, samples: list[Sample], seed: int) -> None:
        """One epoch over the samples of a full batch of groups: `optimizer_steps` steps."""
        self.trainer.reset(
            reference=self.base,
            seed=seed,
            steps=self.config.optimizer_steps,
            learning_rate=self.config.learning_rate,
            first_step=(step - 1) * self.config.optimizer_steps,
            total_steps=self.config.schedule_steps,
            optimizer_state=self.optimizer_state,
        )
        self.trainer.train_on(samples)
        self.optimizer_state = self.trainer.optimizer_state()
        self.policy.model.eval()

    def restore(self, weights: Weights, optimizer_state: OptimizerState) -> None:
        """Continue from saved weights and optimizer state."""
        self.policy.model.load_state_dict(weights)
        self.optimizer_state = optimizer_state


class PreparedTrainer(ResettableTrainer):
    """A trainer whose completions were sampled and scored beforehand; TRL shuffles and splits them."""

    def __init__(self, policy: OpenPolicy, settings: TRLSettings, data: Dataset, config: SerlConfig):
        # What TRL asks for in the course of `train_on`.
        self.prepared: dict[str, torch.Tensor] = {}
        super().__init__(policy, self._no_rewards, settings, data, passes=config)
        self.final_learning_rate = config.final_learning_rate
        self.per_token, self.clip = config.faithful, config.clip

    def train_on(self, samples: list[Sample]) -> None:
        """The steps that `reset` prepared, on these samples."""
        self.prepared = self._batch(samples)
        self.train()

    def _no_rewards(self, **_) -> list[float]:
        raise AssertionError("TRL never has to score: the advantages are prepared")

    def _generate_and_score_completions(self, inputs):
        return self.prepared

    def _batch(self, samples: list[Sample]) -> dict[str, torch.Tensor]:
        """What TRL's loss wants to know, one row per sample."""
        padded = self._padded([(sample.prompt_ids, sample.completion_ids) for sample in samples])
        columns = {
            "old_logps": [sample.log_probability for sample in samples],
            "advantages": [sample.advantage for sample in samples],
        }
        of_tokens = [torch.tensor(sample.token_log_probabilities) for sample in samples]
        tensors = {name: torch.tensor(values) for name, values in columns.items()}
        tensors["old_token_logps"] = pad_sequence(of_tokens, batch_first=True)
        return padded | {name: tensor.to(self.accelerator.device) for name, tensor in tensors.items()}

    def _compute_loss(self, model, inputs):
        """TRL's, for one ratio per completion; else the released code's: the mean over a completion's tokens."""
        if not self.per_token:
            return super()._compute_loss(model, inputs)
        mask, advantages = inputs["completion_mask"], inputs["advantages"][:, None]
        ratios = (self._of_tokens(model, inputs) - inputs["old_token_logps"]).exp()
        clipped = ratios.clamp(1 - self.clip, 1 + self.clip)
        losses = -torch.min(ratios * advantages, clipped * advantages)
        return ((losses * mask).sum(1) / mask.sum(1)).mean()

    @torch.no_grad()
    def log_probabilities(
        self, rows: list[tuple[list[int], list[int]]]
    ) -> tuple[list[list[float]], torch.Tensor, torch.Tensor]:
        """Of the completions in (prompt ids, completion ids): of each token under the policy, and of the completion
        under the policy and under the base model.
        """
        self.model.eval()
        tokens, now, base = [], [], []
        size = self.args.per_device_train_batch_size
        for start in range(0, len(rows), size):
            part = self._padded(rows[start : start + size])
            mask, of_tokens = part["completion_mask"], self._of_tokens(self.model, part)
            tokens += [row[kept].tolist() for row, kept in zip(of_tokens, mask.bool(), strict=True)]
            now.append(_summed(of_tokens, mask))
            # Without a KL in the reward TRL keeps no base model.
            base.append(now[-1] if self.ref_model is None else _summed(self._of_tokens(self.ref_model, part), mask))
        return tokens, torch.cat(now), torch.cat(base)

    def _of_tokens(self, model, part: dict[str, torch.Tensor]) -> torch.Tensor:
        """Log-probabilities of the completions' tokens, shape (rows, tokens)."""
        mask = part["completion_mask"]
        per_token, _, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1),
            torch.cat([part["prompt_mask"], mask], dim=1),
            mask.shape[1],
        )
        return per_token

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


def _summed(of_tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (of_tokens * mask).sum(1).float().cpu()
