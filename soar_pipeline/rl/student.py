"""The student's RL (docs/method.md §§ 4–6): one trainer, reset for each student."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from transformers import PreTrainedModel, TrainerCallback

from soar_pipeline.config import ConfigError, Lora, StudentConfig
from soar_pipeline.grading.grader import Grade
from soar_pipeline.grading.reward import student_reward
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import before
from soar_pipeline.policy.weights import Weights
from soar_pipeline.rl.distributed import processes
from soar_pipeline.rl.on_policy import OnPolicyTrainer
from soar_pipeline.rl.rloo import OptimizerState, ResettableTrainer, trl_settings
from soar_pipeline.rl.schedules import ScheduledQuestion

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass(frozen=True)
class StepMetrics:
    """What one optimizer step saw.

    reward: the task's mean reward, without KL; None if no completion could be scored. kl: to the reference, estimated
    as the mean log-ratio per token, which may be negative. zero_std_fraction: share of groups whose task rewards were
    all equal. hint_fraction: mean share of the worked solutions that the prompts showed; None if the training gives no
    hints.
    """

    step: int
    reward: float | None
    kl: float | None
    zero_std_fraction: float
    tokens: int
    hint_fraction: float | None = None


class StudentTrainer:
    """Trains students by RLOO on schedules of questions; the policy's model holds the last one trained.

    sharded: over the processes of the job, from the first training on. lora: from here to `merge()` the policy's model
    has adapters, initialised by `seed`; they alone are trained.
    """

    def __init__(
        self,
        policy: OpenPolicy,
        config: StudentConfig,
        sharded: bool = False,
        lora: Lora | None = None,
        seed: int = 0,
    ):
        self.policy, self.config = policy, config
        share = config.batch_size * config.group_size // processes().num_processes
        # The balance loss of a mixture of experts is TRL's to compute.
        balanced = getattr(policy.model.config, "output_router_logits", False)
        on_policy = config.on_policy(share) and not balanced
        settings = trl_settings(
            config.model_copy(update={"micro_batch_size": None}) if on_policy else config,
            rollouts=config.batch_size * config.group_size,
            group_size=config.group_size,
            max_new_tokens=policy.generation.student_max_new_tokens,
            temperature=policy.generation.temperature,
            folder=Path(tempfile.gettempdir()),
            sharded=sharded,
            seed=seed,
        )
        placeholder = Dataset.from_list([{"prompt": "", "answer": ""}])
        kind, options = ResettableTrainer, {}
        if on_policy:
            kind, options = OnPolicyTrainer, {"micro_batch": min(config.micro_batch_size or share, share)}
        if sharded:
            # What transformers would set if it had sharded the model itself: that the processes generate in step.
            policy.model._is_fsdp_managed_module = True
        self.trainer = kind(
            policy,
            self._rewards,
            settings,
            placeholder,
            adapters=lora and _adapters(lora),
            generator=policy.rollout_generator,
            passes=config,
            **options,
        )

    def train(
        self,
        schedule: list[ScheduledQuestion],
        seed: int,
        *,
        reference: Weights,
        start: Weights | None = None,
        total_steps: int | None = None,
        optimizer_state: OptimizerState | None = None,
        learning_rate: float | None = None,
        after_step: Callable[[StepMetrics], None] | None = None,
    ) -> list[StepMetrics]:
        """One optimizer step per `batch_size` scheduled questions, with the KL taken to `reference`.

        Starts at `start` (none: with the weights that the policy has). learning_rate: none is the configuration's. A
        segment of a longer training has `total_steps` and the `optimizer_state` of the segment before it; its first
        step is that of its schedule.
        """
        steps = len(schedule) // self.config.batch_size
        first_step = schedule[0].step - 1
        self.trainer.reset(
            reference=reference,
            start=start,
            seed=seed,
            steps=steps,
            learning_rate=learning_rate or self.config.learning_rate,
            first_step=first_step,
            total_steps=total_steps,
            optimizer_state=optimizer_state,
        )
        self.trainer.train_dataset = Dataset.from_list(
            [
                {"prompt": self.policy.prompts.student(item.question.question), "answer": item.question.answer}
                for item in schedule
            ]
        )
        observer = _StepObserver(first_step, after_step)
        self.trainer.add_callback(observer)
        try:
            self.trainer.train()
        finally:
            self.trainer.remove_callback(observer)
            self.policy.model.eval()
        return observer.metrics

    def state(self) -> dict[str, Any]:
        """What a segment of a training hands over to the next one beside weights and moments, as JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""

    def optimizer_state(self) -> OptimizerState:
        """AdamW's state after a training."""
        return self.trainer.optimizer_state()

    def merge(self) -> None:
        """Make the policy's model a plain one again, its adapters (if any) added to the weights they belong to."""
        if not isinstance(self.trainer.model, PreTrainedModel):
            self.trainer.model.merge_and_unload()

    def release(self) -> None:
        """Let go of AdamW's state, after a training."""
        self.trainer.release()

    def _rewards(self, completions: list[str], answer: list[str], prompts: list[str], **_) -> list[float | None]:
        """TRL's reward function: 120/20/10/0, None if the verification timed out (docs/method.md §4)."""
        texts = [before(self.policy.prompts.student_stop, completion) for completion in completions]
        grades = self.policy.grader.grade(list(zip(answer, texts, strict=True)))
        self._observe(prompts, grades)
        return [student_reward(gold, grade, self.config) for gold, grade in zip(answer, grades, strict=True)]

    def _observe(self, prompts: list[str], grades: list[Grade]) -> None:
        """Told of the grades of each step's completions in this process, with the prompts of the data."""


def add_adapters(model: PreTrainedModel, lora: Lora) -> None:
    """Give the model adapters, as a training does; what they start as is of no account."""
    config = _adapters(lora)
    from peft import get_peft_model

    get_peft_model(model, config)


def _adapters(lora: Lora) -> "PeftConfig":
    # peft is an extra.
    try:
        from peft import LoraConfig
    except ImportError:
        raise ConfigError("fresh_student.lora_rank: peft is not installed; pip install -e '.[lora]'") from None
    return LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM")


class _StepObserver(TrainerCallback):
    def __init__(self, first_step: int, after_step: Callable[[StepMetrics], None] | None):
        self.first_step, self.after_step, self.tokens = first_step, after_step, 0
        self.metrics: list[StepMetrics] = []

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if not logs or "reward" not in logs:
            return
        tokens = int(logs["num_tokens"])
        metrics = StepMetrics(
            step=self.first_step + state.global_step,
            reward=logs["reward"],
            kl=logs.get("kl"),
            zero_std_fraction=logs["zero_std_fraction"],
            tokens=tokens - self.tokens,
        )
        self.tokens = tokens
        self.metrics.append(metrics)
        if self.after_step is not None:
            self.after_step(metrics)
