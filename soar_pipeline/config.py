"""The whole configuration, as frozen models: every default stands here and nowhere else.

Defaults are the paper's (spec sections 2–6, Table 3); the YAML files in `config/` only say what differs.
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
        description="folder, hub id or package name; for source `pretrain` not used",
    )
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="parameter type in training and sampling")
    chat_template: bool = Field(
        False, description="wrap prompts in the tokenizer's chat template (off: the prompt file is the whole prompt)"
    )
    pretrain_steps: int = Field(2600, ge=1, description="optimizer steps where source is `pretrain`")


class PromptConfig(Section):
    """Prompt files (spec section 3); `{question}` in the student's is replaced."""

    student: str = Field("resources/prompts/student.txt", description="student prompt file")
    teacher: str = Field("resources/prompts/teacher.txt", description="teacher prompt file")


class DatasetConfig(Section):
    """One pool of problems (spec section 2)."""

    adapter: Literal["digit_shuffles", "math", "plain"] = Field(
        description="digit_shuffles: generated here; math: rows as in the MATH benchmark; plain: `question`, `answer`"
    )
    path: str | None = Field(None, description="JSONL or Parquet file; none for digit_shuffles")
    subjects: tuple[str, ...] | None = Field(None, description="keep only these subjects")
    levels: tuple[str, ...] | None = Field(None, description="keep only these levels")
    limit: int | None = Field(None, ge=1, description="keep the first so many rows that are left")
    difficulties: tuple[int, ...] = Field((), description="digit_shuffles: how many operations, cycled over the pool")
    size: int = Field(0, ge=0, description="digit_shuffles: problems in the pool")
    world_seed: int = Field(0, description="digit_shuffles: seed of the pool")

    @model_validator(mode="after")
    def _complete(self) -> "DatasetConfig":
        if self.adapter == "digit_shuffles" and not (self.difficulties and self.size):
            raise ValueError("adapter digit_shuffles needs `difficulties` and `size`")
        if self.adapter != "digit_shuffles" and not self.path:
            raise ValueError(f"adapter {self.adapter} needs `path`")
        return self


class FilterConfig(Section):
    """fail@k filter (spec section 2): keep a problem iff none of its samples is right."""

    rounds: tuple[int, ...] = Field(
        (8, 24, 96),
        min_length=1,
        description="samples per round; a problem leaves at its first right answer, so the sum is the k of fail@k",
    )
    shards: int = Field(1, ge=1, le=999, description="jobs that share the pool")
    keep_all: bool = Field(False, description="skip the filter's verdict: keep every problem (plumbing runs only)")


class GenerationConfig(Section):
    """How completions are drawn."""

    batch_size: int = Field(256, ge=1, description="sequences decoded together")
    student_max_new_tokens: int = Field(1024, ge=1, description="tokens (spec section 2)")
    teacher_max_new_tokens: int = Field(512, ge=1, description="tokens (Table 3)")
    temperature: float = Field(1.0, gt=0, description="of filtering, training and evaluation")


class GradingConfig(Section):
    """Math-Verify in killable worker processes."""

    workers: int = Field(1, ge=1, description="worker processes per job")
    timeout_seconds: int = Field(5, ge=1, description="per comparison; beyond it the verdict is `timeout`")
    memory_mb: int = Field(2048, ge=256, description="address-space limit of a worker, above its start size")


class RLOOConfig(Section):
    """One RLOO policy (Table 3)."""

    learning_rate: float = Field(1e-5, gt=0)
    kl_coefficient: float = Field(0.001, ge=0, description="per-token KL to the policy that training started from")
    warmup_steps: int = Field(0, ge=0, description="optimizer steps")
    max_grad_norm: float = Field(1.0, gt=0)
    micro_batch_size: int | None = Field(None, ge=1, description="sequences per forward/backward; none: all at once")
    gradient_checkpointing: bool = False


class StudentConfig(RLOOConfig):
    """The student's RL, in the inner loop and in fresh students."""

    batch_size: int = Field(8, ge=1, description="questions per step")
    group_size: int = Field(32, ge=2, description="completions per question")
    reward_right: float = Field(120, description="box verifies (spec section 4)")
    reward_contains: float = Field(20, description="boxed, not right, but the answer's text occurs in the completion")
    reward_boxed: float = Field(10, description="boxed only")


class TeacherConfig(RLOOConfig):
    """The teacher's RL: RLOO over the datasets of an outer step."""

    warmup_steps: int = Field(20, ge=0, description="outer steps")
    max_draws_per_question: int = Field(
        64, ge=1, description="give up when accepted questions are rarer than one in so many draws"
    )


class SoarConfig(Section):
    """The meta-RL loop (spec section 5)."""

    outer_steps: int = Field(200, ge=1, description="T")
    datasets: int = Field(4, ge=2, description="g, datasets per outer step")
    questions_per_dataset: int = Field(64, ge=1, description="n")
    repeats: int = Field(4, ge=1, description="r, students per dataset")
    reward_questions: int = Field(64, ge=1, description="|Q_R|, drawn anew each outer step from train")
    inner_steps: int = Field(10, ge=1, description="RLOO steps of a student")
    inner_steps_after_promotion: int = Field(15, ge=1)
    promotion_threshold: float = Field(0.01, description="tau")
    moving_average_window: int = Field(3, ge=1, description="outer steps")
    learnability_samples: int = Field(32, ge=1, description="student completions per question (spec section 4)")
    diversity_questions: int = Field(64, ge=2, description="questions per step for the diversity curve")


