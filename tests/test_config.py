"""Configurations that cannot run are refused by one message that names file and key."""

import copy
import json
import re

import jsonschema
import pytest
import yaml

from soar_pipeline import schema
from soar_pipeline.config import ConfigError, load, validate

MINIMAL = {
    "datasets": {"pool": {"adapter": "plain", "path": "pool.jsonl"}},
    "objectives": {"soar": {}, "intrinsic": {"reward": "learnability", "promotion": False}},
    "arms": {
        "hard_only": {"label": "Hard-Only"},
        "soar_pq": {"label": "SOAR-PQ", "questions": {"source": "promotions", "objective": "soar"}},
        "soar_ps": {"label": "SOAR-PS", "policy": "promoted_student", "objective": "soar"},
    },
}


def with_change(key: str, value: object) -> dict:
    """MINIMAL with the value at a dotted key replaced."""
    values = copy.deepcopy(MINIMAL)
    *path, last = key.split(".")
    place = values
    for part in path:
        place = place.setdefault(part, {})
    place[last] = value
    return values


def refusal(tmp_path, values: object) -> str:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_the_unchanged_values_are_accepted():
    assert validate(MINIMAL, "here").soar.outer_steps == 200


TYPOS_AND_TYPES = {
    "sour": {},
    "soar.outer_step": 3,
    "arms.hard_only.stepz": 3,
    "datasets.pool.pth": "x",
    "soar.outer_steps": "many",
    "student.learning_rate": [1],
    "filter.rounds": 8,
    "filter.keep_all": "perhaps",
    "models.base.source": "internet",
    "objectives.soar.reward": "mine:reward",
    "tracking.report_to": ["paper"],
    "soar.datasets": 1,
    "student.group_size": 1,
    "generation.temperature": 0,
    "generation.batch_size": 0,
    "fresh_student.checkpoint.slope_fraction": 1.5,
    "run": "../elsewhere",
    "arms": {},
}


@pytest.mark.parametrize("key", TYPOS_AND_TYPES)
def test_typo_wrong_type_or_value_out_of_bounds_names_the_key(tmp_path, key):
    message = refusal(tmp_path, with_change(key, TYPOS_AND_TYPES[key]))
    assert re.match(rf"{re.escape(key)}(\.\d+)?: ", message)


COMBINATIONS = [
    ("datasets.pool", {"adapter": "plain"}, "datasets.pool", "needs `path`"),
    ("datasets.pool", {"adapter": "digit_shuffles", "size": 3}, "datasets.pool", "needs `difficulties` and `size`"),
    ("objectives.intrinsic.promotion", True, "objectives.intrinsic", "nothing to promote"),
    ("objectives.other", {"reward": "r_zero"}, "objectives.other", "nothing to promote"),
    ("objectives.other", {"reward": "absolute_zero"}, "objectives.other", "nothing to promote"),
    ("objectives.soar.reward", "grounde", "objectives.soar.reward", "'grounde' is none of grounded, learnability"),
    ("objectives.soar.reward", "mine.py", "objectives.soar.reward", "no `<file>.py:<function>`"),
    ("objectives.soar.reward", "mine.py:a.b", "objectives.soar.reward", "no `<file>.py:<function>`"),
    ("objectives.soar.soar", {"outer_step": 3}, "objectives.soar.soar", "outer_step"),
    ("arms.soar_pq.questions", {"source": "promotions"}, "arms.soar_pq.questions.promotions.objective", "required"),
    (
        "arms.soar_pq.questions",
        {"source": "base_teacher", "objective": "soar"},
        "arms.soar_pq.questions.base_teacher.objective",
        "not permitted",
    ),
    ("arms.soar_pq.questions", {"source": "pool", "pool": "lake"}, "arms.soar_pq.questions.pool", "'lake' is not in"),
    (
        "arms.soar_pq.questions",
        {"source": "judged", "arm": "hard_only", "keep": "correct"},
        "arms.soar_pq.questions.arm",
        "no questions of its own",
    ),
    ("arms.hard_only.datasets", ["lake"], "arms.hard_only.datasets", "'lake' is not in `datasets`"),
    ("arms.hard_only.transfer_from", "pool", "arms.hard_only", "build on a SOAR run"),
    ("arms.soar_ps.transfer_from", "lake", "arms.soar_ps.transfer_from", "'lake' is not in `datasets`"),
    ("arms.hard_only.step", 5, "arms.hard_only", "`step` belongs to policy serl"),
    ("datasets.pool.model", "larger", "datasets.pool.model", "'larger' is not in `models`"),
    ("datasets.pool.fresh_student", {"step": 3}, "datasets.pool.fresh_student", "step"),
    ("pools", {"pool": {"adapter": "plain", "path": "x"}}, "pools", "names in `datasets` too"),
    ("arms.soar_ps.objective", None, "arms.soar_ps", "`objective` belongs to"),
    ("arms.hard_only.objective", "soar", "arms.hard_only", "`objective` belongs to"),
    ("arms.soar_ps.fresh_student", {"steps": 5}, "arms.soar_ps", "is no fresh student"),
    ("arms.soar_ps.objective", "sour", "arms.soar_ps", "'sour' is not in `objectives`"),
    ("arms.soar_ps.objective", "intrinsic", "arms.soar_ps", "has no promotions"),
    ("arms.soar_pq.questions.objective", "intrinsic", "arms.soar_pq", "has no promotions"),
    ("arms.hard_only.student", {"batch": 3}, "arms.hard_only.student", "batch"),
    ("report.baseline_arm", "nobody", "report", "'nobody' is not in `arms`"),
    ("report.headline_arms", ["nobody"], "report", "'nobody' is not in `arms`"),
    ("student.micro_batch_size", 3, "arms.hard_only: student.micro_batch_size", "does not divide the 256 rollouts"),
    ("teacher.micro_batch_size", 3, "objectives.intrinsic: teacher.micro_batch_size", "does not divide"),
    ("evaluation.samples", 7, "evaluation.samples", "must be one of"),
    ("fresh_student.steps", 10, "fresh_student.synthetic_steps", "more than fresh_student.steps"),
]


