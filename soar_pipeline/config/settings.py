"""The settings of one job: what its stage reads of the configuration (config/stages.py), and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, PrivateAttr, ValidationError

from soar_pipeline.config.analysis import DiversityConfig, EvaluationConfig, LocalJudge, ReportConfig, TaxonomyConfig
from soar_pipeline.config.arms import QuestionSource
from soar_pipeline.config.data import FilterConfig, PoolConfig
from soar_pipeline.config.items import Item, Pool
from soar_pipeline.config.own_functions import read_reward_file, read_verifier_file
from soar_pipeline.config.policy import GenerationConfig, ModelConfig
from soar_pipeline.config.prompts import Prompts, SerlPrompts, read_prompt, read_prompts
from soar_pipeline.config.rl import CheckpointRule, FreshStudentConfig, HintConfig, Lora, StudentConfig, TeacherConfig
from soar_pipeline.config.run import Config, ResourceConfig, TrackingConfig
from soar_pipeline.config.section import ConfigError, Section, readable
from soar_pipeline.config.serl import SerlConfig
from soar_pipeline.config.soar import ObjectiveConfig, SoarConfig
from soar_pipeline.config.stages import STAGES, is_speed
from soar_pipeline.config.verifiers import DatasetGrading, OwnVerifier

# Between the file and the function of a reward of the user's own.
OWN = ".py:"
AnyModel = TypeVar("AnyModel", bound=BaseModel)


class Settings(Section):
    """What one job reads of the configuration, resolved for its data set, objective and arm.

    A section holds the keys that `STAGES` lists for the stage. Reading another raises AttributeError, so the table
    cannot be wrong.
    """

    seed: int | None = None
    model: ModelConfig | None = None
    pool: PoolConfig | None = None
    prompts: Prompts | None = None
    filter: FilterConfig | None = None
    generation: GenerationConfig | None = None
    grading: DatasetGrading | None = None
    """with the verifier of the job's data set; an edit of its file is another run"""
    student: StudentConfig | None = None
    """of the inner loop, or with the differences of an arm's fresh students"""
    teacher: TeacherConfig | None = None
    soar: SoarConfig | None = None
    objective: ObjectiveConfig | None = None
    objective_name: str | None = None
    reward_sha256: str | None = None
    """of the file of the user's own reward: an edit is another run"""
    fresh_student: FreshStudentConfig | None = None
    lora: Lora | None = None
    hints: HintConfig | None = None
    serl: SerlConfig | None = None
    serl_prompts: SerlPrompts | None = None
    checkpoint: CheckpointRule | None = None
    evaluation: EvaluationConfig | None = None
    evaluation_in_training: EvaluationConfig | None = None
    """of trainings that sample attempts on their way, since no weights are kept"""
    diversity: DiversityConfig | None = None
    taxonomy: TaxonomyConfig | None = None
    judge_prompt: str | None = None
    judge_model: ModelConfig | None = None
    """of a local judge"""
    questions: QuestionSource | None = None
    """where the arm's extra questions come from; none: it has none"""
    report: ReportConfig | None = None
    resources: ResourceConfig | None = None
    tracking: TrackingConfig | None = None
    config: Config | None = None
    """the whole configuration, for stages that report on all of it"""

    _results: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, config: Config, stage: str, item: Item) -> Self:
        """The settings of the stage's job for an item of the plan."""
        return cls.holding(*settings_of(config, stage, item))

    @classmethod
    def read(cls, results: Path, speed: Path) -> Self:
        """From the job's files; ConfigError names one that is missing or damaged."""
        values = []
        for path in (results, speed):
            try:
                values.append(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError) as error:
                raise ConfigError(f"{path}: cannot be read ({error}); start Snakemake again, which writes it") from None
        return cls.holding(*values)

    @classmethod
    def holding(cls, results: dict[str, Any], speed: dict[str, Any]) -> Self:
        """From JSON values: the keys that decide results, and the others. Raises ConfigError that names a bad key."""
        values = _merged(results, speed)
        try:
            settings = _only(cls.model_validate(values), values)
        except ValidationError as error:
            raise ConfigError(f"settings: {readable(error)}") from None
        settings._results = results
        return settings

    @property
    def results(self) -> dict[str, Any]:
        """The keys that decide results, as JSON: what a job's files record, and what makes a training the same."""
        return self._results

    @property
    def identity(self) -> str:
        """The same as text."""
        return json.dumps(self._results, sort_keys=True)