class ObjectiveConfig(Section):
    """A kind of SOAR run: which reward the teacher gets, and what differs from the `soar` section."""

    reward: Literal["grounded", "learnability"] = "grounded"
    promotion: bool = Field(True, description="off: the no-promotion ablation")
    soar: dict[str, Any] = Field({}, description="keys of the `soar` section that differ in this objective")

    @model_validator(mode="after")
    def _possible(self) -> "ObjectiveConfig":
        if self.reward == "learnability" and self.promotion:
            raise ValueError("reward `learnability` trains no students, so there is nothing to promote: promotion: false")
        return self


class QuestionSource(Section):
    """Where the extra questions of a fresh student come from."""

    source: Literal["promotions", "teacher", "base_teacher"] = Field(
        description="promotions: D_best of a SOAR run; teacher: sampled from its trained teacher; base_teacher: "
        "sampled from the base model, same filter"
    )
    objective: Name | None = Field(None, description="which objective's SOAR runs")
    size: int = Field(128, ge=1, description="questions sampled from a teacher; promotions are taken whole")

    @model_validator(mode="after")
    def _complete(self) -> "QuestionSource":
        if (self.source == "base_teacher") == (self.objective is not None):
            raise ValueError("`objective` belongs to sources promotions and teacher, and only to them")
        return self


class ArmConfig(Section):
    """One row of the tables (spec section 7): a fresh student, or inference with an existing policy."""

    label: str = Field(description="name in tables and figures")
    paper: str | None = Field(None, description="row name in resources/paper, for the comparison")
    policy: Literal["fresh_student", "base", "promoted_student", "teacher"] = "fresh_student"
    objective: Name | None = Field(None, description="SOAR runs whose promoted student or teacher answers")
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
    """Which steps of a fresh student are reported (spec section 6)."""

    rule: Literal["reward_plateau", "fixed"] = "reward_plateau"
    smoothing: int = Field(25, ge=1, description="centred moving average of the training reward, steps")
    slope_fraction: float = Field(0.15, gt=0, lt=1, description="of the largest normalised slope")
    window: int = Field(200, ge=0, description="steps after the selected one over which metrics are averaged")
    step: int = Field(50, ge=0, description="the step of rule `fixed`")


class FreshStudentConfig(Section):
    """Fresh students (spec section 6)."""

    steps: int = Field(1500, ge=1)
    mixing: Literal["curriculum", "mixed"] = "curriculum"
    synthetic_steps: int = Field(64, ge=0, description="curriculum: steps on the extra questions before the real ones")
    warmup_steps: int = Field(0, ge=0, description="learning-rate warm-up, optimizer steps")
    kl_coefficient: float | None = Field(None, ge=0, description="none: student.kl_coefficient")
    learning_rate: float | None = Field(None, gt=0, description="none: student.learning_rate")
    evaluate_every: int = Field(50, ge=1, description="steps between test evaluations")
    checkpoint: CheckpointRule = CheckpointRule()


class EvaluationConfig(Section):
    """pass@k on test (spec section 6)."""

    samples: int = Field(32, ge=1, description="per test problem")
    test_limit: int | None = Field(None, ge=1, description="evaluate on the first so many test problems")


class SeedConfig(Section):
    """Seeds are counted from 1; teacher seed 0 stands for arms that have no teacher."""

    teacher: int = Field(4, ge=1, description="SOAR runs per objective")
    student: int = Field(3, ge=1, description="students per teacher seed")


class DiversityConfig(Section):
    """Vendi score (spec section 8)."""

    embedder: str = Field(
        "Qwen/Qwen3-Embedding-8B",
        description="`character_ngrams`, or a sentence-transformers model by name or folder",
    )
    sample_size: int = Field(128, ge=2, description="questions per bootstrap subsample")
    draws: int = Field(100, ge=1, description="bootstrap subsamples, without replacement")


class ReportConfig(Section):
    """Tables, figures and the HTML page."""

    title: str = "SOAR: a model teaches itself at the edge of learnability"
    baseline_arm: Name = Field("hard_only", description="arm that improvements are measured from")
    headline_arms: tuple[Name, ...] = Field(("soar_pq", "soar_ps"), description="arms of the one-line finding")
    paper_table: Literal["table4_math", "table5_harp", "table6_olympiadbench"] = "table4_math"
    sample_questions: int = Field(6, ge=1, description="questions shown per stage")


class ResourceConfig(Section):
    """What one job of a rule asks for."""

    gpu: int = Field(0, ge=0)
    mem_mb: int = Field(4000, ge=1)
    runtime: int = Field(60, ge=1, description="minutes")
    threads: int = Field(1, ge=1)


class TrackingConfig(Section):
    """Where training metrics go besides the Parquet files."""

    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)


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
            if arm.questions is not None and arm.questions.source == "promotions":
                if not self.objectives[arm.soar_objective].promotion:
                    raise ValueError(f"arms.{name}: objective {arm.soar_objective!r} has no promotions")
            if arm.policy == "promoted_student" and not self.objectives[arm.soar_objective].promotion:
                raise ValueError(f"arms.{name}: objective {arm.soar_objective!r} has no promotions")
            self.student_of(name)
        for name in self.objectives:
            self.soar_of(name)
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
