"""The whole configuration, as frozen models: every default stands here and nowhere else.

Defaults are the paper's; the YAML files in `config/` only say what differs. `config/README.md` is generated from the
docstrings and descriptions here; a description's last `[…]` says where in the paper the key comes from.
Light to import (no torch): the Snakefile validates a run with it before anything starts. A stage receives its
slice of the configuration as JSON and never the file.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PASS_AT_K = (1, 4, 8, 16, 32)
NAME = r"^[a-z0-9][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
INTRINSIC_REWARDS = ("learnability", "absolute_zero", "r_zero")
BUILT_IN_REWARDS = ("grounded", *INTRINSIC_REWARDS)
OWN_REWARD = r".+\.py:[A-Za-z_][A-Za-z0-9_]*"


class ConfigError(ValueError):
    """A configuration that cannot run; the message names file and key."""


class Section(BaseModel):
    # No infinity or NaN from a typo in YAML (`.inf`): a training would end in nothing, hours later.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


AnySection = TypeVar("AnySection", bound=Section)


class ModelConfig(Section):
    """A base model, by a name of your choice: teacher and student both start as it."""

    source: Literal["folder", "hub", "gguf_package", "pretrain"] = Field(
        "hub",
        description="folder: a local Hugging Face folder; hub: a hub id (needs a network); gguf_package: an installed "
        "Python package that carries a GGUF file; pretrain: train the embedded world's model from scratch",
    )
    path: str = Field(
        "meta-llama/Llama-3.2-3B-Instruct",
        description="folder, hub id or package name; for source `pretrain` not used [experiments]",
    )
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="parameter type in training and sampling")
    chat_template: bool = Field(
        False, description="wrap prompts in the tokenizer's chat template (off: the prompt file is the whole prompt)"
    )
    pretrain_steps: int = Field(2600, ge=1, description="optimizer steps where source is `pretrain`")


class PromptConfig(Section):
    """Prompt files: text files whose whole content is the prompt."""

    student: str = Field(
        "resources/prompts/student.txt",
        description="file of the student's prompt; holds `{question}` exactly once [prompts]",
    )
    teacher: str = Field(
        "resources/prompts/teacher.txt",
        description="file of the teacher's prompt, the same at every step [prompts]",
    )
    judge: str = Field(
        "resources/prompts/judge.txt",
        description="file of the taxonomy judge's prompt; holds `{question}` and `{answer}` exactly once, between "
        "`{boundary}`s [taxonomy]",
    )
    serl: str = Field(
        "resources/prompts/serl.txt",
        description="file of the prompt by which SeRL writes questions; holds `{questions}`, the list to be continued, "
        "exactly once [baselines: SeRL]",
    )
    serl_rollout: str = Field(
        "resources/prompts/serl_rollout.txt",
        description="file of the prompt by which SeRL answers its questions; holds `{question}` exactly once "
        "[baselines: SeRL, the bare question]",
    )
    teacher_question: str = Field(
        "resources/prompts/teacher_question.txt",
        description="two turns: file of the first prompt, which asks for a question alone [multi-turn]",
    )
    teacher_answer: str = Field(
        "resources/prompts/teacher_answer.txt",
        description="two turns: file of the second prompt, which asks for the answer; holds `{question}` exactly once "
        "[multi-turn]",
    )


class PoolConfig(Section):
    """Problems that are not filtered, by a name of your choice: real questions that arms train on."""

    adapter: Literal["digit_shuffles", "harp", "math", "olympiadbench", "plain"] = Field(
        description="digit_shuffles: generated here; harp, math, olympiadbench: rows as these are published; plain: "
        "`question`, `answer` (docs/data.md) [experiments: MATH, HARP, OlympiadBench]"
    )
    path: str | None = Field(
        None, description="file of the problems: .jsonl, .zip with one .jsonl in it, .json (a list) or .parquet"
    )
    hub: str | None = Field(None, description="in place of `path`: id of a data set on the hub (needs a network)")
    subset: str | None = Field(None, description="hub: the data set's configuration, where it has several")
    split: str | None = Field(None, description="hub: the split that is read")
    revision: str | None = Field(None, description="hub: branch, tag or commit; none: the newest")
    sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 that the file at `path` must have; none: not checked"
    )
    rows: int | None = Field(
        None, ge=1, description="rows that the source must have, before any is left out; none: not checked"
    )
    subjects: tuple[str, ...] | None = Field(None, description="keep only these subjects")
    levels: tuple[str, ...] | None = Field(None, description="keep only these levels")
    limit: int | None = Field(None, ge=1, description="keep the first so many rows that are left")
    difficulties: tuple[int, ...] = Field((), description="digit_shuffles: how many operations, cycled over the pool")
    size: int = Field(0, ge=0, description="digit_shuffles: problems in the pool")
    world_seed: int = Field(0, description="digit_shuffles: seed of the pool")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.adapter == "digit_shuffles":
            if not (self.difficulties and self.size):
                raise ValueError("adapter digit_shuffles needs `difficulties` and `size`")
            if self.path or self.hub or self.sha256 or self.rows:
                raise ValueError("adapter digit_shuffles reads nothing: drop `path`, `hub`, `sha256` and `rows`")
        elif bool(self.path) == bool(self.hub):
            raise ValueError(f"adapter {self.adapter} needs `path` or `hub`, one of them")
        if self.hub and not self.split:
            raise ValueError("`hub` needs `split`")
        if not self.hub and (self.subset or self.split or self.revision):
            raise ValueError("`subset`, `split` and `revision` belong to `hub`")
        if self.hub and self.sha256:
            raise ValueError("`sha256` is that of the file at `path`; give `revision` and `rows` for `hub`")
        return self


PaperTable = Literal["table4_math", "table5_harp", "table6_olympiadbench", "table8_multi_turn", "table9_llama31_8b"]


class DatasetConfig(PoolConfig):
    """One pool of problems that is filtered and split, by a name of your choice."""

    model: Name = Field("base", description="name in `models`: the base model that finds its problems hard")
    paper_table: PaperTable | None = Field(
        None, description="the paper's table that stands beside this data set's figures (resources/paper)"
    )
    soar: dict[str, Any] = Field({}, description="keys of the `soar` section that differ here")
    fresh_student: dict[str, Any] = Field({}, description="keys of the `fresh_student` section that differ here")

    @property
    def pool(self) -> PoolConfig:
        """What says which problems there are."""
        return PoolConfig(**self.model_dump(include=set(PoolConfig.model_fields)))


class FilterConfig(Section):
    """fail@k filter: a problem is kept if and only if none of k samples of the base model is right."""

    rounds: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (8, 24, 96),
        min_length=1,
        description="samples per round; a problem leaves at its first right answer, so the sum is the k of fail@k; "
        "rounds do not change what is kept [fail@128]",
    )
    shards: int = Field(1, ge=1, le=999, description="jobs that share the pool")
    keep_all: bool = Field(False, description="skip the filter's verdict: keep every problem (plumbing runs only)")


class EngineConfig(Section):
    """What draws completions."""

    engine: Literal["transformers", "vllm"] = Field(
        "transformers",
        description="transformers: generate of the library, in batches; vllm: one vLLM in each process, which gets its "
        "weights from the training (docs/vllm.md); the two draw other samples",
    )
    batch_size: int = Field(256, ge=1, description="sequences decoded together; changes speed and memory")
    segment_tokens: int | None = Field(
        None,
        ge=1,
        description="engine transformers: after so many tokens, completions that have ended leave their batch, and a "
        "prompt goes through the model once for all its completions; none: a batch waits for its longest. Another "
        "value draws other samples",
    )
    vllm_memory_share: float = Field(
        0.4,
        gt=0,
        lt=1,
        description="engine vllm: share of the GPU's memory that it holds, weights and cache, while it generates; it "
        "holds next to none while a model trains. On a CPU the cache has 1 GiB",
    )


class GenerationConfig(EngineConfig):
    """How completions are drawn."""

    student_max_new_tokens: int = Field(1024, ge=1, description="most tokens of a student's completion [Table 3]")
    teacher_max_new_tokens: int = Field(512, ge=1, description="most tokens of a teacher's completion [Table 3]")
    temperature: float = Field(
        1.0, gt=0, description="sampling temperature of filter, training and evaluation [Table 3]"
    )

    @property
    def drawn_by(self) -> EngineConfig:
        """The engine alone."""
        return EngineConfig(**self.model_dump(include=set(EngineConfig.model_fields)))


class GradingConfig(Section):
    """Math-Verify in killable worker processes."""

    workers: int = Field(1, ge=1, description="worker processes per job")
    timeout_seconds: int = Field(5, ge=1, description="CPU seconds per comparison, beyond them a `timeout`")
    memory_mb: int = Field(2048, ge=256, description="MB that a worker may take above its start size")


class RLOOConfig(Section):
    """One policy that RLOO trains: AdamW, cosine decay."""

    learning_rate: float = Field(1e-5, gt=0, description="peak of the cosine schedule [Table 3]")
    kl_coefficient: float = Field(
        0.001, ge=0, description="weight of the per-token KL to the policy that training started from [Table 3]"
    )
    warmup_steps: int = Field(0, ge=0, description="learning-rate warm-up, optimizer steps [Table 3: 0 or 20]")
    adam_beta2: float = Field(0.999, gt=0, lt=1, description="AdamW: decay of the second moment")
    adam_epsilon: float = Field(
        1e-8,
        gt=0,
        description="AdamW: gradients well below it move little; large values keep one lucky rollout among thousands, "
        "or pure KL noise, from being blown up to a full step",
    )
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this norm")
    micro_batch_size: int | None = Field(
        None, ge=1, description="sequences per forward/backward, on each device; none: all at once"
    )
    length_parts: int = Field(
        1,
        ge=1,
        description="from 2 on: a pass over a (micro-)batch takes each prompt once (not where the model is sharded, "
        "recomputes activations or keeps recurrent states) and its completions in so many parts of similar length. "
        "Results differ in the last digits. 1: TRL's own passes",
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations in backward: less memory, more time")


class StudentConfig(RLOOConfig):
    """The student's RL, in the inner loop and in fresh students."""

    batch_size: int = Field(8, ge=1, description="questions per step [Table 3]")
    group_size: int = Field(32, ge=2, description="completions per question [Table 3]")
    reward_right: float = Field(120, description="reward of a completion whose last box verifies [student reward]")
    reward_contains: float = Field(
        20, description="reward if boxed and not right, but the answer's text occurs [student reward]"
    )
    reward_boxed: float = Field(10, description="reward if boxed only; without a box it is 0 [student reward]")

    @property
    def one_pass(self) -> bool:
        """Whether a step is one micro-batch that keeps its activations: the old log-probabilities are the current."""
        return self.micro_batch_size is None and not self.gradient_checkpointing