@pytest.mark.parametrize(("key", "value", "named", "reason"), COMBINATIONS)
def test_impossible_combination_names_the_key_and_the_reason(tmp_path, key, value, named, reason):
    message = refusal(tmp_path, with_change(key, value))
    assert named in message
    assert reason in message


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "run: !!python/name:os.system", "a: [1"])
def test_yaml_that_is_broken_or_would_make_python_objects_is_refused(tmp_path, text):
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as YAML") as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_file_that_is_absent_or_no_mapping_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load(tmp_path / "absent.yaml")
    assert "mapping" in refusal(tmp_path, ["run"])


def test_all_mistakes_are_told_at_once(tmp_path):
    message = refusal(tmp_path, MINIMAL | {"sour": 1, "seed": "x"})
    assert "sour: " in message
    assert "seed: " in message


def test_differences_of_an_objective_and_an_arm_are_merged_into_their_sections():
    values = with_change("objectives.soar.soar", {"outer_steps": 3})
    values["arms"]["hard_only"]["student"] = {"group_size": 128}
    config = validate(values, "here")
    assert (config.soar_of("pool", "soar").outer_steps, config.soar_of("pool", "intrinsic").outer_steps) == (3, 200)
    assert (config.student_of("hard_only").group_size, config.student_of("soar_pq").group_size) == (128, 32)


def test_every_shipped_configuration_loads(project):
    shipped = sorted((project / "config").glob("*.yaml"))
    assert "config.yaml" in [file.name for file in shipped]
    runs = [load(file).run for file in shipped]
    assert len(set(runs)) == len(runs), "two shipped configurations would write into the same folder"


@pytest.mark.parametrize("path", schema.generated_files(), ids=str)
def test_generated_file_is_current(project, path):
    assert (project / path).read_text(encoding="utf-8") == schema.generated_files()[path], "run `make schema`"


def _kinds(key: dict) -> int:
    unions = [option["discriminator"]["mapping"] for option in key.get("anyOf", ()) if "discriminator" in option]
    return max(1, sum(map(len, unions)))


def test_every_key_is_a_section_or_a_row_with_a_meaning():
    whole = schema.config_schema()
    keys = [value for _, section in schema.sections(whole, whole["$defs"]) for value in section["properties"].values()]
    headings = re.findall(r"^### [^T]", schema.reference(), flags=re.MULTILINE)
    meanings = re.findall(r"^\| `\w+` \| [^|]+ \| [^|]+ \| (\S.*) \| [^|]*\|$", schema.reference(), flags=re.MULTILINE)
    # A key that holds one of several kinds of section has a heading for each.
    assert len(headings) + len(meanings) == sum(_kinds(key) for key in keys)


def test_reference_examples_are_valid():
    examples = re.findall(r"^```yaml\n(.*?)^```", schema.reference(), flags=re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    for example in map(yaml.safe_load, examples):
        merged = {key: MINIMAL[key] | example.get(key, {}) for key in MINIMAL}
        assert set(example["arms"]) <= set(validate(merged, "config/README.md").arms)


def test_json_schema_refuses_what_the_models_refuse():
    # Snakemake's own validation (jsonschema) and editors read this file.
    check = jsonschema.Draft202012Validator(json.loads(json.dumps(schema.config_schema())))
    assert check.is_valid(MINIMAL)
    for key, value in TYPOS_AND_TYPES.items():
        assert not check.is_valid(with_change(key, value)), key
