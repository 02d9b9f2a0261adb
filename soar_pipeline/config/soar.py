"""The outer loop (Algorithm 1) and its objectives."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from soar_pipeline.config.overrides import changes_of
from soar_pipeline.config.section import Section, SeedCount

# Rewards that train no students, and the key that says how many completions of a question they sample.
INTRINSIC_REWARDS = {
    "learnability": "learnability_samples",
    "gated_learnability": "learnability_samples",
    "absolute_zero": "absolute_zero_samples",
    "r_zero": "r_zero_samples",
}
# Rewards that ask the judge of `taxonomy`.
JUDGED_REWARDS = ("gated_learnability",)
BUILT_IN_REWARDS = ("grounded", *INTRINSIC_REWARDS)
OWN_REWARD = r".+\.py:[A-Za-z_][A-Za-z0-9_]*"


class SoarConfig(Section):
    """The meta-RL loop: the teacher's datasets, the students that try them, and promotion."""

    outer_steps: int = Field(200, ge=1)
    """T, updates of the teacher [Table 3]"""

    sampled_teacher_step: int | None = Field(None, ge=1)
    """outer step after which the teacher is kept that questions are sampled from; promotions are those of all steps.
    None: the last [experiments: 170 of 200 for HARP]
    """

    datasets: int = Field(4, ge=2)
    """g, datasets of a group, each of which has the mean of the others as its baseline [Table 3: group size]"""

    groups: int = Field(1, ge=1)
    """groups per outer step; promotion looks at the datasets of all [Algorithm 1: 1; Table 3: a batch size of 2]"""

    questions_per_dataset: int = Field(64, ge=1)
    """n, questions in a dataset [Table 3]"""

    repeats: int = Field(4, ge=1)
    """r, students trained per dataset [Table 3]"""

    reward_questions: int = Field(64, ge=1)
    """hard problems that measure the students, drawn anew each outer step from train [Table 3]"""

    reward_samples: int | None = Field(None, ge=1)
    """how accuracy on the reward questions is measured, of students and their baseline alike. None: by one greedy
    completion of each [rewards]; a number: by the share of right ones among so many at generation.temperature
    """

    inner_steps: int = Field(10, ge=1)
    """RLOO steps of a student [Table 3]"""

    inner_steps_after_promotion: int = Field(15, ge=1)
    """the same once there was a promotion [Table 3]"""

    learning_rate_after_promotion: float | None = Field(None, gt=0)
    """of the students; none: student.learning_rate. A promoted student has more to lose than the base model, and a rate
    that lifts the one can undo the other
    """

    promotion_threshold: float = 0.01
    """tau: a moving average of the mean reward above it promotes, in solved share [Table 3]"""

    promote_from: Literal["step", "window"] = "step"
    """which students may be promoted. step: those of the outer step at which the moving average exceeds tau [Algorithm
    1]; window: those of all outer steps that it is the average of, so that a step in which no student learned promotes
    none of its own
    """

    moving_average_window: int = Field(3, ge=1)
    """outer steps; starts afresh after a promotion [Table 3]"""

    learnability_samples: int = Field(32, ge=1)
    """learnability rewards: student completions per question [intrinsic reward]"""

    absolute_zero_samples: int = Field(8, ge=1)
    """absolute_zero reward: student completions per question (as in arXiv 2505.03335)"""

    r_zero_samples: int = Field(10, ge=1)
    """r_zero reward: student completions per question (as in arXiv 2508.05004)"""

    r_zero_bleu_unit: Literal["words", "characters"] = "words"
    """r_zero reward: what the n-grams of BLEU are made of; characters for questions without spaces, as those of the toy
    task
    """

    r_zero_bleu_distance: float = Field(0.5, ge=0, le=1)
    """r_zero reward: 1 − BLEU up to which clusters of questions are joined"""

    @property
    def promotion_steps(self) -> int:
        """Outer steps whose students may be promoted."""
        return self.moving_average_window if self.promote_from == "window" else 1

    checkpoint_every: int = Field(1, ge=1)
    """outer steps between checkpoints; what is lost by a kill is redone"""

    @property
    def datasets_per_step(self) -> int:
        """Datasets of all groups of an outer step."""
        return self.groups * self.datasets

    @model_validator(mode="after")
    def _reached(self) -> Self:
        if self.sampled_teacher_step is not None and self.sampled_teacher_step > self.outer_steps:
            raise ValueError(
                f"sampled_teacher_step: {self.sampled_teacher_step} is more than outer_steps, {self.outer_steps}"
            )
        return self


SoarChanges = changes_of(SoarConfig)


class ObjectiveConfig(Section):
    """A kind of SOAR run, by a name of your choice: the teacher's reward, and what differs from the `soar` section.

    Its runs are made if an arm builds on them.
    """

    reward: str = Field("grounded", json_schema_extra={"pattern": f"^({'|'.join(BUILT_IN_REWARDS)}|{OWN_REWARD})$"})
    """grounded: measured improvement of students on hard problems; learnability: 1 − share of matching answers, 0 if
    none matches; gated_learnability: the same, 0 also if taxonomy.judge does not find the question well posed;
    absolute_zero and r_zero: those of these methods; or a function of your own, `my_rewards.py:my_reward`
    (docs/teacher-rewards.md) [teacher rewards]
    """

    promotion: bool = True
    """let the best student become the new baseline; off: the ablation [no-promotion ablation]"""

    turns: Literal[1, 2] = 1
    """how the teacher writes. 1: question and answer in one completion, filtered by form; 2: the question first, then
    its answer, no filter [multi-turn]
    """

    soar: SoarChanges = SoarChanges()
    """keys of the `soar` section that differ in this objective"""

    teacher_seeds: SeedCount | None = None
    """SOAR runs; none: seeds.teacher [3 for ablations]"""

    @field_validator("reward")
    @classmethod
    def _built_in_or_own(cls, reward: str) -> str:
        if reward not in BUILT_IN_REWARDS and not re.fullmatch(OWN_REWARD, reward):
            raise ValueError(f"{reward!r} is neither one of {', '.join(BUILT_IN_REWARDS)} nor a `<file>.py:<function>`")
        return reward

    @model_validator(mode="after")
    def _possible(self) -> Self:
        # Whether a user's own reward trains students shows when it is called.
        if self.reward in INTRINSIC_REWARDS and self.promotion:
            raise ValueError(
                f"reward `{self.reward}` trains no students, so there is nothing to promote; set promotion: false"
            )
        return self

    @property
    def needs_judge(self) -> bool:
        """Whether the reward asks the judge of `taxonomy`."""
        return self.reward in JUDGED_REWARDS

    @property
    def reward_file(self) -> tuple[str, str] | None:
        """Path and function name of a reward of the user's own, else None."""
        if self.reward in BUILT_IN_REWARDS:
            return None
        path, _, function = self.reward.rpartition(":")
        return path, function
