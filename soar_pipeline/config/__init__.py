"""The whole configuration, as frozen models: every default stands here and nowhere else.

Defaults are the paper's; the YAML files in `config/` only say what differs. `config/README.md` is generated from the
docstrings here: the text under a key is its description, and its last `[…]` says where in the paper the key comes from.
Light to import (no torch): the Snakefile validates a run with it before anything starts. A stage receives
the keys that it reads (config/stages.py) and never the file.
"""

from soar_pipeline.config.analysis import (
    DEFAULT_FIGURES,
    PASS_AT_K,
    DiversityConfig,
    EndpointJudge,
    EvaluationConfig,
    ExactJudge,
    FigureConfig,
    LocalJudge,
    ReportConfig,
    TaxonomyConfig,
)
from soar_pipeline.config.arms import (
    SERL,
    ArmConfig,
    BaseTeacherQuestions,
    JudgedQuestions,
    PoolQuestions,
    PromotionQuestions,
    QuestionSource,
    TeacherQuestions,
)
from soar_pipeline.config.data import DatasetConfig, FilterConfig, PaperTable, PoolConfig
from soar_pipeline.config.items import (
    Dataset,
    Figure,
    Model,
    Pool,
    QuestionSet,
    SerlRun,
    Shard,
    SoarRun,
    StudentRun,
    WholeRun,
)
from soar_pipeline.config.load import load, read_yaml, validate
from soar_pipeline.config.overrides import Changes, resolve
from soar_pipeline.config.plan import Job, Plan
from soar_pipeline.config.policy import EngineConfig, GenerationConfig, GradingConfig, ModelConfig, PromptConfig
from soar_pipeline.config.prompts import Prompts, SerlPrompts, read_prompts
from soar_pipeline.config.rl import (
    CheckpointRule,
    FreshStudentChanges,
    FreshStudentConfig,
    HintConfig,
    Lora,
    RLOOConfig,
    StudentChanges,
    StudentConfig,
    TeacherConfig,
)
from soar_pipeline.config.run import Config, ResourceConfig, SeedConfig, TrackingConfig
from soar_pipeline.config.section import ConfigError, Name, Section, readable
from soar_pipeline.config.serl import SerlConfig
from soar_pipeline.config.settings import Settings
from soar_pipeline.config.soar import BUILT_IN_REWARDS, INTRINSIC_REWARDS, ObjectiveConfig, SoarChanges, SoarConfig
from soar_pipeline.config.verifiers import DatasetGrading, OwnVerifier, Verifier

__all__ = [
    "BUILT_IN_REWARDS",
    "DEFAULT_FIGURES",
    "INTRINSIC_REWARDS",
    "PASS_AT_K",
    "SERL",
    "ArmConfig",
    "BaseTeacherQuestions",
    "Changes",
    "CheckpointRule",
    "Config",
    "ConfigError",
    "Dataset",
    "DatasetConfig",
    "DatasetGrading",
    "DiversityConfig",
    "EndpointJudge",
    "EngineConfig",
    "EvaluationConfig",
    "ExactJudge",
    "Figure",
    "FigureConfig",
    "FilterConfig",
    "FreshStudentChanges",
    "FreshStudentConfig",
    "GenerationConfig",
    "GradingConfig",
    "HintConfig",
    "Job",
    "JudgedQuestions",
    "LocalJudge",
    "Lora",
    "Model",
    "ModelConfig",
    "Name",
    "ObjectiveConfig",
    "OwnVerifier",
    "PaperTable",
    "Plan",
    "Pool",
    "PoolConfig",
    "PoolQuestions",
    "PromotionQuestions",
    "PromptConfig",
    "Prompts",
    "QuestionSet",
    "QuestionSource",
    "RLOOConfig",
    "ReportConfig",
    "ResourceConfig",
    "Section",
    "SeedConfig",
    "SerlConfig",
    "SerlPrompts",
    "SerlRun",
    "Settings",
    "Shard",
    "SoarChanges",
    "SoarConfig",
    "SoarRun",
    "StudentChanges",
    "StudentConfig",
    "StudentRun",
    "TaxonomyConfig",
    "TeacherConfig",
    "TeacherQuestions",
    "TrackingConfig",
    "Verifier",
    "WholeRun",
    "load",
    "read_prompts",
    "read_yaml",
    "readable",
    "resolve",
    "validate",
]