class TeacherConfig(RLOOConfig):
    """The teacher's RL: RLOO over the datasets of an outer step."""

    warmup_steps: int = Field(20, ge=0, description="learning-rate warm-up, outer steps [Table 3]")
    max_draws_per_question: int = Field(
        64,
        ge=1,
        description="give up where fewer than one in so many draws is a usable question",
    )


class SoarConfig(Section):
    """The meta-RL loop: the teacher's datasets, the students that try them, and promotion."""

    outer_steps: int = Field(200, ge=1, description="T, updates of the teacher [Table 3]")
    datasets: int = Field(4, ge=2, description="g, datasets per outer step [Table 3: group size]")
    questions_per_dataset: int = Field(64, ge=1, description="n, questions in a dataset [Table 3]")
    repeats: int = Field(4, ge=1, description="r, students trained per dataset [Table 3]")
    reward_questions: int = Field(
        64, ge=1, description="hard problems that measure the students, drawn anew each outer step from train [Table 3]"
    )
    inner_steps: int = Field(10, ge=1, description="RLOO steps of a student [Table 3]")
    inner_steps_after_promotion: int = Field(15, ge=1, description="the same once there was a promotion [Table 3]")
    learning_rate_after_promotion: float | None = Field(
        None,
        gt=0,
        description="of the students; none: student.learning_rate. A promoted student has more to lose than the base "
        "model, and a rate that lifts the one can undo the other",
    )
    promotion_threshold: float = Field(
        0.01, description="tau: a moving average of the mean reward above it promotes, in solved share [Table 3]"
    )
    moving_average_window: int = Field(3, ge=1, description="outer steps; starts afresh after a promotion [Table 3]")
    learnability_samples: int = Field(
        32, ge=1, description="learnability reward: student completions per question [intrinsic reward]"
    )
    absolute_zero_samples: int = Field(
        8, ge=1, description="absolute_zero reward: student completions per question (as in arXiv 2505.03335)"
    )
    r_zero_samples: int = Field(
        10, ge=1, description="r_zero reward: student completions per question (as in arXiv 2508.05004)"
    )
    r_zero_bleu_unit: Literal["words", "characters"] = Field(
        "words",
        description="r_zero reward: what the n-grams of BLEU are made of; characters for questions without spaces, as "
        "those of the embedded world",
    )
    r_zero_bleu_distance: float = Field(
        0.5, ge=0, le=1, description="r_zero reward: 1 − BLEU up to which clusters of questions are joined"
    )
    diversity_questions: int = Field(
        64,
        ge=2,
        description="questions per outer step that the diversity curve is computed from [analysis of diversity]",
    )


