"""The whole configuration, as frozen models: every default stands here and nowhere else.

Defaults are the paper's; the YAML files in `config/` only say what differs. `config/README.md` is generated from the
docstrings and descriptions here; a description's last `[…]` says where in the paper the key comes from.
Light to import (no torch): the Snakefile validates a run with it before anything starts. A stage receives its
slice of the configuration as JSON and never the file.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PASS_AT_K = (1, 4, 8, 16, 32)
NAME = r"^[a-z0-9][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]


class ConfigError(ValueError):
    """A configuration that cannot run; the message names file and key."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


AnySection = TypeVar("AnySection", bound=Section)


class ModelConfig(Section):
    """The base model: teacher and student both start as it."""

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
    """Prompt files; both are text files whose whole content is the prompt."""

    student: str = Field(
        "resources/prompts/student.txt",
        description="file of the student's prompt; holds `{question}` exactly once [prompts]",
    )
    teacher: str = Field(
        "resources/prompts/teacher.txt",
        description="file of the teacher's prompt, the same at every step [prompts]",
    )


class DatasetConfig(Section):
    """One pool of problems, by a name of your choice."""

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
    def _complete(self) -> "DatasetConfig":
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


class GenerationConfig(Section):
    """How completions are drawn."""

    batch_size: int = Field(256, ge=1, description="sequences decoded together; changes speed and memory")
    student_max_new_tokens: int = Field(1024, ge=1, description="most tokens of a student's completion [Table 3]")
    teacher_max_new_tokens: int = Field(512, ge=1, description="most tokens of a teacher's completion [Table 3]")
    temperature: float = Field(
        1.0, gt=0, description="sampling temperature of filter, training and evaluation [Table 3]"
    )


class GradingConfig(Section):
    """Math-Verify in killable worker processes."""

    workers: int = Field(1, ge=1, description="worker processes per job")
    timeout_seconds: int = Field(5, ge=1, description="seconds per comparison; beyond them the verdict is `timeout`")
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
    micro_batch_size: int | None = Field(None, ge=1, description="sequences per forward/backward; none: all at once")
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
    diversity_questions: int = Field(
        64,
        ge=2,
        description="questions per outer step that the diversity curve is computed from [analysis of diversity]",
    )


class ObjectiveConfig(Section):
    """A kind of SOAR run, by a name of your choice: the teacher's reward, and what differs from the `soar` section."""

    reward: Literal["grounded", "learnability"] = Field(
        "grounded",
        description="grounded: measured improvement of students on hard problems; learnability: 1 − share of matching "
        "answers, 0 where none matches [teacher rewards]",
    )
    promotion: bool = Field(
        True, description="let the best student become the new baseline; off: the ablation [no-promotion ablation]"
    )
    soar: dict[str, Any] = Field({}, description="keys of the `soar` section that differ in this objective")

    @model_validator(mode="after")
    def _possible(self) -> "ObjectiveConfig":
        if self.reward == "learnability" and self.promotion:
            raise ValueError(
                "reward `learnability` trains no students, so there is nothing to promote: promotion: false"
            )
        return self


class QuestionSource(Section):
    """Where the extra questions of a fresh student come from."""

    source: Literal["promotions", "teacher", "base_teacher"] = Field(
        description="promotions: D_best of a SOAR run; teacher: sampled from its trained teacher; base_teacher: "
        "sampled from the base model, same filter [PQ, Grounded-T and Intrinsic-T, Base-T]"
    )
    objective: Name | None = Field(None, description="name in `objectives`: whose SOAR runs the questions come from")
    size: int = Field(
        128, ge=1, description="questions sampled from a teacher; promotions are taken whole [experiments: 128]"
    )

    @model_validator(mode="after")
    def _complete(self) -> "QuestionSource":
        if (self.source == "base_teacher") == (self.objective is not None):
            raise ValueError("`objective` belongs to sources promotions and teacher, and only to them")
        return self


class ArmConfig(Section):
    """One row of the tables, by a name of your choice: a fresh student, or inference with an existing policy."""

    label: str = Field(description="name in tables and figures")
    paper: str | None = Field(None, description="row name in resources/paper, for the comparison")
    policy: Literal["fresh_student", "base", "promoted_student", "teacher"] = Field(
        "fresh_student",
        description="who answers the test problems: a base model trained here, or one that exists and is only asked "
        "[experiments: base model inference, SOAR-PS, inference with Grounded-T]",
    )
    objective: Name | None = Field(None, description="name in `objectives`: whose promoted student or teacher answers")
    questions: QuestionSource | None = Field(None, description="extra questions; none: hard problems only")
    student: dict[str, Any] = Field({}, description="keys of the `student` section that differ in this arm")
    steps: int | None = Field(None, ge=1, description="training steps; none: fresh_student.steps")
    student_seeds: int | None = Field(None, ge=1, description="seeds per teacher seed; none: seeds.student")

    @model_validator(mode="after")
    def _possible(self) -> "ArmConfig":
        if (self.policy in ("promoted_student", "teacher")) != (self.objective is not None):
            raise ValueError("`objective` belongs to policies promoted_student and teacher, and only to them")
        if self.policy != "fresh_student" and (self.questions or self.student or self.steps):
            raise ValueError(f"policy {self.policy} is not trained: drop `questions`, `student` and `steps`")
        return self

    @property
    def soar_objective(self) -> str | None:
        """The objective whose SOAR runs this arm needs, or None."""
        return self.objective or (self.questions.objective if self.questions else None)

    @property
    def nested_in_teachers(self) -> bool:
        """Whether the arm has one set of students per teacher seed."""
        return self.soar_objective is not None or self.questions is not None


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
    evaluate_every: int = Field(50, ge=1, description="steps between evaluations on test")
    checkpoint: CheckpointRule = CheckpointRule()


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


