"""The student's RL (spec sections 4–6): one trainer, reset for each student."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import Dataset
from transformers import PreTrainedModel, TrainerCallback

from soar_pipeline.config import ConfigError, GenerationConfig, StudentConfig
from soar_pipeline.generation.engines import rollout_generator_of
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.reward import student_reward
from soar_pipeline.models.policy import Policy, PromptFormat, Weights
from soar_pipeline.slices import Lora
from soar_pipeline.training.rloo import Moments, OnePassTrainer, ResettableTrainer, trl_settings
from soar_pipeline.training.schedules import ScheduledQuestion

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass(frozen=True)
class StepMetrics:
    """What one optimizer step saw. `no_signal_share`: groups whose rewards, KL included, were all equal.

    reward: None where no completion could be scored.
    """

    step: int
    reward: float | None
    kl: float | None
    no_signal_share: float
    tokens: int


class StudentTrainer:
    """Trains students by RLOO on schedules of questions; the policy's model holds the last one trained.

    sharded: over the processes of the job, from the first training on. lora: from here to `merge()` the policy's model
    has adapters, drawn by `seed`; they alone are trained.
    """

    def __init__(
        self,
        policy: Policy,
        prompts: PromptFormat,
        grader: Grader,
        config: StudentConfig,
        generation: GenerationConfig,
        sharded: bool = False,
        lora: Lora | None = None,
        seed: int = 0,
    ):
        self.policy, self.prompts, self.grader, self.config = policy, prompts, grader, config
        settings = trl_settings(
            config,
            rollouts=config.batch_size * config.group_size,
            group_size=config.group_size,
            max_new_tokens=generation.student_max_new_tokens,
            temperature=generation.temperature,
            folder=Path(tempfile.gettempdir()),
            sharded=sharded,
            seed=seed,
        )
        placeholder = Dataset.from_list([{"prompt": "", "answer": ""}])
        kind = OnePassTrainer if config.one_pass else ResettableTrainer
        if sharded:
            # What transformers would set if it had sharded the model itself: that the processes generate in step.
            policy.model._is_fsdp_managed_module = True
        self.trainer = kind(
            policy,
            self._rewards,
            settings,
            placeholder,
            adapters=lora and _adapters(lora),
            generator=rollout_generator_of(policy, generation),
            length_parts=config.length_parts,
        )

    def train(
        self,
        schedule: list[ScheduledQuestion],
        seed: int,
        *,
        reference: Weights,
        start: Weights | None = None,
        total_steps: int | None = None,
        moments: Moments | None = None,
        learning_rate: float | None = None,
        after_step: Callable[[StepMetrics], None] | None = None,
    ) -> list[StepMetrics]:
        """One optimizer step per `batch_size` scheduled questions, with the KL taken to `reference`.

        The learning rate is the config's where none is given.

        Starts at `start` (none: where the policy stands). A segment of a longer training has `total_steps` and the
        `moments` of the segment before it; its first step is that of its schedule.
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
            moments=moments,
        )
        self.trainer.train_dataset = Dataset.from_list(
            [{"prompt": self.prompts.student(item.question), "answer": item.answer} for item in schedule]
        )
        observer = _StepObserver(first_step, after_step)
        self.trainer.add_callback(observer)
        try:
            self.trainer.train()
        finally:
            self.trainer.remove_callback(observer)
            self.policy.model.eval()
        return observer.seen

    def moments(self) -> Moments:
        """AdamW's moments after a training."""
        return self.trainer.moments()

    def merge(self) -> None:
        """Make the policy's model a plain one again, its adapters (if any) added to the weights they belong to."""
        if not isinstance(self.trainer.model, PreTrainedModel):
            self.trainer.model.merge_and_unload()

    def release(self) -> None:
        """Let go of the moments, after a training."""
        self.trainer.release()

    def _rewards(self, completions: list[str], answer: list[str], **_) -> list[float | None]:
        """TRL's reward function: 120/20/10/0, None where the verification timed out (spec section 4)."""
        grades = self.grader.grade(list(zip(answer, completions, strict=True)))
        return [student_reward(gold, grade, self.config) for gold, grade in zip(answer, grades, strict=True)]


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
        self.seen: list[StepMetrics] = []

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if not logs or "reward" not in logs:
            return
        tokens = int(logs["num_tokens"])
        metrics = StepMetrics(
            step=self.first_step + state.global_step,
            reward=logs["reward"],
            kl=logs.get("kl"),
            no_signal_share=logs["frac_reward_zero_std"],
            tokens=tokens - self.tokens,
        )
        self.tokens = tokens
        self.seen.append(metrics)
        if self.after_step is not None:
            self.after_step(metrics)
