"""A student's optimizer step where it is on policy, that is always: a pass less than TRL's (docs/method.md § 4).

TRL computes the log-probabilities of new rollouts without gradient, because the KL in the reward needs them, and then
the same ones with gradient for the loss. Here the first pass keeps its graph, and the loss goes through it. The
advantages of a group depend on the KL of all its rollouts, and on no other group: so a micro-batch is one group or
several, or all that the process has.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.parallel import DistributedDataParallel
from trl.trainer.utils import pad

from soar_pipeline.rl.advantages import leave_one_out_advantages
from soar_pipeline.rl.rloo import ResettableTrainer

Batch = dict[str, torch.Tensor]


class OnPolicyTrainer(ResettableTrainer):
    """For one optimizer step per batch of rollouts, which takes them in micro-batches of whole groups.

    TRL's settings must have all rollouts of a process in one batch; micro_batch: rollouts of a backward pass, which
    divide them.
    """

    def __init__(self, *args, micro_batch: int, **options):
        self.micro_batch = micro_batch
        super().__init__(*args, **options)

    def _generate_and_score_completions(self, inputs):
        """The rollouts of this process with the task's rewards; log-probabilities are left to the loss."""
        prompt_ids, completion_ids, completions = self._generate([item["prompt"] for item in inputs])
        rewards = self._calculate_rewards(inputs, [item["prompt"] for item in inputs], completions, completion_ids)
        # TRL's rewards are those of all processes. One that cannot be scored is NaN.
        rewards = rewards.squeeze(1)
        self._metrics["train"]["reward"].append(rewards.nanmean().item())
        first = self.accelerator.process_index * len(inputs)
        return {
            **self._padded_rows("prompt", prompt_ids, "left"),
            **self._padded_rows("completion", completion_ids, "right"),
            "rewards": rewards[first : first + len(inputs)],
            # TRL shuffles the batch, and groups stand together.
            "rows": torch.arange(len(inputs)),
        }

    def _padded_rows(self, name: str, rows: list[list[int]], side: str) -> Batch:
        tensors = [torch.tensor(ids) for ids in rows]
        masks = [torch.ones_like(ids) for ids in tensors]
        padded = {
            f"{name}_ids": pad(tensors, padding_value=self._tokenizer.pad_token_id, padding_side=side),
            f"{name}_mask": pad(masks, padding_value=0, padding_side=side),
        }
        return {key: value.to(self.accelerator.device) for key, value in padded.items()}

    def _compute_loss(self, model, inputs):
        """The last micro-batch's loss; the gradients of the others are there when it returns."""
        order = inputs["rows"].argsort()
        micro_batches = order.split(self.micro_batch)
        kl, tokens, losses = 0.0, 0.0, []
        for i, rows in enumerate(micro_batches):
            last = i == len(micro_batches) - 1
            with nullcontext() if last else self._without_averaging(model):
                part = {name: value[rows] for name, value in inputs.items()}
                loss, of_tokens = self._loss_of_groups(model, part, len(order))
                kl, tokens = kl + of_tokens, tokens + part["completion_mask"].sum().float()
                if not last:
                    self.accelerator.backward(loss)
                    loss = loss.detach()
            losses.append(loss)
        if self.beta:
            summed = self.accelerator.reduce(torch.stack([kl, tokens]), reduction="sum")
            self._metrics["train"]["kl"].append((summed[0] / summed[1].clamp(min=1.0)).item())
        return sum(losses)

    def _loss_of_groups(self, model, part: Batch, rollouts: int) -> tuple[torch.Tensor, torch.Tensor]:
        """−A_i · log π of whole groups, summed, over so many rollouts; and the KL of all their tokens."""
        mask = part["completion_mask"]
        ids = torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1)
        everything = ids, torch.cat([part["prompt_mask"], mask], dim=1), mask.shape[1]
        # Before its first update a student is what KL is taken to.
        moved = self.state.global_step > 0 or not self.starts_as_reference or self.ref_model is None
        reference = self._reference_of(model, everything) if self.beta and moved else None
        logps, _, _ = self._get_per_token_logps_and_entropies(model, *everything)
        kl = torch.zeros_like(part["rewards"])
        if reference is not None:
            kl = ((logps.detach() - reference) * mask).sum(1)
        # A group may have rollouts in several processes, if each has one micro-batch.
        rewards = self.accelerator.gather(part["rewards"] - self.beta * kl)
        advantages = leave_one_out_advantages(rewards.view(-1, self.num_generations)).flatten().nan_to_num(0.0)
        own = advantages[self.accelerator.process_index * len(mask) :][: len(mask)]
        return -((logps * mask).sum(1) * own).sum() / rollouts, kl.sum()

    @torch.no_grad()
    def _reference_of(self, model, everything: tuple[torch.Tensor, torch.Tensor, int]) -> torch.Tensor:
        """Log-probabilities of the completions' tokens under the reference: a model, or this one without adapters."""
        if self.ref_model is not None:
            return self._get_per_token_logps_and_entropies(self.ref_model, *everything)[0]
        with self.accelerator.unwrap_model(model).disable_adapter():
            return self._get_per_token_logps_and_entropies(model, *everything)[0]

    def _without_averaging(self, model) -> AbstractContextManager[None]:
        """Gradients of this pass stay with this process, to be averaged with those of the last one."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
