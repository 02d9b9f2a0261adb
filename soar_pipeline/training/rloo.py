"""What both loops share of TRL's RLOO: its settings, and a trainer that can be reset instead of rebuilt."""

import gc
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from datasets import Dataset
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, set_seed
from trl import RLOOConfig as TRLSettings
from trl import RLOOTrainer

from soar_pipeline.config import RLOOConfig
from soar_pipeline.generation.generator import Generator
from soar_pipeline.models.policy import (
    DivergedError,
    Policy,
    Weights,
    divergence_told,
    placed_like,
    set_weights,
    whole,
)
from soar_pipeline.models.shared_prompts import rows_can_be_selected
from soar_pipeline.seeds import derive
from soar_pipeline.training.passes import completion_outputs
from soar_pipeline.training.processes import own_seed, processes

if TYPE_CHECKING:
    from peft import PeftConfig

# Accelerate collects garbage with every training; what these libraries consist of never is.
gc.freeze()


def trl_settings(
    config: RLOOConfig,
    *,
    rollouts: int,
    group_size: int,
    max_new_tokens: int,
    temperature: float,
    folder: Path,
    optimizer_steps: int = 1,
    clip: float = 0.2,
    sharded: bool = False,
    seed: int = 0,
) -> TRLSettings:
    """TRL's settings for optimizer steps on `rollouts` completions each, in groups of `group_size`.

    Completions are drawn once for `optimizer_steps` of them. clip: of the probability ratio, without effect where
    there is one (the ratio is 1). sharded: the model is, over the processes of the job. Processes divide `rollouts`
    into equal shares, and micro-batches divide a share: the configuration is refused otherwise.
    """
    share = rollouts // processes().num_processes
    micro_batch = min(config.micro_batch_size or share, share)
    return TRLSettings(
        output_dir=str(folder),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=share // micro_batch,
        steps_per_generation=optimizer_steps * (share // micro_batch),
        num_generations=group_size,
        max_completion_length=max_new_tokens,
        temperature=temperature,
        warmup_steps=config.warmup_steps,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        max_grad_norm=config.max_grad_norm,
        beta=config.kl_coefficient,
        epsilon=clip,
        gradient_checkpointing=config.gradient_checkpointing,
        # The order of questions is a file (a schedule), never a sampler's.
        shuffle_dataset=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        # Every parameter is used in every pass.
        ddp_find_unused_parameters=False,
        fsdp=sharded or None,
        # Of the reference, which TRL would spread over all GPUs that the process sees before sharding it.
        model_init_kwargs={"device_map": None} if sharded else None,
        seed=seed,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )


Moments = dict[str, torch.Tensor]


def learning_rate_factor(step: int, total: int, warmup: int, final: float = 0.0) -> float:
    """Linear warm-up, then cosine decay towards `final` (Table 3: 0); `step` counts from 1, so no step has rate 0."""
    if step <= warmup:
        return step / warmup
    done = min(1.0, (step - 1 - warmup) / max(1, total - warmup))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))