class ObjectiveConfig(Section):
    """A kind of SOAR run, by a name of your choice: the teacher's reward, and what differs from the `soar` section.

    Its runs are made where an arm builds on them.
    """

    reward: str = Field(
        "grounded",
        description="grounded: measured improvement of students on hard problems; learnability: 1 − share of matching "
        "answers, 0 where none matches; absolute_zero and r_zero: those of these methods; or a function of your own, "
        "`my_rewards.py:my_reward` (docs/teacher-rewards.md) [teacher rewards]",
        json_schema_extra={"pattern": f"^({'|'.join(BUILT_IN_REWARDS)}|{OWN_REWARD})$"},
    )
    promotion: bool = Field(
        True, description="let the best student become the new baseline; off: the ablation [no-promotion ablation]"
    )
    turns: Literal[1, 2] = Field(
        1,
        description="how the teacher writes. 1: question and answer in one completion, filtered by form; 2: the "
        "question first, then its answer, no filter [multi-turn]",
    )
    soar: dict[str, Any] = Field({}, description="keys of the `soar` section that differ in this objective")
    teacher_seeds: int | None = Field(None, ge=1, description="SOAR runs; none: seeds.teacher [3 for ablations]")

    @field_validator("reward")
    @classmethod
    def _built_in_or_own(cls, reward: str) -> str:
        if reward not in BUILT_IN_REWARDS and not re.fullmatch(OWN_REWARD, reward):
            raise ValueError(f"{reward!r} is none of {', '.join(BUILT_IN_REWARDS)} and no `<file>.py:<function>`")
        return reward

    @model_validator(mode="after")
    def _possible(self) -> "ObjectiveConfig":
        # Whether a user's own reward trains students shows when it is called.
        if self.reward in INTRINSIC_REWARDS and self.promotion:
            raise ValueError(
                f"reward `{self.reward}` trains no students, so there is nothing to promote: promotion: false"
            )
        return self

    @property
    def reward_file(self) -> tuple[str, str] | None:
        """Path and function name of a reward of the user's own, else None."""
        if self.reward in BUILT_IN_REWARDS:
            return None
        path, _, function = self.reward.rpartition(":")
        return path, function


class PromotionQuestions(Section):
    """D_best of a SOAR run, taken whole [PQ]."""

    source: Literal["promotions"] = Field(description="this kind of source")
    objective: Name = Field(description="name in `objectives`: whose SOAR runs the questions come from")


class TeacherQuestions(Section):
    """Questions sampled from the trained teacher of a SOAR run [Grounded-T, Intrinsic-T]."""

    source: Literal["teacher"] = Field(description="this kind of source")
    objective: Name = Field(description="name in `objectives`: whose SOAR runs the teacher comes from")
    size: int = Field(128, ge=1, description="questions [experiments: 128]")


class BaseTeacherQuestions(Section):
    """Questions sampled from the base model, by the same format filter [Base-T]."""

    source: Literal["base_teacher"] = Field(description="this kind of source")
    size: int = Field(128, ge=1, description="questions [experiments: 128]")


class PoolQuestions(Section):
    """Real questions, drawn at random: an upper bound [MATH train, HARP train]."""

    source: Literal["pool"] = Field(description="this kind of source")
    pool: Name = Field(
        description="name in `pools`, or in `datasets`; questions of the arm's own train and test are left out"
    )
    size: int | None = Field(None, ge=1, description="questions; none: all [experiments: 128, 6750]")


class JudgedQuestions(Section):
    """The questions of another arm that the taxonomy's judge let pass [PQ correct-only, PQ well-posed]."""

    source: Literal["judged"] = Field(description="this kind of source")
    arm: Name = Field(description="name in `arms`: whose questions")
    keep: Literal["well_posed", "correct"] = Field(description="the verdict that a kept question has")


QuestionSource = Annotated[
    PromotionQuestions | TeacherQuestions | BaseTeacherQuestions | PoolQuestions | JudgedQuestions,
    Field(discriminator="source"),
]


