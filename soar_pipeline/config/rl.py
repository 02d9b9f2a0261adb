"""The RL of one policy: students of the inner loop, the teacher, and fresh students."""

from typing import Literal, Self

from pydantic import Field, model_validator

from soar_pipeline.config.overrides import changes_of
from soar_pipeline.config.section import Section


class RLOOConfig(Section):
    """One policy that RLOO trains: AdamW, cosine decay."""

    learning_rate: float = Field(1e-5, gt=0)
    """peak of the cosine schedule [Table 3]"""

    kl_coefficient: float = Field(0.001, ge=0)
    """a completion's reward is reduced by so many times the log-ratio to the policy that training started from, summed
    over the tokens [Table 3]
    """

    warmup_steps: int = Field(0, ge=0)
    """learning-rate warm-up, optimizer steps [Table 3: 0 or 20]"""

    adam_beta2: float = Field(0.999, gt=0, lt=1)
    """AdamW: decay of the second moment"""

    adam_epsilon: float = Field(1e-8, gt=0)
    """AdamW: gradients well below it move little; large values keep one lucky rollout among thousands, or pure KL
    noise, from being blown up to a full step
    """

    max_grad_norm: float = Field(1.0, gt=0)
    """gradients are scaled down to this norm"""

    micro_batch_size: int | None = Field(None, ge=1)
    """sequences whose gradients are computed together, on each device; none: all at once. If it is a multiple of a
    student's `group_size`, a student's step needs a pass less
    """

    length_buckets: int = Field(1, ge=1)
    """from 2 on: a pass over a (micro-)batch takes each prompt once (not if the model is sharded or keeps recurrent
    states) and its completions in so many parts of similar length. Results differ in the last digits. 1: TRL's own
    passes
    """

    pass_tokens: int | None = Field(None, ge=1)
    """in place of `length_buckets`: parts of similar length that have at most so many tokens, padding included (a
    longer completion is a part by itself), so that memory is bounded and little is padding; prompts as there
    """

    gradient_checkpointing: bool = False
    """recompute activations in backward: less memory, more time"""

    offload_moments: bool = False
    """keep AdamW's moments in the machine's memory, 8 bytes per parameter and process: a model that one GPU could not
    hold else, for a second or two per optimizer step. The numbers are the same
    """

    @model_validator(mode="after")
    def _one_kind_of_parts(self) -> Self:
        if self.pass_tokens is not None and self.length_buckets != 1:
            raise ValueError("pass_tokens: takes the place of length_buckets; leave one of them out")
        return self


class StudentConfig(RLOOConfig):
    """The student's RL, in the inner loop and in fresh students."""

    batch_size: int = Field(8, ge=1)
    """questions per step [Table 3]"""

    group_size: int = Field(32, ge=2)
    """completions per question [Table 3]"""

    reward_right: float = 120
    """reward of a completion whose last box verifies [student reward]"""

    reward_contains: float = 20
    """reward if boxed and not right, but the answer's text occurs [student reward]"""

    reward_boxed: float = 10
    """reward if boxed only; without a box it is 0 [student reward]"""

    def on_policy(self, share: int) -> bool:
        """Whether a step needs no pass for old log-probabilities, which are the current ones: the advantages of a
        micro-batch do not depend on another. share: rollouts of a step that a process has.
        """
        size = min(self.micro_batch_size or share, share)
        return size == share or size % self.group_size == 0


class TeacherConfig(RLOOConfig):
    """The teacher's RL: RLOO over the datasets of an outer step."""

    warmup_steps: int = Field(20, ge=0)
    """learning-rate warm-up, outer steps [Table 3]"""

    max_draws_per_question: int = Field(64, ge=1)
    """give up if fewer than one in so many draws is a usable question"""


class CheckpointRule(Section):
    """Which steps of a fresh student are reported."""

    rule: Literal["reward_plateau", "fixed"] = "reward_plateau"
    """reward_plateau: the first step at which the training reward no longer rises; fixed: `step` [checkpoint selection]
    """

    smoothing: int = Field(25, ge=1)
    """steps of the centred moving average of the training reward [checkpoint selection]"""

    slope_distance: int = Field(50, ge=1)
    """steps between the smoothed points that a slope is taken between: the further apart, the less noise decides the
    step, and the coarser it is (the paper does not say)
    """

    slope_fraction: float = Field(0.15, gt=0, lt=1)
    """the reward no longer rises if its slope is below this share of the top [checkpoint selection]"""

    window: int = Field(200, ge=0)
    """steps after the selected one over which metrics are averaged [checkpoint selection]"""

    step: int = Field(50, ge=1)
    """the step of rule `fixed` [checkpoint selection: OlympiadBench]"""


class Lora(Section):
    """Adapters that are trained in place of the parameters."""

    rank: int
    alpha: float


class HintConfig(Section):
    """Hint withdrawal: the prompt of a hard problem goes on with the beginning of its worked solution, and the student
    with the rest. What is shown shrinks problem by problem as the student succeeds, to nothing (docs/method.md §10).
    """

    parts: int = Field(4, ge=1)
    """a solution is divided into so many equal parts"""

    start: int = Field(3, ge=0)
    """parts that are shown at first"""

    shorten_at: float = Field(0.5, gt=0, le=1)
    """share of right completions of a problem in a step from which on it is shown one part less; at none right, one
    part more
    """

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.start > self.parts:
            raise ValueError(f"start: {self.start} is more than parts, {self.parts}")
        return self


class FreshStudentConfig(Section):
    """Students that start as the base model and train on the extra questions and `train`."""

    steps: int = Field(1500, ge=1)
    """training steps [Table 3]"""

    schedule_steps: int | None = Field(None, ge=1)
    """steps over which the learning rate decays, at least `steps`; none: `steps` [OlympiadBench is reported at step 50
    of 1500]
    """

    mixing: Literal["curriculum", "mixed"] = "curriculum"
    """curriculum: extra questions first, then only real ones; mixed: shuffled together [experiments: curriculum for
    MATH, mixed for HARP and OlympiadBench]
    """

    synthetic_steps: int = Field(64, ge=0)
    """curriculum: steps on the extra questions [Table 3]"""

    warmup_steps: int = Field(0, ge=0)
    """learning-rate warm-up, optimizer steps; config/paper.yaml says 20, and 0 for PQ with a curriculum [Table 3]"""

    batch_size: int | None = Field(None, ge=1)
    """none: student.batch_size"""

    group_size: int | None = Field(None, ge=2)
    """none: student.group_size"""

    kl_coefficient: float | None = Field(None, ge=0)
    """none: student.kl_coefficient"""

    learning_rate: float | None = Field(None, gt=0)
    """none: student.learning_rate"""

    lora_rank: int | None = Field(None, ge=1)
    """train adapters of this rank on every linear layer but the head, and keep the rest as it is (LoRA); none: train
    all parameters
    """

    lora_alpha: float = Field(32, gt=0)
    """LoRA: adapters are scaled by `lora_alpha` / `lora_rank`"""

    evaluate_every: int = Field(50, ge=1)
    """steps between evaluations on test"""

    checkpoint: CheckpointRule = CheckpointRule()


# Keys of `fresh_student` that take the place of those of `student`, if they are given.
FRESH_STUDENT_RL = ("batch_size", "group_size", "kl_coefficient", "learning_rate")

StudentChanges = changes_of(StudentConfig)
CheckpointRuleChanges = changes_of(CheckpointRule)
FreshStudentChanges = changes_of(FreshStudentConfig)