class ReportConfig(Section):
    """Tables, figures and the HTML page."""

    title: str = Field("SOAR: a model teaches itself at the edge of learnability", description="heading of the page")
    baseline_arm: Name = Field("hard_only", description="arm that improvements are measured from")
    headline_arms: tuple[Name, ...] = Field(("soar_pq", "soar_ps"), description="arms of the one-line finding")
    paper_table: Literal["table4_math", "table5_harp", "table6_olympiadbench"] = Field(
        "table4_math", description="the paper's table that stands beside the run's own (resources/paper)"
    )
    sample_questions: int = Field(6, ge=1, description="questions shown per stage")


class ResourceConfig(Section):
    """What one job of a rule asks for, by the rule's name."""

    gpu: int = Field(0, ge=0, description="devices")
    mem_mb: int = Field(4000, ge=1, description="memory in MB")
    runtime: int = Field(60, ge=1, description="minutes")
    threads: int = Field(1, ge=1, description="CPU cores")
    workers: int = Field(1, ge=1, description="train_soar: processes that train students, at most one per thread")


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
    model: ModelConfig = ModelConfig()
    prompts: PromptConfig = PromptConfig()
    datasets: dict[Name, DatasetConfig] = Field(min_length=1)
    filter: FilterConfig = FilterConfig()
    generation: GenerationConfig = GenerationConfig()
    grading: GradingConfig = GradingConfig()
    student: StudentConfig = StudentConfig()
    teacher: TeacherConfig = TeacherConfig()
    soar: SoarConfig = SoarConfig()
    objectives: dict[Name, ObjectiveConfig] = {}
    arms: dict[Name, ArmConfig] = Field(min_length=1)
    fresh_student: FreshStudentConfig = FreshStudentConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    seeds: SeedConfig = SeedConfig()
    diversity: DiversityConfig = DiversityConfig()
    report: ReportConfig = ReportConfig()
    tracking: TrackingConfig = TrackingConfig()
    resources: dict[str, ResourceConfig] = Field({}, description="per rule name; `default` for the rest")

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        for name, arm in self.arms.items():
            if arm.soar_objective is not None and arm.soar_objective not in self.objectives:
                raise ValueError(f"arms.{name}: objective {arm.soar_objective!r} is not in `objectives`")
            promoted = arm.policy == "promoted_student" or (arm.questions and arm.questions.source == "promotions")
            if promoted and not self.objectives[arm.soar_objective].promotion:
                raise ValueError(f"arms.{name}: objective {arm.soar_objective!r} has no promotions")
            student = self.student_of(name)
            _check_micro_batch(student, student.batch_size * student.group_size, f"arms.{name}: student")
        for name in self.objectives:
            soar = self.soar_of(name)
            _check_micro_batch(self.teacher, soar.datasets * soar.questions_per_dataset, f"objectives.{name}: teacher")
        wanted = (self.report.baseline_arm, *self.report.headline_arms)
        for name in wanted:
            if name not in self.arms:
                raise ValueError(f"report: arm {name!r} is not in `arms`")
        if max(PASS_AT_K) > self.evaluation.samples and self.evaluation.samples not in PASS_AT_K:
            raise ValueError(f"evaluation.samples must be one of {PASS_AT_K} or at least {max(PASS_AT_K)}")
        if self.fresh_student.synthetic_steps > self.fresh_student.steps:
            raise ValueError("fresh_student.synthetic_steps is more than fresh_student.steps")
        return self

    @property
    def pass_at_k(self) -> tuple[int, ...]:
        """The k that can be estimated from `evaluation.samples`."""
        return tuple(k for k in PASS_AT_K if k <= self.evaluation.samples)

    def soar_of(self, objective: str) -> SoarConfig:
        """The `soar` section with an objective's differences."""
        changes = self.objectives[objective].soar
        return _merged(self.soar, changes, f"objectives.{objective}.soar")

    def student_of(self, arm: str) -> StudentConfig:
        """The `student` section with an arm's differences."""
        return _merged(self.student, self.arms[arm].student, f"arms.{arm}.student")

    def teacher_seeds(self, arm: str) -> list[int]:
        return list(range(1, self.seeds.teacher + 1)) if self.arms[arm].nested_in_teachers else [0]

    def student_seeds(self, arm: str) -> list[int]:
        return list(range(1, (self.arms[arm].student_seeds or self.seeds.student) + 1))

    def resources_of(self, rule: str) -> ResourceConfig:
        return self.resources.get(rule) or self.resources.get("default") or ResourceConfig()


def _check_micro_batch(config: RLOOConfig, rollouts: int, where: str) -> None:
    micro_batch = min(config.micro_batch_size or rollouts, rollouts)
    if rollouts % micro_batch:
        raise ValueError(f"{where}.micro_batch_size: {micro_batch} does not divide the {rollouts} rollouts of a step")


def _merged(section: AnySection, changes: dict[str, Any], where: str) -> AnySection:
    try:
        return type(section).model_validate({**section.model_dump(), **changes})
    except ValidationError as error:
        raise ValueError(f"{where}: {readable(error)}") from None


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
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must be a mapping of sections")
    return validate(values, str(path))