class ArmConfig(Section):
    """One row of the tables, by a name of your choice: a fresh student, or a policy that exists and is only asked."""

    label: str = Field(description="name in tables and figures")
    datasets: tuple[Name, ...] | None = Field(None, description="names in `datasets`; none: all of them")
    paper: str | None = Field(None, description="row name in resources/paper, for the comparison")
    paper_table: PaperTable | None = Field(None, description="the table of that row; none: the data set's")
    policy: Literal["fresh_student", "base", "promoted_student", "teacher", "serl"] = Field(
        "fresh_student",
        description="who answers the test problems: a base model trained here, or one that exists and is only asked, "
        "or the SeRL baseline [experiments: base model inference, SOAR-PS, inference with Grounded-T, SeRL]",
    )
    objective: Name | None = Field(None, description="name in `objectives`: whose promoted student or teacher answers")
    questions: QuestionSource | None = Field(None, description="extra questions; none: hard problems only")
    transfer_from: Name | None = Field(
        None,
        description="name in `datasets`: whose SOAR runs the questions or the policy come from; none: this one's own "
        "[out-of-distribution evaluation]",
    )
    step: int | None = Field(None, ge=1, description="policy serl: the step that is reported [SeRL: 50 and 100]")
    student: dict[str, Any] = Field({}, description="keys of the `student` section that differ in this arm")
    fresh_student: dict[str, Any] = Field({}, description="keys of the `fresh_student` section that differ in this arm")
    teacher_seeds: int | None = Field(None, ge=1, description="none: those of its objective, else seeds.teacher")
    student_seeds: int | None = Field(None, ge=1, description="seeds per teacher seed; none: seeds.student")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.policy in ("promoted_student", "teacher")) != (self.objective is not None):
            raise ValueError("`objective` belongs to policies promoted_student and teacher, and only to them")
        if self.policy != "fresh_student" and (self.questions or self.student or self.fresh_student):
            raise ValueError(
                f"policy {self.policy} is no fresh student: drop `questions`, `student` and `fresh_student`"
            )
        if (self.policy == "serl") != (self.step is not None):
            raise ValueError("`step` belongs to policy serl, and only to it")
        if self.transfer_from is not None and self.soar_objective is None:
            raise ValueError("`transfer_from` belongs to arms that build on a SOAR run")
        return self

    @property
    def soar_objective(self) -> str | None:
        """The objective whose SOAR runs this arm needs, or None."""
        return self.objective or getattr(self.questions, "objective", None)

    @property
    def lives_on_promotions(self) -> bool:
        """Whether the arm has nothing to show without a promotion: SOAR-PQ and SOAR-PS."""
        return self.policy == "promoted_student" or isinstance(self.questions, PromotionQuestions)


class CheckpointRule(Section):
    """Which steps of a fresh student are reported."""

    rule: Literal["reward_plateau", "fixed"] = Field(
        "reward_plateau",
        description="reward_plateau: the first step at which the training reward no longer rises; fixed: `step` "
        "[checkpoint selection]",
    )
    smoothing: int = Field(
        25, ge=1, description="steps of the centred moving average of the training reward [checkpoint selection]"
    )
    slope_fraction: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="the reward no longer rises where its slope is below this share of the top [checkpoint selection]",
    )
    window: int = Field(
        200, ge=0, description="steps after the selected one over which metrics are averaged [checkpoint selection]"
    )
    step: int = Field(50, ge=0, description="the step of rule `fixed` [checkpoint selection: OlympiadBench]")


class FreshStudentConfig(Section):
    """Students that start as the base model and train on the extra questions and `train`."""

    steps: int = Field(1500, ge=1, description="training steps [Table 3]")
    mixing: Literal["curriculum", "mixed"] = Field(
        "curriculum",
        description="curriculum: extra questions first, then only real ones; mixed: shuffled together "
        "[experiments: curriculum for MATH, mixed for HARP and OlympiadBench]",
    )
    synthetic_steps: int = Field(64, ge=0, description="curriculum: steps on the extra questions [Table 3]")
    warmup_steps: int = Field(0, ge=0, description="learning-rate warm-up, optimizer steps")
    kl_coefficient: float | None = Field(None, ge=0, description="none: student.kl_coefficient")
    learning_rate: float | None = Field(None, gt=0, description="none: student.learning_rate")
    lora_rank: int | None = Field(
        None,
        ge=1,
        description="train adapters of this rank on every linear layer but the head, and keep the rest as it is "
        "(LoRA); none: train all parameters",
    )
    lora_alpha: float = Field(32, gt=0, description="LoRA: adapters are scaled by `lora_alpha` / `lora_rank`")
    evaluate_every: int = Field(50, ge=1, description="steps between evaluations on test")
    checkpoint: CheckpointRule = CheckpointRule()


