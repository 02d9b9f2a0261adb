"""The slice of the configuration that each stage depends on, and nothing more.

A rule's `params` hold its slice as JSON, so an edit elsewhere in the config reruns nothing. The prompt *texts*
stand in the slices (not the file names), so an edited prompt reruns what used it; so does an edited reward file, whose
digest stands there.
"""

from pathlib import Path

from pydantic import Field

from soar_pipeline.config import (
    CheckpointRule,
    Config,
    ConfigError,
    DiversityConfig,
    EndpointJudge,
    EngineConfig,
    EvaluationConfig,
    ExactJudge,
    FilterConfig,
    GenerationConfig,
    GradingConfig,
    LocalJudge,
    ModelConfig,
    ObjectiveConfig,
    PoolConfig,
    ReportConfig,
    Section,
    SerlConfig,
    SoarConfig,
    StudentConfig,
    TeacherConfig,
)
from soar_pipeline.reward_files import read_reward_file


class Prompts(Section):
    """Prompt texts; the student's holds `{question}` once.

    A teacher that writes in two turns is asked for a question by `teacher`, and by `teacher_answer`, which holds
    `{question}` once, for the answer. In one turn there is no `teacher_answer`.
    """

    student: str
    teacher: str
    teacher_answer: str | None = None


def prompt_texts(config: Config, turns: int = 1) -> Prompts:
    """The texts of the prompt files; ConfigError where a file is missing or has no `{question}`."""
    keys = {"student": "student", "teacher": "teacher"}
    if turns == 2:
        keys |= {"teacher": "teacher_question", "teacher_answer": "teacher_answer"}
    texts = {role: _prompt_text(config, key) for role, key in keys.items()}
    for role in texts.keys() & {"student", "teacher_answer"}:
        if texts[role].count("{question}") != 1:
            path = getattr(config.prompts, keys[role])
            raise ConfigError(f"prompts.{keys[role]}: {path} must hold {{question}} exactly once")
    return Prompts(**texts)


def judge_prompt_text(config: Config) -> str:
    """The text of the judge's prompt file; ConfigError where it is missing or lacks a placeholder."""
    text = _prompt_text(config, "judge")
    if text.count("{question}") != 1 or text.count("{answer}") != 1 or text.count("{boundary}") < 2:
        raise ConfigError(
            f"prompts.judge: {config.prompts.judge} must hold {{question}} and {{answer}} exactly once, between two "
            "{boundary}s"
        )
    return text


def _prompt_text(config: Config, key: str) -> str:
    path = Path(getattr(config.prompts, key))
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise ConfigError(f"prompts.{key}: {path} cannot be read ({error.strerror})") from None


class BaseModelSlice(Section):
    model: ModelConfig
    seed: int

    @classmethod
    def of(cls, config: Config, model: str) -> "BaseModelSlice":
        return cls(model=config.models[model], seed=config.seed)


class ProblemsSlice(Section):
    name: str
    dataset: PoolConfig
    grading: GradingConfig

    @classmethod
    def of(cls, config: Config, pool: str) -> "ProblemsSlice":
        """Of a data set's pool, or of one that is not filtered."""
        found = config.datasets[pool].pool if pool in config.datasets else config.pools[pool]
        return cls(name=pool, dataset=found, grading=config.grading)


class SamplingSlice(Section):
    """What drawing and grading completions needs."""

    dtype: str
    chat_template: bool
    prompts: Prompts
    generation: GenerationConfig
    grading: GradingConfig
    seed: int

    @classmethod
    def of(cls, config: Config, dataset: str, objective: str | None = None) -> "SamplingSlice":
        """The teacher's prompts are those of the objective, if any."""
        turns = config.objectives[objective].turns if objective else 1
        model = config.models[config.datasets[dataset].model]
        return cls(
            dtype=model.dtype,
            chat_template=model.chat_template,
            prompts=prompt_texts(config, turns),
            generation=config.generation,
            grading=config.grading,
            seed=config.seed,
        )


