"""Every key of the configuration, changed by itself: which stages are due, and whether a training goes on."""

import copy
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from key_changes import AFTER, ALREADY, BEFORE, ENUMS, NAMED

from soar_pipeline.config import Config, Job, Plan, validate
from soar_pipeline.config.reruns import CHANGES, FILES, TRAININGS, effect_of
from soar_pipeline.config.schema import keys_by_section
from soar_pipeline.config.settings import settings_of
from soar_pipeline.config.stages import REPORTING

PROJECT = Path(__file__).parent.parent.parent
JUDGES = {"judge_questions", "judge_soar_questions"}
KEYS = [f"{section}.{key}".lstrip(".") for section, keys in keys_by_section() for key in keys]


def digest_of_own(folder: Path) -> str:
    return hashlib.sha256((folder / "same.py").read_bytes()).hexdigest()


def with_changes(values: dict[str, Any], changes: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The configuration with keys set, or dropped if the value is None; `<folder>` is the folder of the test."""
    values = copy.deepcopy(values)
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section.setdefault(name, {})
        if value is None:
            section.pop(last, None)
        else:
            text = yaml.safe_dump(value).replace("<folder>", str(folder)).replace("<sha256>", digest_of_own(folder))
            section[last] = yaml.safe_load(text)
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With files of one's own, moved and edited."""
    folder = tmp_path_factory.mktemp("own")
    source = "def same(gold, answer):\n    return gold == answer\n\n\ndef another(gold, answer):\n    return False\n"
    for name in ("same.py", "moved.py"):
        (folder / name).write_text(source, encoding="utf-8")
    (folder / "edited.py").write_text(source + "# edited\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def smallest() -> dict[str, Any]:
    """The smallest configuration with every stage, and prompts that are found from anywhere."""
    values = yaml.safe_load((PROJECT / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    values["taxonomy"]["questions_per_step"] = 1
    for name, default in Config.model_fields["prompts"].default.model_dump().items():
        values["prompts"][name] = str(PROJECT / values["prompts"].get(name, default))
    return values


@cache
def place_of(key: str) -> str:
    section = next((section for section in NAMED if key.startswith(f"{section}.")), "")
    return (NAMED[section] + key.removeprefix(section)) if section else key


def before_of(key: str) -> dict[str, Any]:
    section = key.rpartition(".")[0]
    return {**BEFORE.get(section, {}), **BEFORE.get(key, {}), **ALREADY.get(key, {})}


def another(key: str, config: Config) -> Any:
    """A value that the key does not have."""
    if key in ENUMS:
        return ENUMS[key]
    value: Any = config.model_dump(mode="json")
    for name in place_of(key).split("."):
        value = value[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.9 if value else 0.1
    if isinstance(value, str):
        return value + "_"
    return [*value, value[-1]] if value else 1


def change_of(key: str, values: dict[str, Any], folder: Path) -> dict[str, Any]:
    if key in AFTER:
        return AFTER[key]
    if key.startswith("prompts."):
        prompt = folder / f"{key}.txt"
        prompt.write_text(Path(values["prompts"][key.partition(".")[2]]).read_text("utf-8") + " ", encoding="utf-8")
        return {key: str(prompt)}
    if key.endswith((".subjects", ".levels")):
        return {place_of(key): ["one"]}
    return {place_of(key): another(key, validate(values, "before"))}


@cache
def settings(config_of: str, folder: Path) -> dict[Any, tuple[Any, Any]]:
    """Of every job of a configuration, as JSON."""
    config = validate(json.loads(config_of), "made.yaml")
    jobs = [job for job in Plan(config).jobs if job.rule != "all"]
    return {job: settings_of(config, *job)[0] for job in jobs}


def due_after(before: dict[str, Any], after: dict[str, Any], folder: Path) -> set[Job]:
    """The jobs that both configurations have and that other settings decide."""
    old, new = (settings(json.dumps(values), folder) for values in (before, after))
    return {job for job in old.keys() & new.keys() if old[job] != new[job]}


@pytest.mark.parametrize("key", KEYS)
def test_a_changed_key_makes_due_what_the_table_says(key, smallest, folder):
    before = with_changes(smallest, before_of(key), folder)
    after = with_changes(before, change_of(key, before, folder), folder)
    assert before != after
    jobs, effect, place = due_after(before, after, folder), effect_of(key), re.sub(r" \(.*?\)", "", key)
    if place.startswith("pools."):
        # A data set had to be changed with it.
        jobs = {
            job
            for job in jobs
            if not hasattr(job.item, "dataset") and getattr(job.item, "pool", "curated") == "curated"
        }
    due = {job.rule for job in jobs}
    stages = due - set(REPORTING)
    assert stages <= set(effect.stages)
    if effect.speed or place == "models.<name>.path" or place in FILES[:4]:
        # A path alone decides nothing, and neither does what only makes it faster.
        assert due == set()
        return
    assert due & set(REPORTING) == (set() if place in FILES else set(REPORTING))
    if effect.wiring:
        return
    read = set(effect.stages) & possible(after, key)
    if place not in CHANGES:
        assert stages == read
    # What a training is, and so whether one that is not finished goes on, are its settings.
    assert stages.isdisjoint(TRAININGS) == read.isdisjoint(TRAININGS)


def possible(values: dict[str, Any], key: str) -> set[str]:
    """The stages that the key can make due in this configuration: a local judge alone reads a model."""
    rules = {job.rule for job in Plan(validate(values, "made.yaml")).jobs}
    if key.startswith(("models.", "generation.")) and values["taxonomy"]["judge"]["kind"] != "local":
        rules -= JUDGES if key.startswith("models.") else set()
    if key in ("models.<name>.source", "models.<name>.revision", "models.<name>.pretrain_steps"):
        # Of the judge's model only.
        rules -= {*JUDGES, "train_soar"}
    return rules


OWN = {
    "objectives.grounded_no_promotion.reward": ("<folder>/{}.py:same", {"train_soar"}),
    "datasets.shuffles.verifier": (
        {"file": "<folder>/{}.py", "function": "same"},
        set(effect_of("datasets.<name>.verifier").stages),
    ),
}


@pytest.mark.parametrize("key", OWN)
def test_a_file_of_ones_own_counts_by_what_it_holds(key, smallest, folder):
    value, stages = OWN[key]

    def naming(file: str) -> dict[str, Any]:
        return with_changes(
            smallest, {"arms.curated": None, key: json.loads(json.dumps(value).replace("{}", file))}, folder
        )

    assert due_after(naming("same"), naming("moved"), folder) == set()
    assert {job.rule for job in due_after(naming("same"), naming("edited"), folder)} == stages