class SerlConfig(RLOOConfig):
    """The SeRL baseline: self-play from the hard train problems. A step is one update on one full batch of groups."""

    faithful: bool = Field(
        True,
        description="keep what the released code does against its own paper: all letters of a question but the first "
        "made small, the unnumbered first item of a list lost; off: both mended [SeRL]",
    )
    style: Literal["numbered_list", "teacher_prompt"] = Field(
        "numbered_list",
        description="how questions are asked for. numbered_list: a list of examples to be continued; teacher_prompt: "
        "by the teacher's prompt, for a model that cannot continue a list [SeRL: the list]",
    )
    chat_template: bool = Field(
        True, description="numbered_list: wrap the prompt in the tokenizer's chat template [SeRL]"
    )
    steps: int = Field(100, ge=1, description="steps, each of `questions` · `samples` / `batch_size` optimizer steps")
    evaluate_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (50, 100), min_length=1, description="steps after which test is attempted [SeRL]"
    )
    checkpoint_every: int = Field(10, ge=1, description="steps between checkpoints; what is lost by a kill is redone")
    questions: int = Field(16, ge=1, description="questions rolled out at a time, and kept groups of a step [SeRL]")
    samples: int = Field(16, ge=2, description="completions per question [SeRL]")
    batch_size: int = Field(16, ge=1, description="completions per optimizer step [SeRL]")
    prompts_per_round: int = Field(4, ge=1, description="prompts for questions sampled together, once each [SeRL]")
    max_rounds: int = Field(
        64, ge=1, description="give up where so many rounds of prompts do not fill a pool of `questions`"
    )
    max_rollouts: int = Field(
        64, ge=1, description="give up where so many rollouts do not give one step its `questions` kept groups"
    )
    examples: int = Field(8, ge=1, description="numbered_list: questions shown in a prompt [SeRL]")
    generated_examples: int = Field(
        2,
        ge=0,
        description="numbered_list: how many of them, at most, are earlier questions that were kept [SeRL]",
    )
    temperature: float = Field(0.8, gt=0, description="sampling temperature of questions [SeRL]")
    top_p: float = Field(0.95, gt=0, le=1, description="nucleus of questions [SeRL]")
    presence_penalty: float = Field(
        2.0, ge=0, description="of questions: taken from the logits of tokens already written [SeRL]"
    )
    max_new_tokens: int = Field(1024, ge=1, description="most tokens of a list of questions [SeRL]")
    min_words: int = Field(4, ge=1, description="fewest words of a question [SeRL]")
    max_words: int = Field(150, ge=1, description="most words of a question [SeRL]")
    max_overlap: float = Field(
        0.7, ge=0, le=1, description="largest ROUGE-L F1 with a train problem or a pooled question [SeRL]"
    )
    min_agreement: float = Field(
        0.2, ge=0, le=1, description="a group is kept if the share of its majority is at least this [SeRL]"
    )
    max_agreement: float = Field(0.8, ge=0, le=1, description="and at most this [SeRL]")
    learning_rate: float = Field(5e-7, gt=0, description="peak of the cosine schedule [SeRL]")
    kl_coefficient: float = Field(0.001, ge=0, description="weight of the KL to the base model in the reward [SeRL]")
    warmup_steps: int = Field(60, ge=0, description="learning-rate warm-up, optimizer steps [SeRL: 3 %]")
    schedule_steps: int = Field(2000, ge=1, description="optimizer steps of the cosine schedule [SeRL]")
    final_learning_rate: float = Field(0.1, ge=0, le=1, description="its end, as a share of the peak [SeRL]")
    adam_beta2: float = Field(0.95, gt=0, lt=1, description="AdamW: decay of the second moment [SeRL]")
    clip: float = Field(0.2, gt=0, description="largest change of a completion's probability ratio from 1 [SeRL]")

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps per step."""
        return self.questions * self.samples // self.batch_size

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if list(self.evaluate_at) != sorted(set(self.evaluate_at)) or self.evaluate_at[-1] > self.steps:
            raise ValueError("`evaluate_at` must rise and end within `steps`")
        if self.questions * self.samples % self.batch_size:
            raise ValueError("`batch_size` must divide `questions` · `samples`")
        if self.min_words > self.max_words:
            raise ValueError("`min_words` is more than `max_words`")
        if self.min_agreement > self.max_agreement:
            raise ValueError("`min_agreement` is more than `max_agreement`")
        if self.generated_examples > self.examples:
            raise ValueError("`generated_examples` is more than `examples`")
        return self


class EvaluationConfig(Section):
    """pass@k on test, k in {1, 4, 8, 16, 32}."""

    samples: int = Field(
        32, ge=1, description="completions per test problem: one of these k, or more; larger k are left out [Table 3]"
    )
    test_limit: int | None = Field(None, ge=1, description="evaluate on the first so many test problems")


class SeedConfig(Section):
    """How many seeds; they count from 1, and teacher seed 0 stands for arms that have no teacher."""

    teacher: int = Field(4, ge=1, description="SOAR runs per objective [experiments: 4 teachers, 3 for ablations]")
    student: int = Field(
        3, ge=1, description="fresh students (or inference runs) per teacher seed [2 or 3; Hard-Only 6]"
    )


class DiversityConfig(Section):
    """Vendi score of each arm's questions, cosine kernel."""

    embedder: str = Field(
        "Qwen/Qwen3-Embedding-8B",
        description="`character_ngrams`, or a sentence-transformers model by name or folder [Table 1]",
    )
    sample_size: int = Field(128, ge=2, description="questions per bootstrap subsample [Table 1]")
    draws: int = Field(100, ge=1, description="bootstrap subsamples, drawn without replacement [Table 1]")


class EndpointJudge(Section):
    """A model behind any OpenAI-compatible chat-completions endpoint [taxonomy]."""

    kind: Literal["endpoint"] = Field(description="this kind of judge")
    base_url: str = Field(description="up to and without `/chat/completions`, such as https://api.openai.com/v1")
    model: str = Field(min_length=1, description="as the endpoint calls it")
    api_key_variable: str | None = Field(
        None,
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="name of the environment variable that holds the key, never the key itself; none: no key is sent",
    )
    parameters: dict[str, Any] = Field(
        {"max_tokens": 4096},
        description="further fields of each request, such as temperature, max_completion_tokens or response_format",
    )
    timeout_seconds: float = Field(120, gt=0, description="for a whole reply, from sending to its last byte")
    retries: int = Field(5, ge=0, description="of a request that was answered by 429 or 5xx, or not at all")
    backoff_seconds: float = Field(
        1, gt=0, description="before the first retry, doubled each time; `Retry-After` of the endpoint goes before it"
    )
    max_wait_seconds: float = Field(120, gt=0, description="give up where the endpoint wants a longer wait than this")
    prompt_price: float | None = Field(None, ge=0, description="money per million prompt tokens")
    completion_price: float | None = Field(None, ge=0, description="money per million completion tokens")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("base_url must start with http:// or https:// and name a host")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("base_url must hold no user, key, query or fragment: the key stands in the environment")
        if own := sorted({"model", "messages", "stream", "n"} & self.parameters.keys()):
            raise ValueError(f"parameters: {own} are set by the judge itself")
        if (self.prompt_price is None) != (self.completion_price is None):
            raise ValueError("prompt_price and completion_price belong together")
        return self


class LocalJudge(Section):
    """A model that is run here [taxonomy]."""

    kind: Literal["local"] = Field(description="this kind of judge")
    model: Name = Field(description="name in `models`")
    max_new_tokens: int = Field(1024, ge=1, description="most tokens of a reply")


class ExactJudge(Section):
    """The embedded world's own rules: they parse the question and compute its answer."""

    kind: Literal["exact"] = Field(description="this kind of judge")


class TaxonomyConfig(Section):
    """The judge of questions: well posed? answer correct? what error? [taxonomy]"""

    judge: Annotated[EndpointJudge | LocalJudge | ExactJudge, Field(discriminator="kind")] | None = Field(
        None, description="who judges; none: no question can be judged [taxonomy]"
    )
    arms: tuple[Name, ...] = Field(
        (), description="names in `arms` that stand in the table: whose questions are judged"
    )
    questions_per_file: int | None = Field(
        None, ge=1, description="judge a random sample of each question file; none: all [Table 7: 384 per arm in all]"
    )
    attempts: int = Field(3, ge=1, description="replies asked for until one holds a verdict")
    concurrency: int = Field(8, ge=1, description="endpoint: requests of a job in flight at once; changes no verdict")