class AttemptsSlice(Section):
    sampling: SamplingSlice
    filter: FilterConfig

    @classmethod
    def of(cls, config: Config, dataset: str) -> "AttemptsSlice":
        return cls(sampling=SamplingSlice.of(config, dataset), filter=config.filter)


class HardSlice(Section):
    keep_all: bool

    @classmethod
    def of(cls, config: Config) -> "HardSlice":
        return cls(keep_all=config.filter.keep_all)


class SplitSlice(Section):
    seed: int

    @classmethod
    def of(cls, config: Config) -> "SplitSlice":
        return cls(seed=config.seed)


class SoarSlice(Section):
    sampling: SamplingSlice
    student: StudentConfig
    teacher: TeacherConfig
    soar: SoarConfig
    objective: ObjectiveConfig
    objective_name: str
    reward_sha256: str | None = Field(description="of the file of the user's own reward: an edit is another run")

    @classmethod
    def of(cls, config: Config, dataset: str, objective: str) -> "SoarSlice":
        """Raises ConfigError where the file of the user's own reward cannot be used."""
        reward_file = read_reward_file(config.objectives[objective], objective)
        return cls(
            sampling=SamplingSlice.of(config, dataset, objective),
            student=config.student,
            teacher=config.teacher,
            soar=config.soar_of(dataset, objective),
            # The differences are merged into `soar` above, and the number of seeds is no business of one run.
            objective=config.objectives[objective].model_copy(update={"soar": {}, "teacher_seeds": None}),
            objective_name=objective,
            reward_sha256=reward_file and reward_file.sha256,
        )


class QuestionSamplingSlice(Section):
    sampling: SamplingSlice
    max_draws_per_question: int
    size: int

    @classmethod
    def of(cls, config: Config, dataset: str, arm: str) -> "QuestionSamplingSlice":
        return cls(
            sampling=SamplingSlice.of(config, dataset, config.arms[arm].soar_objective),
            max_draws_per_question=config.teacher.max_draws_per_question,
            size=config.arms[arm].questions.size,
        )


class PoolDrawSlice(Section):
    size: int | None
    seed: int

    @classmethod
    def of(cls, config: Config, arm: str) -> "PoolDrawSlice":
        return cls(size=config.arms[arm].questions.size, seed=config.seed)


class JudgedSlice(Section):
    keep: str

    @classmethod
    def of(cls, config: Config, arm: str) -> "JudgedSlice":
        return cls(keep=config.arms[arm].questions.keep)


class ScheduleSlice(Section):
    steps: int
    batch_size: int
    mixing: str
    synthetic_steps: int
    extra_questions: bool = Field(description="the arm trains on extra questions (which may turn out to be none)")
    seed: int

    @classmethod
    def of(cls, config: Config, dataset: str, arm: str) -> "ScheduleSlice":
        fresh = config.fresh_student_of(arm, dataset)
        return cls(
            steps=fresh.steps,
            batch_size=config.student_of(arm).batch_size,
            mixing=fresh.mixing,
            synthetic_steps=fresh.synthetic_steps,
            extra_questions=config.arms[arm].questions is not None,
            seed=config.seed,
        )


def fresh_student_rl(config: Config, dataset: str, arm: str) -> StudentConfig:
    """An arm's fresh students: the `student` section with what differs in `fresh_student`, then in the arm."""
    fresh = config.fresh_student_of(arm, dataset)
    changes = {"warmup_steps": fresh.warmup_steps}
    if fresh.kl_coefficient is not None:
        changes["kl_coefficient"] = fresh.kl_coefficient
    if fresh.learning_rate is not None:
        changes["learning_rate"] = fresh.learning_rate
    return config.student.model_copy(update=changes | config.arms[arm].student)


class Lora(Section):
    rank: int
    alpha: float


class FreshStudentSlice(Section):
    sampling: SamplingSlice
    student: StudentConfig
    lora: Lora | None
    evaluate_every: int
    evaluation: EvaluationConfig

    @classmethod
    def of(cls, config: Config, dataset: str, arm: str) -> "FreshStudentSlice":
        fresh = config.fresh_student_of(arm, dataset)
        return cls(
            sampling=SamplingSlice.of(config, dataset),
            student=fresh_student_rl(config, dataset, arm),
            lora=None if fresh.lora_rank is None else Lora(rank=fresh.lora_rank, alpha=fresh.lora_alpha),
            evaluate_every=fresh.evaluate_every,
            evaluation=config.evaluation,
        )