def settings_of(config: Config, stage: str, item: Item) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a job as JSON values: those that decide results, and those that decide speed.

    Raises ConfigError if a file that the configuration names, such as a prompt, cannot be used.
    """
    sections: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for path in STAGES[stage]:
        name, _, key = path.partition(".")
        if name not in sections:
            section = SECTIONS[name](config, stage, item)
            sections[name] = section.model_dump(mode="json") if isinstance(section, BaseModel) else section
        if key and sections[name] is not None:
            values.setdefault(name, {})[key] = sections[name][key]
        else:
            values[name] = sections[name]
    return _split(values)


def _split(values: dict[str, Any], place: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    results, speed = {}, {}
    places = _places(values, place)
    for key, value in values.items():
        here = (*place, key)
        if is_speed(here) or key in places:
            speed[key] = value
        elif key == "reward" and OWN in str(value):
            # Of a function of one's own, the name; the digest of its file stands beside it, if the job calls it.
            results[key], speed[key] = value.rpartition(OWN)[2], value
        elif isinstance(value, dict):
            results[key], faster = _split(value, here)
            if faster:
                speed[key] = faster
        else:
            results[key] = value
    return results, speed


def _places(values: dict[str, Any], place: tuple[str, ...]) -> set[str]:
    """Keys of a section that say where a file lies, or what it must be: its contents decide, and are recorded apart."""
    if place == ("config", "prompts"):
        return set(values)
    if "adapter" in values:
        return {"path", "sha256", "rows"}
    if {"file", "function"} <= values.keys():
        # What a job grades by has the digest of the file.
        return {"file"} if place[0] == "grading" else {"file", "sha256"}
    return {"path"} if values.get("source") == "folder" else set()


def _merged(values: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    result = dict(values)
    for key, value in more.items():
        result[key] = _merged(result[key], value) if isinstance(result.get(key), dict) else value
    return result


def _only(section: AnyModel, values: dict[str, Any]) -> AnyModel:
    """The section with the keys of `values` alone."""
    given = {key: getattr(section, key) for key in values if key in type(section).model_fields}
    partial = section.model_copy()
    partial.__dict__.clear()
    for key, value in given.items():
        partial.__dict__[key] = _only(value, values[key]) if isinstance(value, BaseModel) else value
    return partial


def _model(config: Config, stage: str, item: Item) -> ModelConfig:
    name = item.model if hasattr(item, "model") else config.datasets[item.dataset].model
    return config.models[name]


def _prompts(config: Config, stage: str, item: Item) -> Prompts:
    """The teacher's are those of the item's objective, if any."""
    objective = item.objective if hasattr(item, "objective") else None
    if hasattr(item, "arm"):
        objective = config.arms[item.arm].soar_objective
    return read_prompts(config.prompts, config.objectives[objective].turns if objective else 1)


def _student(config: Config, stage: str, item: Item) -> StudentConfig:
    return config.student_of(item.arm, item.dataset) if hasattr(item, "arm") else config.student


def _lora(config: Config, stage: str, item: Item) -> Lora | None:
    fresh = config.fresh_student_of(item.arm, item.dataset)
    return None if fresh.lora_rank is None else Lora(rank=fresh.lora_rank, alpha=fresh.lora_alpha)


def _reward_sha256(config: Config, stage: str, item: Item) -> str | None:
    file = read_reward_file(config.objectives[item.objective], item.objective)
    return file and file.sha256


def _grading(config: Config, stage: str, item: Item) -> DatasetGrading:
    """The verifier is that of the pool which is loaded, or of the data set whose problems are tried."""
    name = item.pool if isinstance(item, Pool) else item.dataset
    verifier = config.pool_of(name).decided_by
    if isinstance(verifier, OwnVerifier):
        section = "datasets" if name in config.datasets else "pools"
        file = read_verifier_file(verifier, f"{section}.{name}.verifier")
        verifier = verifier.model_copy(update={"sha256": file.sha256})
    return DatasetGrading(**dict(config.grading), verifier=verifier)


def _checkpoint(config: Config, stage: str, item: Item) -> CheckpointRule:
    step = config.arms[item.arm].step
    if step is not None:
        return CheckpointRule(rule="fixed", step=step, window=0)
    return config.fresh_student_of(item.arm, item.dataset).checkpoint


def _judges(config: Config, stage: str, item: Item) -> bool:
    """Whether a job judges questions: a training does if its reward asks the judge."""
    return stage != "train_soar" or config.objectives[item.objective].needs_judge


def _taxonomy(config: Config, stage: str, item: Item) -> TaxonomyConfig | None:
    if not _judges(config, stage, item):
        return None
    if config.taxonomy.judge is None:
        raise ConfigError("taxonomy.judge: say who judges")
    return config.taxonomy


def _judge_model(config: Config, stage: str, item: Item) -> ModelConfig | None:
    judge = config.taxonomy.judge
    return config.models[judge.model] if isinstance(judge, LocalJudge) and _judges(config, stage, item) else None


def _judge_prompt(config: Config, stage: str, item: Item) -> str | None:
    return read_prompt(config.prompts, "judge") if _judges(config, stage, item) else None


def _resources(config: Config, stage: str, item: Item) -> ResourceConfig:
    return config.resources_of(stage).model_copy(update={"workers": config.processes_of(stage)})


def _as_configured(name: str) -> Callable[[Config, str, Item], Any]:
    return lambda config, stage, item: getattr(config, name)


# Each section as a job of a stage has it.
SECTIONS: dict[str, Callable[[Config, str, Item], Any]] = {
    **{
        name: _as_configured(name)
        for name in (
            "seed",
            "filter",
            "generation",
            "teacher",
            "serl",
            "evaluation",
            "diversity",
            "tracking",
        )
    },
    "config": lambda config, stage, item: config,
    "model": _model,
    "pool": lambda config, stage, item: config.pool_of(item.pool),
    "grading": _grading,
    "prompts": _prompts,
    "student": _student,
    "soar": lambda config, stage, item: config.soar_of(item.dataset, item.objective),
    "objective": lambda config, stage, item: config.objectives[item.objective],
    "objective_name": lambda config, stage, item: item.objective,
    "reward_sha256": _reward_sha256,
    "fresh_student": lambda config, stage, item: config.fresh_student_of(item.arm, item.dataset),
    "lora": _lora,
    "hints": lambda config, stage, item: config.arms[item.arm].hints,
    "serl_prompts": lambda config, stage, item: SerlPrompts(
        questions=read_prompt(config.prompts, "serl"), rollout=read_prompt(config.prompts, "serl_rollout")
    ),
    "checkpoint": _checkpoint,
    "questions": lambda config, stage, item: config.arms[item.arm].questions,
    "evaluation_in_training": lambda config, stage, item: None if config.evaluation.keep_weights else config.evaluation,
    "taxonomy": _taxonomy,
    "judge_prompt": _judge_prompt,
    "judge_model": _judge_model,
    "resources": _resources,
}
