"""What both loops share of TRL's RLOO: its settings, and a trainer that can be reset instead of rebuilt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, set_seed
from trl import RLOOConfig as TRLSettings
from trl import RLOOTrainer

from soar_pipeline.config import RLOOConfig
from soar_pipeline.models.policy import Policy, Weights, set_weights


def trl_settings(
    config: RLOOConfig, *, rollouts: int, group_size: int, max_new_tokens: int, temperature: float, folder: Path
) -> TRLSettings:
    """TRL's settings for one optimizer step on `rollouts` completions in groups of `group_size`."""
    micro_batch = min(config.micro_batch_size or rollouts, rollouts)
    if rollouts % micro_batch:
        raise ValueError(f"micro_batch_size {micro_batch} does not divide the {rollouts} rollouts of a step")
    return TRLSettings(
        output_dir=str(folder),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=rollouts // micro_batch,
        num_generations=group_size,
        max_completion_length=max_new_tokens,
        temperature=temperature,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_steps,
        max_grad_norm=config.max_grad_norm,
        beta=config.kl_coefficient,
        gradient_checkpointing=config.gradient_checkpointing,
        # The order of questions is a file (a schedule), never a sampler's.
        shuffle_dataset=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )


class ResettableTrainer(RLOOTrainer):
    """TRL's RLOO trainer, used for one training after another: new weights, optimizer, schedule, seed, data."""

    def __init__(self, policy: Policy, reward: Callable[..., list[float | None]], settings: TRLSettings, **options: Any):
        super().__init__(
            model=policy.model,
            reward_funcs=reward,
            args=settings,
            processing_class=policy.tokenizer,
            **options,
        )
        self.remove_callback(PrinterCallback)

    def reset(self, *, reference: Weights, seed: int, steps: int, start: Weights | None = None) -> None:
        """Ready for `train()`: the policy starts at `start` (none: where it stands), KL is taken to `reference`."""
        if start is not None:
            set_weights(self.model, start)
        if self.ref_model is not None:
            set_weights(self.ref_model, reference)
        self.optimizer = self.lr_scheduler = None
        self.args.max_steps, self.args.seed = steps, seed
        self._step, self._buffered_inputs = 0, None
        self._metrics["train"].clear()
        set_seed(seed)
