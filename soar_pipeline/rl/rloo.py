"""What students, teacher and SeRL share of TRL's RLOO: its settings, and a trainer that is reset, not rebuilt.

The update is REINFORCE with a leave-one-out baseline: A_i = r_i − mean of the other rewards of its group
(advantages.py), not divided by their spread. r_i is the task's reward less `kl_coefficient` times the sum of
log π − log π_ref over the completion's tokens. The loss is the mean of −A_i · π/π_old over completions; the ratio is
that of the sequence, clipped.

Names of TRL and transformers that are not public, as read in TRL 1.16.0. These are replaced or extended here, in
on_policy.py, teacher.py and baselines/serl/training.py:
    _tokenize_prompts, _generate_single_turn, _generate_and_score_completions, _calculate_rewards,
    _get_per_token_logps_and_entropies, _compute_loss, _send_telemetry
and these are set or read:
    _step, _buffered_inputs, _metrics, _tokenizer, _created_lr_scheduler, and the model's _is_fsdp_managed_module.
"""

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
from soar_pipeline.policy.encoding import encode
from soar_pipeline.policy.loading import DivergedError, Policy, narrow_matrices, raise_diverged
from soar_pipeline.policy.sampling import Generator
from soar_pipeline.policy.shared_prompts import cache_under_checkpointing, rows_can_be_selected
from soar_pipeline.policy.weights import Weights, full_copy, placed_like, set_weights
from soar_pipeline.rl.advantages import zero_std_fraction
from soar_pipeline.rl.distributed import processes, rank_seed
from soar_pipeline.rl.logprobs import Parts, completion_outputs
from soar_pipeline.rl.offload import OffloadedAdamW
from soar_pipeline.runtime import derive

if TYPE_CHECKING:
    from peft import PeftConfig


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

    Completions are sampled once for `optimizer_steps` of them. clip: of the probability ratio, without effect if there
    is one (the ratio is 1). sharded: the model is, over the processes of the job. Processes divide `rollouts`
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
        # Passes go through `Policy.autocast` alone: accelerate would wrap the model anew with every training.
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        # Every parameter is used in every pass.
        ddp_find_unused_parameters=False,
        # They are constants. Sent before each pass, they would hang processes whose passes are not equally many.
        ddp_broadcast_buffers=False,
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


OptimizerState = dict[str, torch.Tensor]


def learning_rate_factor(step: int, total: int, warmup: int, final: float = 0.0) -> float:
    """Linear warm-up, then cosine decay towards `final` (Table 3: 0); `step` counts from 1, so no step has rate 0."""
    if step <= warmup:
        return step / warmup
    done = min(1.0, (step - 1 - warmup) / max(1, total - warmup))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))