class SerlPrompts(Section):
    """`questions` holds `{questions}` once, `rollout` `{question}` once."""

    questions: str
    rollout: str


class SerlSlice(Section):
    sampling: SamplingSlice
    serl: SerlConfig
    prompts: SerlPrompts
    evaluation: EvaluationConfig

    @classmethod
    def of(cls, config: Config, dataset: str) -> "SerlSlice":
        """Raises ConfigError where a prompt file is missing or lacks its placeholder."""
        texts = {role: _prompt_text(config, role) for role in ("serl", "serl_rollout")}
        for role, placeholder in (("serl", "{questions}"), ("serl_rollout", "{question}")):
            if texts[role].count(placeholder) != 1:
                path = getattr(config.prompts, role)
                raise ConfigError(f"prompts.{role}: {path} must hold {placeholder} exactly once")
        return cls(
            sampling=SamplingSlice.of(config, dataset),
            serl=config.serl,
            prompts=SerlPrompts(questions=texts["serl"], rollout=texts["serl_rollout"]),
            evaluation=config.evaluation,
        )


class SelectionSlice(Section):
    checkpoint: CheckpointRule

    @classmethod
    def of(cls, config: Config, dataset: str, arm: str) -> "SelectionSlice":
        step = config.arms[arm].step
        if step is not None:
            return cls(checkpoint=CheckpointRule(rule="fixed", step=step, window=0))
        return cls(checkpoint=config.fresh_student_of(arm, dataset).checkpoint)


class InferenceSlice(Section):
    sampling: SamplingSlice
    evaluation: EvaluationConfig

    @classmethod
    def of(cls, config: Config, dataset: str) -> "InferenceSlice":
        return cls(sampling=SamplingSlice.of(config, dataset), evaluation=config.evaluation)


class PassKSlice(Section):
    k: tuple[int, ...]

    @classmethod
    def of(cls, config: Config) -> "PassKSlice":
        return cls(k=config.pass_at_k)


class DiversitySlice(Section):
    diversity: DiversityConfig
    seed: int

    @classmethod
    def of(cls, config: Config) -> "DiversitySlice":
        return cls(diversity=config.diversity, seed=config.seed)


class TaxonomySlice(Section):
    """What the verdicts on a question file depend on; not how many requests are in flight at once."""

    judge: EndpointJudge | LocalJudge | ExactJudge = Field(discriminator="kind")
    prompt: str
    attempts: int
    questions_per_file: int | None
    model: ModelConfig | None = Field(description="of a local judge")
    engine: EngineConfig | None = Field(description="of a local judge")
    grading: GradingConfig
    seed: int

    @classmethod
    def of(cls, config: Config) -> "TaxonomySlice":
        """Raises ConfigError where nobody judges, or where the prompt file cannot be used."""
        taxonomy = config.taxonomy
        if taxonomy.judge is None:
            raise ConfigError("taxonomy.judge: say who judges")
        local = isinstance(taxonomy.judge, LocalJudge)
        return cls(
            judge=taxonomy.judge,
            prompt=judge_prompt_text(config),
            attempts=taxonomy.attempts,
            questions_per_file=taxonomy.questions_per_file,
            model=config.models[taxonomy.judge.model] if local else None,
            engine=config.generation.drawn_by if local else None,
            grading=config.grading,
            seed=config.seed,
        )


class ReportSlice(Section):
    """Tables and the page: `config` is the whole configuration, for the record."""

    report: ReportConfig
    config: Config

    @classmethod
    def of(cls, config: Config) -> "ReportSlice":
        return cls(report=config.report, config=config)


class FigureSlice(Section):
    """One figure; the whole configuration says how data sets and arms are called and look."""

    name: str
    config: Config

    @classmethod
    def of(cls, config: Config, figure: str) -> "FigureSlice":
        return cls(name=figure, config=config)