class ResettableTrainer(RLOOTrainer):
    """TRL's RLOO trainer, used for one training after another: new weights, optimizer, schedule, seed, data.

    A training may be one segment of a longer one: the learning rate follows `first_step` and `total_steps`, and
    AdamW's moments are handed over.
    """

    # Where the learning rate ends, as a share of its peak.
    final_learning_rate = 0.0

    def __init__(
        self,
        policy: Policy,
        reward: Callable[..., list[float | None]],
        settings: TRLSettings,
        data: Dataset,
        adapters: "PeftConfig | None" = None,
        generator: Generator | None = None,
        length_parts: int = 1,
    ):
        """generator: what draws the rollouts; none: TRL itself, by the library's `generate`.

        length_parts: parts, by length, in which the policy's and the reference's passes go over their rows; 1: TRL's
        own passes.
        """
        self.policy, self.warmup_steps = policy, settings.warmup_steps
        self.generator, self.length_parts = generator, length_parts
        # A sharded model gathers its weights for the backward of what a pass returns; a cache is no part of that.
        self.shares_prompts = not (settings.fsdp or settings.gradient_checkpointing) and rows_can_be_selected(
            policy.model.config
        )
        super().__init__(
            model=policy.model,
            reward_funcs=reward,
            args=settings,
            train_dataset=data,
            processing_class=policy.tokenizer,
            peft_config=adapters,
        )
        self.remove_callback(PrinterCallback)

    def reset(
        self,
        *,
        reference: Weights,
        seed: int,
        steps: int,
        learning_rate: float,
        first_step: int = 0,
        total_steps: int | None = None,
        start: Weights | None = None,
        moments: Moments | None = None,
    ) -> None:
        """Ready for `train()`: the policy starts at `start` (none: where it stands), KL is taken to `reference`.

        With adapters `start` holds them too, and the reference is the policy without them.
        """
        if start is not None:
            set_weights(self.policy.model, start)
        if self.ref_model is not None:
            set_weights(self.ref_model, reference)
        self.optimizer = self.lr_scheduler = None
        self.first_step, self.total_steps = first_step, total_steps or steps
        self.kept_moments = moments or {}
        self.args.max_steps, self.args.seed, self.args.learning_rate = steps, seed, learning_rate
        self._step, self._buffered_inputs = 0, None
        self._metrics["train"].clear()
        # Processes that draw for the same question must not draw the same.
        set_seed(own_seed(seed))

    @divergence_told()
    def train(self, *args, **options):
        """TRL's; DivergedError where the policy is none any more. Callers save after it, so nothing of it is kept."""
        return super().train(*args, **options)

    def log(self, logs, start_time=None):
        """TRL's, after each optimizer step, whose gradient must have been finite."""
        norm = logs.get("grad_norm", 0.0)
        if not math.isfinite(norm):
            raise DivergedError(
                f"training step {self.first_step + self.state.global_step}: the gradient's norm is {norm}, so the "
                "training has diverged; lower its learning_rate or max_grad_norm, or take float32 as dtype"
            )
        super().log(logs, start_time)

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields):
        if self.generator is None:
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields)
        drawn = self.generator.complete(
            prompt_ids,
            max_new_tokens=self.max_completion_length,
            temperature=self.temperature,
            seed=own_seed(derive(self.args.seed, "rollouts", self.state.global_step)),
        )
        return [list(completion.token_ids) for completion in drawn]

    def _get_per_token_logps_and_entropies(
        self, model, ids, mask, logits_to_keep, batch_size=None, compute_entropy=False, **options
    ):
        """TRL's; with `length_parts` each prompt goes through the model once, and less of the rest is padding."""
        # The balance loss of a mixture of experts is one of the whole batch.
        if self.length_parts == 1 or options.get("compute_aux_loss"):
            return super()._get_per_token_logps_and_entropies(
                model, ids, mask, logits_to_keep, batch_size, compute_entropy, **options
            )
        with self.accelerator.autocast():
            logps, *entropies = completion_outputs(
                model,
                ids,
                mask,
                logits_to_keep,
                ("log_probs", "entropy") if compute_entropy else ("log_probs",),
                parts=max(self.length_parts, math.ceil(len(ids) / (batch_size or len(ids)))),
                share_prompts=self.shares_prompts,
            )
        return logps, *(entropies or [None]), None

    def create_scheduler(self, num_training_steps, optimizer=None):
        """The schedule of the whole training, from this segment's first step on; and AdamW's moments before it.

        Called when the optimizer has the parameters that it will train: those of a sharded model replace the first.
        """
        for name, parameter in self.model.named_parameters():
            if f"{name}/step" in self.kept_moments:
                self.optimizer.state[parameter] = {
                    # AdamW is fused: it counts its steps on the parameter's device.
                    "step": self.kept_moments[f"{name}/step"].to(parameter.device, copy=True),
                    "exp_avg": placed_like(parameter, self.kept_moments[f"{name}/exp_avg"]),
                    "exp_avg_sq": placed_like(parameter, self.kept_moments[f"{name}/exp_avg_sq"]),
                }
        self.lr_scheduler = LambdaLR(
            optimizer or self.optimizer,
            lambda done: learning_rate_factor(
                self.first_step + done + 1, self.total_steps, self.warmup_steps, self.final_learning_rate
            ),
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def moments(self) -> Moments:
        """AdamW's moments after a training, on the CPU, by parameter name."""
        return {
            f"{name}/{key}": whole(value)
            for name, parameter in self.model.named_parameters()
            for key, value in self.optimizer.state[parameter].items()
        }

    def release(self) -> None:
        """Let go of AdamW's moments, two policies in size, after a training: another trainer may need the room."""
        self.optimizer = self.lr_scheduler = None
        self.callback_handler.optimizer = self.callback_handler.lr_scheduler = None
        self.accelerator.free_memory()


class OnePassTrainer(ResettableTrainer):
    """For one optimizer step per batch of rollouts, in one micro-batch without checkpointing: a pass less.

    TRL computes the log-probabilities of new rollouts without gradient, because the KL in the reward needs them, and
    then the same ones with gradient for the loss. Here the first pass keeps its graph and the loss is taken through it.
    """

    def _generate_and_score_completions(self, inputs):
        self.kept = None
        scored = super()._generate_and_score_completions(inputs)
        # TRL shuffles the batch: `rows` says in which order the loss wants what was kept.
        return scored | {"rows": torch.arange(len(scored["completion_ids"]))}

    def _compute_loss(self, model, inputs):
        self.rows = inputs["rows"]
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, model, *args, compute_entropy=False, **options):
        if compute_entropy:  # only the loss wants it
            logps, entropies = self.kept
            self.kept = None
            return logps[self.rows], entropies[self.rows], None
        if self.kept is not None:
            # The reference: another model, or this one without its adapters.
            return super()._get_per_token_logps_and_entropies(model, *args, **options)
        with torch.enable_grad():
            # Gradients are averaged over processes only after a pass through what the model is wrapped in.
            logps, entropies, _ = super()._get_per_token_logps_and_entropies(
                self.model_wrapped, *args, compute_entropy=True, **options
            )
        self.kept = logps, entropies.detach()
        return logps.detach(), None, None