class ResettableTrainer(RLOOTrainer):
    """TRL's RLOO trainer, used for one training after another: new weights, optimizer, schedule, seed, data.

    A training may be one segment of a longer one: the learning rate follows `first_step` and `total_steps`, and AdamW's
    state is handed over.
    """

    # Where the learning rate ends, as a share of its peak.
    final_learning_rate = 0.0

    def __init__(
        self,
        policy: Policy,
        reward: Callable[..., list[float | None]],
        settings: TRLSettings,
        data: Dataset,
        *,
        passes: RLOOConfig,
        adapters: "PeftConfig | None" = None,
        generator: Generator | None = None,
    ):
        """generator: what samples the rollouts; none: TRL itself, by the library's `generate`. passes: whose
        `length_buckets` and `pass_tokens` say how the policy's and the reference's passes go over their rows, and
        `offload_moments` where AdamW's moments lie.
        """
        self.policy, self.warmup_steps = policy, settings.warmup_steps
        self.generator, self.length_buckets, self.pass_tokens = generator, passes.length_buckets, passes.pass_tokens
        self.offloads, self.offloaded = passes.offload_moments, None
        # What is shown in place of a prompt of the data.
        self.shown_prompt: Callable[[str], str] = str
        # Of the training that `reset` prepares.
        self.first_step = self.total_steps = 0
        self.starts_as_reference = False
        self.initial_optimizer_state: OptimizerState = {}
        # A sharded model gathers its weights for the backward of what a pass returns; a cache is not part of that.
        self.shares_prompts = not settings.fsdp and rows_can_be_selected(policy.model.config)
        super().__init__(
            model=policy.model,
            reward_funcs=reward,
            args=settings,
            train_dataset=data,
            processing_class=policy.tokenizer,
            peft_config=adapters,
        )
        self.remove_callback(PrinterCallback)
        if settings.gradient_checkpointing and self.shares_prompts:
            cache_under_checkpointing(self.model)
        if any(parameter.requires_grad and parameter.dtype == torch.bfloat16 for parameter in self.model.parameters()):
            raise ValueError("bfloat16 parameters lose the updates of a training; load the policy with trained=True")
        if self.ref_model is not None and policy.dtype == torch.bfloat16:
            narrow_matrices(self.ref_model)

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
        optimizer_state: OptimizerState | None = None,
    ) -> None:
        """Ready for `train()`: the policy starts at `start` (none: as it is), KL is taken to `reference`.

        With adapters `start` holds them too, and the reference is the policy without them.
        """
        if start is not None:
            set_weights(self.policy.model, start)
        if self.ref_model is not None:
            set_weights(self.ref_model, reference)
        self.optimizer = self.lr_scheduler = self.offloaded = None
        self.first_step, self.total_steps = first_step, total_steps or steps
        self.starts_as_reference = start is reference
        self.initial_optimizer_state = optimizer_state or {}
        self.args.max_steps, self.args.seed, self.args.learning_rate = steps, seed, learning_rate
        self._step, self._buffered_inputs = 0, None
        self._metrics["train"].clear()
        # Processes that sample for the same question must not sample the same.
        set_seed(rank_seed(seed))

    def _send_telemetry(self) -> None:
        """Nothing: TRL would tell the Hub of every trainer.

        A thread looks up the Hub's address, and with it reads the environment, while Accelerate changes that. This is
        the likely reason why one of thousands of jobs ended with a segmentation fault.
        """

    @raise_diverged()
    def train(self, *args, **options):
        """TRL's; DivergedError if the weights are no longer finite. Callers save after it, so none of them is kept."""
        return super().train(*args, **options)

    def log(self, logs, start_time=None):
        """TRL's, after each optimizer step, whose gradient must have been finite."""
        norm = logs.get("grad_norm", 0.0)
        if not math.isfinite(norm):
            raise DivergedError(
                f"training step {self.first_step + self.state.global_step}: the gradient's norm is {norm}: the "
                "training diverged; lower its learning_rate or max_grad_norm, or set the model's dtype to float32"
            )
        super().log(logs, start_time)

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields):
        if self.generator is None:
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields)
        seed = rank_seed(derive(self.args.seed, "rollouts", self.state.global_step))
        params = self.policy.student_params(seed)
        return [list(completion.token_ids) for completion in self.generator.complete(prompt_ids, params)]

    def _tokenize_prompts(self, prompts):
        """As the engines encode prompts; TRL would add the tokenizer's special tokens to them."""
        return encode([self.shown_prompt(prompt) for prompt in prompts], self._tokenizer), None, {}

    def _calculate_rewards(self, *args):
        """TRL's: the task's rewards of all processes, shape (rollouts, 1). TRL's own share of groups counts the KL."""
        rewards = super()._calculate_rewards(*args)
        groups = rewards.view(-1, self.num_generations)
        self._metrics["train"]["zero_std_fraction"].append(zero_std_fraction(groups))
        return rewards

    def _get_per_token_logps_and_entropies(
        self, model, ids, mask, logits_to_keep, batch_size=None, compute_entropy=False, **options
    ):
        """TRL's; in parts of similar length each prompt goes through the model once, and less of it is padding."""
        # With checkpointing no layer's parameters need stay cast, two bytes each, while the others compute.
        with self.policy.autocast(cache=not self.args.gradient_checkpointing):
            # The balance loss of a mixture of experts is one of all the batch.
            by_trl = self.length_buckets == 1 and self.pass_tokens is None
            if by_trl or options.get("compute_aux_loss"):
                return super()._get_per_token_logps_and_entropies(
                    model, ids, mask, logits_to_keep, batch_size, compute_entropy, **options
                )
            logps, *entropies = completion_outputs(
                model,
                ids,
                mask,
                logits_to_keep,
                ("log_probs", "entropy") if compute_entropy else ("log_probs",),
                parts=Parts(max(self.length_buckets, math.ceil(len(ids) / (batch_size or len(ids)))), self.pass_tokens),
                share_prompts=self.shares_prompts,
                checkpointed=self.args.gradient_checkpointing and model.training,
            )
        return logps, *(entropies or [None]), None

    def create_optimizer(self, *args):
        """TRL's, with its moments where the configuration wants them."""
        optimizer = super().create_optimizer(*args)
        if self.offloads:
            self.offloaded = OffloadedAdamW(optimizer.param_groups)
            self.optimizer = self.offloaded
        return self.optimizer

    def create_scheduler(self, num_training_steps, optimizer=None):
        """The schedule of the whole training, from this segment's first step on; and AdamW's state, put in place.

        Called when the optimizer has the parameters that it will train: those of a sharded model replace the first.
        """
        for name, parameter in self.model.named_parameters():
            if f"{name}/step" not in self.initial_optimizer_state:
                continue
            if self.offloaded is not None:
                keys = ("step", "exp_avg", "exp_avg_sq")
                state = {key: self.initial_optimizer_state[f"{name}/{key}"] for key in keys}
                self.offloaded.hold(parameter, state)
            else:
                self.optimizer.state[parameter] = {
                    # AdamW is fused: it counts its steps on the parameter's device.
                    "step": self.initial_optimizer_state[f"{name}/step"].to(parameter.device, copy=True),
                    "exp_avg": placed_like(parameter, self.initial_optimizer_state[f"{name}/exp_avg"]),
                    "exp_avg_sq": placed_like(parameter, self.initial_optimizer_state[f"{name}/exp_avg_sq"]),
                }
        self.lr_scheduler = LambdaLR(
            optimizer or self.optimizer,
            lambda done: learning_rate_factor(
                self.first_step + done + 1, self.total_steps, self.warmup_steps, self.final_learning_rate
            ),
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def optimizer_state(self) -> OptimizerState:
        """AdamW's step count and two moments after a training, on the CPU, by parameter name."""
        states = self.optimizer.state if self.offloaded is None else self.offloaded.held
        return {
            f"{name}/{key}": full_copy(value)
            for name, parameter in self.model.named_parameters()
            for key, value in states.get(parameter, {}).items()
        }

    def release(self) -> None:
        """Let go of AdamW's state, two policies in size, after a training: another trainer may need the room."""
        self.optimizer = self.lr_scheduler = self.offloaded = None
        self.callback_handler.optimizer = self.callback_handler.lr_scheduler = None
        self.accelerator.free_memory()