class ReportConfig(Section):
    """Tables, figures and the HTML page."""

    title: str = Field("SOAR: a model teaches itself at the edge of learnability", description="heading of the page")
    baseline_arm: Name = Field("hard_only", description="arm that improvements are measured from")
    headline_arms: tuple[Name, ...] = Field(("soar_pq", "soar_ps"), description="arms of the one-line finding")
    sample_questions: int = Field(6, ge=1, description="questions shown per stage")


class FigureConfig(Section):
    """One figure, by a name of your choice: `figures/<name>.svg` and `.png`. What is not said is what the run has."""

    kind: Literal[
        "learning_curves",
        "seed_curves",
        "improvement",
        "bars",
        "sweep",
        "teacher_reward",
        "baseline_accuracy",
        "question_difficulty",
        "question_evolution",
        "diversity",
    ] = Field(
        description="learning_curves: test pass@k by training step; seed_curves: the same, a line per teacher seed; "
        "improvement: over the baseline arm at each k; bars: arms side by side; sweep: pass@k against `against`; "
        "teacher_reward, baseline_accuracy, question_difficulty, question_evolution (sampled questions by stage): of "
        "SOAR runs; diversity: during training, and Vendi scores [Figures 3–20]"
    )
    title: str = Field("", description="heading; empty: none")
    datasets: tuple[Name, ...] | None = Field(None, description="names in `datasets`; none: those that have the rest")
    arms: tuple[Name, ...] | None = Field(None, description="names in `arms`, in the order of the legend; none: all")
    objectives: tuple[Name, ...] | None = Field(None, description="names in `objectives`; none: all")
    k: tuple[Literal[1, 4, 8, 16, 32], ...] | None = Field(
        None, min_length=1, description="of pass@k; none: learning_curves the ends, improvement all, others the largest"
    )
    against: Literal["size", "tau", "n"] | None = Field(
        None,
        description="of a sweep: size, questions given to the fresh student; tau, promotion threshold, and n, "
        "questions per dataset, of the SOAR runs [Figures 16, 17]",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.kind == "sweep") != (self.against is not None):
            raise ValueError("`against` belongs to kind sweep, and only to it")
        return self


DEFAULT_FIGURES = (
    "learning_curves",
    "improvement",
    "teacher_reward",
    "baseline_accuracy",
    "question_difficulty",
    "diversity",
)


class ResourceConfig(Section):
    """What one job of a rule asks for, by the rule's name."""

    gpu: int = Field(0, ge=0, description="devices, of each node")
    mem_mb: int = Field(4000, ge=1, description="memory in MB, of each node")
    runtime: int = Field(60, ge=1, description="minutes")
    threads: int = Field(1, ge=1, description="CPU cores, of each node")
    workers: int = Field(
        1,
        ge=1,
        description="train_soar: processes that train students, at most one per thread; train_fresh_student: processes "
        "that share the rollouts of a step, where `gpu` is 0 (else there is one for each GPU)",
    )
    ray_nodes: int = Field(
        0,
        ge=0,
        description="train_soar: nodes over which Ray spreads the workers, each with a GPU of its own where `gpu` "
        "is not 0; more than one needs the Slurm executor; 0: no Ray, processes that share one machine and one GPU",
    )

    sharding: Literal["none", "full"] = Field(
        "none",
        description="train_fresh_student on several GPUs, what each keeps. none: the whole model; full: a share "
        "of weights, gradients and moments (FSDP), for models that one GPU cannot hold",
    )


class TrackingConfig(Section):
    """Where training metrics go besides the Parquet files."""

    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = Field(
        ("tensorboard",), description="trackers; an empty list: none"
    )


