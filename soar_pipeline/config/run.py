"""One run: every section of a configuration, and what follows from several of them."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from soar_pipeline.config.analysis import (
    DEFAULT_FIGURES,
    DiversityConfig,
    EvaluationConfig,
    FigureConfig,
    ReportConfig,
    TaxonomyConfig,
)
from soar_pipeline.config.arms import ArmConfig
from soar_pipeline.config.checks import check
from soar_pipeline.config.data import DatasetConfig, FilterConfig, PoolConfig
from soar_pipeline.config.overrides import Changes, resolve
from soar_pipeline.config.policy import GenerationConfig, GradingConfig, ModelConfig, PromptConfig
from soar_pipeline.config.rl import FRESH_STUDENT_RL, FreshStudentConfig, StudentConfig, TeacherConfig
from soar_pipeline.config.section import Name, Section, Seed, SeedCount
from soar_pipeline.config.serl import SerlConfig
from soar_pipeline.config.soar import ObjectiveConfig, SoarConfig

# Neither empty nor with `~` at its start, and without braces.
RESULTS = r"^[^~{}\s][^{}\n]*$"


class SeedConfig(Section):
    """How many seeds; they count from 1, and teacher seed 0 stands for arms that have no teacher."""

    teacher: SeedCount = 4
    """SOAR runs per objective [experiments: 4 teachers, 3 for ablations]"""

    student: SeedCount = 3
    """fresh students (or inference runs) per teacher seed [2 or 3; Hard-Only 6]"""


class ResourceConfig(Section):
    """What one job of a rule asks for, by the rule's name."""

    gpu: int = Field(0, ge=0)
    """devices, of each node"""

    mem_mb: int = Field(4000, ge=1)
    """memory in MB, of each node"""

    runtime: int = Field(60, ge=1)
    """minutes"""

    threads: int = Field(1, ge=1)
    """CPU cores, of each node"""

    workers: int = Field(1, ge=1)
    """train_soar: processes that train students, at most one per thread; train_fresh_student: processes that share the
    rollouts of a step, if `gpu` is 0 (else there is one for each GPU)
    """

    ray_nodes: int = Field(0, ge=0)
    """train_soar: nodes over which Ray spreads the workers, each with a GPU of its own if `gpu` is not 0; more than
    one needs the Slurm executor; 0: no Ray, processes that share one machine and one GPU
    """

    sharding: Literal["none", "full"] = "none"
    """train_fresh_student on several GPUs, what each keeps. none: the whole model; full: a share of weights, gradients
    and moments (FSDP), for models that one GPU cannot hold
    """

    @property
    def one_process(self) -> bool:
        """Whether the teacher's process trains the students of a SOAR run too: with Ray one worker is an actor."""
        return self.workers == 1 and not self.ray_nodes


class TrackingConfig(Section):
    """Where training metrics go besides the Parquet files."""

    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """trackers; an empty list: none"""


class Config(Section):
    """One run: `results/<run>/`."""

    run: Name = "paper"
    """name of the results folder"""

    seed: Seed = 0
    """root of every derived seed"""

    results: str = Field("results", json_schema_extra={"pattern": RESULTS})
    """folder of all runs"""

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
    resources: dict[str, ResourceConfig] = {}
    """per rule name; `default` for the rest"""

    @field_validator("results")
    @classmethod
    def _folder(cls, results: str) -> str:
        if not re.fullmatch(RESULTS, results):
            raise ValueError(
                f"{results!r} is not a folder that results can lie in: give a path that is not empty, with neither `~` "
                "at its start (it is not expanded) nor braces (Snakemake's wildcards)"
            )
        return results

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check(self)
        return self

    def pool_of(self, name: str) -> PoolConfig:
        """The problems of a data set, or of a pool that is not filtered."""
        return self.datasets[name].pool if name in self.datasets else self.pools[name]

    @property
    def pass_at_k(self) -> tuple[int, ...]:
        """The k that can be estimated from `evaluation.samples`."""
        return self.evaluation.pass_at_k

    def has_swept(self, arm: str, against: str) -> bool:
        """Whether a sweep has a place for the arm: a number of questions, or SOAR runs with their tau and n."""
        if against == "size":
            return getattr(self.arms[arm].questions, "size", None) is not None
        return self.arms[arm].soar_objective is not None

    def soar_changes(self, dataset: str, objective: str) -> list[tuple[str, Changes]]:
        """What differs from the `soar` section, the last winning: for a data set, then for an objective."""
        return [
            (f"datasets.{dataset}.soar", self.datasets[dataset].soar),
            (f"objectives.{objective}.soar", self.objectives[objective].soar),
        ]

    def soar_of(self, dataset: str, objective: str) -> SoarConfig:
        return resolve(self.soar, *self.soar_changes(dataset, objective))

    def student_changes(self, arm: str) -> list[tuple[str, Changes]]:
        """What differs from the `student` section for an arm."""
        return [(f"arms.{arm}.student", self.arms[arm].student)]

    def student_of(self, arm: str, dataset: str) -> StudentConfig:
        """An arm's fresh students: the `student` section with what differs in `fresh_student`, then in the arm."""
        fresh = self.fresh_student_of(arm, dataset)
        differing = {name: getattr(fresh, name) for name in FRESH_STUDENT_RL if getattr(fresh, name) is not None}
        student = self.student.model_copy(update={"warmup_steps": fresh.warmup_steps, **differing})
        return resolve(student, *self.student_changes(arm))

    def fresh_student_changes(self, dataset: str, arm: str | None = None) -> list[tuple[str, Changes]]:
        """What differs from the `fresh_student` section, the last winning: for a data set, for an arm, for both."""
        changes: list[tuple[str, Changes]] = [
            (f"datasets.{dataset}.fresh_student", self.datasets[dataset].fresh_student)
        ]
        if arm is not None:
            changes.append((f"arms.{arm}.fresh_student", self.arms[arm].fresh_student))
            here = self.arms[arm].fresh_student_on
            changes += [(f"arms.{arm}.fresh_student_on.{dataset}", here[dataset])] if dataset in here else []
        return changes

    def fresh_student_on(self, dataset: str) -> FreshStudentConfig:
        """The `fresh_student` section with a data set's differences."""
        return resolve(self.fresh_student, *self.fresh_student_changes(dataset))

    def fresh_student_of(self, arm: str, dataset: str) -> FreshStudentConfig:
        """The same with an arm's differences."""
        return resolve(self.fresh_student, *self.fresh_student_changes(dataset, arm))

    def resources_of(self, rule: str) -> ResourceConfig:
        return self.resources.get(rule) or self.resources.get("default") or ResourceConfig()

    def processes_of(self, rule: str) -> int:
        """Processes that share the work of a job: `workers`; a fresh student has one for each GPU, if any."""
        job = self.resources_of(rule)
        return job.gpu or job.workers if rule == "train_fresh_student" else job.workers

    def datasets_of(self, arm: str) -> list[str]:
        """The data sets that an arm is evaluated on."""
        wanted = self.arms[arm].datasets
        return list(self.datasets) if wanted is None else list(wanted)

    def arms_on(self, dataset: str) -> dict[str, ArmConfig]:
        """The arms that are evaluated on a data set, in the order of the tables."""
        return {name: arm for name, arm in self.arms.items() if dataset in self.datasets_of(name)}
