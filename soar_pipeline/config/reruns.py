"""What a changed key of the configuration makes due: the table at the end of config/README.md.

It follows from which keys each stage reads (stages.py), and from where the sections of a job's settings come from.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from soar_pipeline.config.data import PoolConfig
from soar_pipeline.config.rl import FRESH_STUDENT_RL, StudentConfig
from soar_pipeline.config.stages import REPORTING, STAGES, is_speed

TRAININGS = ("train_soar", "train_fresh_student", "train_serl")
_FRESH = ("datasets.<name>.fresh_student", "arms.<name>.fresh_student", "arms.<name>.fresh_student_on")
# A task of Reasoning Gym has a verifier of its own.
_GRADING = ("grading", *(f"datasets.<name>.{key}" for key in ("verifier", "adapter", "task", "task_config")))
_CHECKS = ("sha256", "rows", "verifier.sha256")
_POOL_KEYS = tuple(PoolConfig.model_fields)
# A fresh student's `student` section has differences, and its warm-up from elsewhere.
_OF_AN_ARM = tuple(f"fresh_student.{key}" for key in ("warmup_steps", *FRESH_STUDENT_RL))
_STUDENT = tuple(f"student.{key}" for key in StudentConfig.model_fields if key != "warmup_steps")
_STUDENT_OF_AN_ARM = (*_OF_AN_ARM, *_FRESH, "arms.<name>.student")
# Where in a configuration the sections of a job's settings come from, if not from the section of the same name.
_PLACES: dict[str, tuple[str, ...]] = {
    "model": ("models.<name>",),
    "judge_model": ("models.<name>",),
    "pool": tuple(f"{section}.<name>.{key}" for section in ("datasets", "pools") for key in _POOL_KEYS),
    "grading": _GRADING,
    "load_problems grading": (*_GRADING, "pools.<name>.verifier"),
    "prompts.teacher": ("prompts.teacher", "prompts.teacher_question", "objectives.<name>.turns"),
    # SeRL asks in one turn.
    "train_serl prompts.teacher": ("prompts.teacher",),
    "train_serl prompts.teacher_answer": (),
    "soar": ("soar", "datasets.<name>.soar", "objectives.<name>.soar"),
    "objective": ("objectives.<name>",),
    "objective_name": (),
    "reward_sha256": ("objectives.<name>.reward",),
    "fresh_student": ("fresh_student", *_FRESH),
    "train_fresh_student student": (*_STUDENT, *_STUDENT_OF_AN_ARM),
    "write_schedule student.batch_size": ("student.batch_size", "fresh_student.batch_size", "arms.<name>.student"),
    "lora": ("fresh_student.lora_rank", "fresh_student.lora_alpha", *_FRESH),
    "checkpoint": ("fresh_student.checkpoint", *_FRESH, "arms.<name>.step"),
    "questions": ("arms.<name>.questions",),
    "hints": ("arms.<name>.hints",),
    "serl_prompts": ("prompts.serl", "prompts.serl_rollout"),
    "judge_prompt": ("prompts.judge",),
    "evaluation_in_training": ("evaluation.keep_weights",),
}
# Sections that hold some keys of another: any key of that one may stand there.
CHANGES = ("datasets.<name>.soar", "objectives.<name>.soar", *_FRESH, "arms.<name>.student")
# Files that count by what they hold, wherever they lie.
FILES = (
    *(f"{section}.<name>.{key}" for section in ("datasets", "pools") for key in ("path", "verifier.file")),
    *(f"prompts.{key}" for key in ("student", "teacher", "judge", "serl", "serl_rollout")),
    *(f"prompts.{key}" for key in ("teacher_question", "teacher_answer")),
)
# What a source must be, or the stage refuses it: they decide no result.
CHECKS = tuple(f"{section}.<name>.{key}" for section in ("datasets", "pools") for key in _CHECKS)
# Keys that say which jobs there are and which files they read: jobs come and go, or read other files, which makes
# them due.
WIRING = (
    "run",
    "filter.shards",
    *(f"seeds.{key}" for key in ("teacher", "student")),
    "datasets.<name>.model",
    "objectives.<name>.teacher_seeds",
    *(f"arms.<name>.{key}" for key in ("datasets", "policy", "objective", "transfer_from", "step")),
    *(f"arms.<name>.{key}" for key in ("teacher_seeds", "student_seeds")),
    "arms.<name>.questions",
    "taxonomy.arms",
)


@dataclass(frozen=True)
class Effect:
    """Of one key. stages: that read it, without those that report; speed: it decides no result; wiring: see WIRING."""

    stages: tuple[str, ...]
    speed: bool = False
    wiring: bool = False

    @property
    def trains(self) -> bool:
        """Whether a training, finished or not, is another one."""
        return any(stage in TRAININGS for stage in self.stages)


def effect_of(key: str) -> Effect:
    """key: its place as in config/README.md, such as `arms.<name>.questions (source: pool).size`."""
    place = re.sub(r" \(.*?\)", "", key)
    # As the key stands in the settings of stages that read the whole configuration.
    speed = is_speed(("config", *place.replace(".<name>", "").split("."))) or place in CHECKS
    readers = (stage for stage in STAGES if stage not in REPORTING and _reads(stage, place))
    stages = () if speed else tuple(readers)
    return Effect(stages, speed, wiring=any(_within(place, key) for key in WIRING))


def table(keys: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    """Lines of a Markdown table; keys: those of each section, by its place."""
    yield from ("| section | keys | makes due | a training that is not finished |", "|---|---|---|---|")
    for section, names in keys:
        groups: dict[tuple[str, str], list[str]] = {}
        for name in names:
            groups.setdefault(_cells(f"{section}.{name}".lstrip(".")), []).append(name)
        for cells, alike in groups.items():
            yield f"| `{section or 'top level'}` | {', '.join(f'`{name}`' for name in alike)} | {' | '.join(cells)} |"


def _cells(key: str) -> tuple[str, str]:
    effect = effect_of(key)
    if effect.speed:
        return "nothing", "goes on"
    due = ", ".join(f"`{stage}`" for stage in effect.stages) or "reports"
    if re.sub(r" \(.*?\)", "", key) in FILES:
        due += ", if the file holds something else"
    if effect.wiring:
        due = "jobs that are new or read other files" + (f", {due}" if effect.stages else "")
    return due, "is another one" if effect.trains else "goes on"


def _reads(stage: str, place: str) -> bool:
    return any(_within(place, prefix) for path in STAGES[stage] for prefix in _sources(stage, path))


def _sources(stage: str, path: str) -> Iterator[str]:
    """The places in a configuration that a path of the stage's settings comes from."""
    name, _, key = path.partition(".")
    for exact in (f"{stage} {path}", path):
        if exact in _PLACES:
            yield from _PLACES[exact]
            return
    for place in _PLACES.get(f"{stage} {name}", _PLACES.get(name, (name,))):
        # A place that holds some keys of a section may hold this one; a place of one key of it is another's.
        if not key or place in CHANGES:
            yield place
        elif place.count(".") == place.count(".<name>"):
            yield f"{place}.{key}"


def _within(place: str, prefix: str) -> bool:
    return place == prefix or place.startswith(f"{prefix}.")