class Config(Section):
    """One run: `results/<run>/`."""

    run: Name = Field("paper", description="name of the results folder")
    seed: int = Field(0, description="root of every derived seed")
    results: str = Field("results", description="folder of all runs")
    models: dict[Name, ModelConfig] = {"base": ModelConfig()}
    prompts: PromptConfig = PromptConfig()
    datasets: dict[Name, DatasetConfig] = Field(min_length=1)
    pools: dict[Name, PoolConfig] = {}
    filter: FilterConfig = FilterConfig()
    generation: GenerationConfig = GenerationConfig()
    grading: GradingConfig = GradingConfig()
    student: StudentConfig = StudentConfig()
    teacher: TeacherConfig = TeacherConfig()
    soar: SoarConfig = SoarConfig()
    objectives: dict[Name, ObjectiveConfig] = {}
    arms: dict[Name, ArmConfig] = Field(min_length=1)
    fresh_student: FreshStudentConfig = FreshStudentConfig()
    serl: SerlConfig = SerlConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    seeds: SeedConfig = SeedConfig()
    diversity: DiversityConfig = DiversityConfig()
    taxonomy: TaxonomyConfig = TaxonomyConfig()
    report: ReportConfig = ReportConfig()
    figures: dict[Name, FigureConfig] = {name: FigureConfig(kind=name) for name in DEFAULT_FIGURES}
    tracking: TrackingConfig = TrackingConfig()
    resources: dict[str, ResourceConfig] = Field({}, description="per rule name; `default` for the rest")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if twice := sorted(set(self.datasets) & set(self.pools)):
            raise ValueError(f"pools: {twice} are names in `datasets` too; their files would meet")
        for name, dataset in self.datasets.items():
            _known(dataset.model, self.models, f"datasets.{name}.model", "models")
        for name in self.objectives:
            for dataset in self.datasets:
                soar = self.soar_of(dataset, name)
                rollouts = soar.datasets * soar.questions_per_dataset
                _check_micro_batch(self.teacher, rollouts, f"objectives.{name}: teacher")
        for name in self.arms:
            self._check_arm(name)
        for name in (self.report.baseline_arm, *self.report.headline_arms):
            _known(name, self.arms, "report", "arms")
        for name in self.figures:
            self._check_figure(name)
        self._check_taxonomy()
        for name in self.resources:
            self._check_resources(name)
        _check_micro_batch(self.serl, self.serl.batch_size, "serl")
        if max(PASS_AT_K) > self.evaluation.samples and self.evaluation.samples not in PASS_AT_K:
            raise ValueError(f"evaluation.samples must be one of {PASS_AT_K} or at least {max(PASS_AT_K)}")
        return self

    def _check_resources(self, rule: str) -> None:
        asked, where = self.resources[rule], f"resources.{rule}"
        if rule == "train_fresh_student" and asked.workers not in (1, self.processes_of(rule)):
            raise ValueError(f"{where}.workers: {asked.workers}, but each of the {asked.gpu} GPUs has one process")
        # On a CPU accelerate would not shard, and say nothing.
        if asked.sharding != "none" and (rule != "train_fresh_student" or asked.gpu < 2):
            raise ValueError(f"{where}.sharding: only train_fresh_student on more than one GPU can be sharded")
        # Processes that share a model decode in step with each other.
        if asked.sharding != "none" and (self.generation.engine == "vllm" or self.generation.segment_tokens):
            raise ValueError(
                f"{where}.sharding: needs generation.engine: transformers, and no generation.segment_tokens"
            )
        if not asked.ray_nodes:
            return
        if rule != "train_soar":
            raise ValueError(f"{where}.ray_nodes: only train_soar uses Ray")
        room = asked.ray_nodes * (min(asked.gpu, asked.threads) if asked.gpu else asked.threads)
        if asked.workers > room:
            raise ValueError(
                f"{where}.workers: {asked.workers} do not fit: each needs a thread, and a GPU where `gpu` is not 0; "
                f"there is room for {room}"
            )

    def _check_arm(self, name: str) -> None:
        arm, where = self.arms[name], f"arms.{name}"
        for dataset in self.datasets_of(name):
            _known(dataset, self.datasets, f"{where}.datasets", "datasets")
            fresh = self.fresh_student_of(name, dataset)
            if fresh.lora_rank is not None and self.resources_of("train_fresh_student").sharding != "none":
                raise ValueError(f"{where}: fresh_student.lora_rank: adapters are trained with sharding: none only")
            if fresh.lora_rank is not None and self.generation.engine == "vllm":
                raise ValueError(f"{where}: fresh_student.lora_rank: adapters need generation.engine: transformers")
            if fresh.synthetic_steps > fresh.steps:
                raise ValueError(f"{where}: fresh_student.synthetic_steps is more than fresh_student.steps")
            source = arm.transfer_from or dataset
            _known(source, self.datasets, f"{where}.transfer_from", "datasets")
            if self.datasets[source].model != self.datasets[dataset].model:
                raise ValueError(f"{where}.transfer_from: {source} and {dataset} have different base models")
        if arm.soar_objective is not None:
            _known(arm.soar_objective, self.objectives, f"{where}: objective", "objectives")
            if arm.lives_on_promotions and not self.objectives[arm.soar_objective].promotion:
                raise ValueError(f"{where}: objective {arm.soar_objective!r} has no promotions")
        if arm.policy == "serl" and arm.step not in self.serl.evaluate_at:
            raise ValueError(f"{where}.step: {arm.step} is not in serl.evaluate_at")
        if isinstance(arm.questions, PoolQuestions):
            _known(arm.questions.pool, self.pools | self.datasets, f"{where}.questions.pool", "pools or `datasets`")
        if isinstance(arm.questions, JudgedQuestions):
            _known(arm.questions.arm, self.arms, f"{where}.questions.arm", "arms")
            judged = self.arms[arm.questions.arm]
            if judged.questions is None or isinstance(judged.questions, JudgedQuestions):
                raise ValueError(f"{where}.questions.arm: {arm.questions.arm!r} has no questions of its own to judge")
            if missing := sorted(set(self.datasets_of(name)) - set(self.datasets_of(arm.questions.arm))):
                raise ValueError(f"{where}.questions.arm: {arm.questions.arm!r} has no questions on {missing}")
        student = self.student_of(name)
        rollouts = student.batch_size * student.group_size
        _check_micro_batch(student, rollouts, f"{where}: student")
        if arm.policy == "fresh_student":
            processes = self.processes_of("train_fresh_student")
            if rollouts % processes:
                raise ValueError(
                    f"resources.train_fresh_student: {processes} processes cannot have equal shares of the {rollouts} "
                    f"rollouts of a step of arms.{name}"
                )
            _check_micro_batch(student, rollouts // processes, f"{where}: student", "of a process in a step")

    def _check_figure(self, name: str) -> None:
        figure, where = self.figures[name], f"figures.{name}"
        for section in ("datasets", "arms", "objectives"):
            for chosen in getattr(figure, section) or ():
                _known(chosen, getattr(self, section), f"{where}.{section}", section)
        if too_large := sorted(set(figure.k or ()) - set(self.pass_at_k)):
            raise ValueError(f"{where}.k: {too_large} cannot be estimated from {self.evaluation.samples} samples")
        for arm in figure.arms or ():
            if figure.against is not None and not self.has_swept(arm, figure.against):
                raise ValueError(f"{where}.arms: {arm!r} has no {figure.against} to be drawn against")

    def has_swept(self, arm: str, against: str) -> bool:
        """Whether a sweep has a place for the arm: a number of questions, or SOAR runs with their tau and n."""
        if against == "size":
            return getattr(self.arms[arm].questions, "size", None) is not None
        return self.arms[arm].soar_objective is not None

    def _check_taxonomy(self) -> None:
        taxonomy = self.taxonomy
        for name in taxonomy.arms:
            _known(name, self.arms, "taxonomy.arms", "arms")
            if self.arms[name].questions is None:
                raise ValueError(f"taxonomy.arms: arm {name!r} has no questions to judge")
        choosing = {name: arm.questions.arm for name, arm in self.arms.items() if _is_judged(arm)}
        judged = {*taxonomy.arms, *choosing.values()}
        if judged and taxonomy.judge is None:
            raise ValueError(f"taxonomy.judge: say who judges the questions of {sorted(judged)}")
        if choosing and taxonomy.questions_per_file is not None:
            raise ValueError(
                f"taxonomy.questions_per_file: {sorted(choosing)} choose among judged questions, so all must be judged"
            )
        if isinstance(taxonomy.judge, LocalJudge):
            _known(taxonomy.judge.model, self.models, "taxonomy.judge.model", "models")
        if isinstance(taxonomy.judge, ExactJudge):
            datasets = {dataset for name in judged for dataset in self.datasets_of(name)}
            if strange := sorted(name for name in datasets if self.datasets[name].adapter != "digit_shuffles"):
                raise ValueError(f"taxonomy.judge: `exact` knows digit_shuffles only, and {strange} are others")

    @property
    def pass_at_k(self) -> tuple[int, ...]:
        """The k that can be estimated from `evaluation.samples`."""
        return tuple(k for k in PASS_AT_K if k <= self.evaluation.samples)

    def soar_of(self, dataset: str, objective: str) -> SoarConfig:
        """The `soar` section with the differences of a data set, then those of an objective, which win."""
        section = _merged(self.soar, self.datasets[dataset].soar, f"datasets.{dataset}.soar")
        return _merged(section, self.objectives[objective].soar, f"objectives.{objective}.soar")

    def student_of(self, arm: str) -> StudentConfig:
        """The `student` section with an arm's differences."""
        return _merged(self.student, self.arms[arm].student, f"arms.{arm}.student")

    def fresh_student_on(self, dataset: str) -> FreshStudentConfig:
        """The `fresh_student` section with a data set's differences."""
        changes = self.datasets[dataset].fresh_student
        return _merged(self.fresh_student, changes, f"datasets.{dataset}.fresh_student")

    def fresh_student_of(self, arm: str, dataset: str) -> FreshStudentConfig:
        """The same with an arm's differences, which win."""
        section = self.fresh_student_on(dataset)
        return _merged(section, self.arms[arm].fresh_student, f"arms.{arm}.fresh_student")

    def datasets_of(self, arm: str) -> list[str]:
        """The data sets that an arm is evaluated on."""
        wanted = self.arms[arm].datasets
        return list(self.datasets) if wanted is None else list(wanted)

    def arms_on(self, dataset: str) -> dict[str, ArmConfig]:
        """The arms that are evaluated on a data set, in the order of the tables."""
        return {name: arm for name, arm in self.arms.items() if dataset in self.datasets_of(name)}

    def nested_in_teachers(self, arm: str) -> bool:
        """Whether the arm has one set of students per teacher seed: its questions or its policy come from teachers."""
        questions = self.arms[arm].questions
        if isinstance(questions, JudgedQuestions):
            return self.nested_in_teachers(questions.arm)
        return self.arms[arm].soar_objective is not None or isinstance(questions, BaseTeacherQuestions)

    def teacher_seeds(self, arm: str) -> list[int]:
        """Counted from 1; [0] where the arm has no teacher."""
        if not self.nested_in_teachers(arm):
            return [0]
        questions, objective = self.arms[arm].questions, self.arms[arm].soar_objective
        if isinstance(questions, JudgedQuestions):
            return self.teacher_seeds(questions.arm)
        of_objective = self.objectives[objective].teacher_seeds if objective else None
        return list(range(1, (self.arms[arm].teacher_seeds or of_objective or self.seeds.teacher) + 1))

    def student_seeds(self, arm: str) -> list[int]:
        return list(range(1, (self.arms[arm].student_seeds or self.seeds.student) + 1))

    def soar_runs(self) -> list[tuple[str, str, int]]:
        """Every SOAR run that an arm builds on: data set, objective and teacher seed, in the order of the config."""
        wanted = {
            (arm.transfer_from or dataset, arm.soar_objective, seed)
            for name, arm in self.arms.items()
            if arm.soar_objective is not None
            for dataset in self.datasets_of(name)
            for seed in self.teacher_seeds(name)
        }
        datasets, objectives = list(self.datasets), list(self.objectives)
        return sorted(wanted, key=lambda run: (datasets.index(run[0]), objectives.index(run[1]), run[2]))

    def resources_of(self, rule: str) -> ResourceConfig:
        return self.resources.get(rule) or self.resources.get("default") or ResourceConfig()

    def processes_of(self, rule: str) -> int:
        """Processes that share the work of a job: `workers`; a fresh student has one for each GPU, if any."""
        asked = self.resources_of(rule)
        return asked.gpu or asked.workers if rule == "train_fresh_student" else asked.workers


def _is_judged(arm: ArmConfig) -> bool:
    return isinstance(arm.questions, JudgedQuestions)


def _known(name: str, known: dict[str, Any], where: str, section: str) -> None:
    if name not in known:
        raise ValueError(f"{where}: {name!r} is not in `{section}`; there are {sorted(known) or 'none'}")


def _check_micro_batch(config: RLOOConfig, rollouts: int, where: str, of: str = "of a step") -> None:
    micro_batch = min(config.micro_batch_size or rollouts, rollouts)
    if rollouts % micro_batch:
        raise ValueError(f"{where}.micro_batch_size: {micro_batch} does not divide the {rollouts} rollouts {of}")


def _merged(section: AnySection, changes: dict[str, Any], where: str) -> AnySection:
    try:
        return type(section).model_validate(_overlaid(section.model_dump(), changes))
    except ValidationError as error:
        raise ValueError(f"{where}: {readable(error)}") from None


def _overlaid(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The values with the changes; a section within is changed key by key too."""
    result = dict(values)
    for key, change in changes.items():
        held = result.get(key)
        result[key] = _overlaid(held, change) if isinstance(held, dict) and isinstance(change, dict) else change
    return result


def readable(error: ValidationError) -> str:
    """Pydantic's errors as `key: what is wrong`, joined by semicolons."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        lines.append(f"{key}: {item['msg']}" if key else item["msg"])
    return "; ".join(lines)


def validate(values: dict[str, Any], source: str) -> Config:
    """The configuration held by a mapping; ConfigError names `source` and the key."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {readable(error)}") from None


def load(path: Path) -> Config:
    """Read one YAML file (safe loader); ConfigError names the file and the key."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    # ValueError: not UTF-8, or a date that is none; RecursionError: thousands of nested brackets.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must be a mapping of sections")
    return validate(values, str(path))
