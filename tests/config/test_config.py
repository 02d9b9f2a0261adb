"""Configurations that cannot run are refused by one message that names file and key."""

import copy
import json
import pickle
import re

import jsonschema
import pytest
import yaml
from minimal_config import MINIMAL

from soar_pipeline.config import CheckpointRule, Config, ConfigError, Plan, load, read_yaml, schema, validate


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
    "seed": -1,
    "seeds.teacher": 10**6,
    "results": "",
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
    (
        "objectives.soar.reward",
        "grounde",
        "objectives.soar.reward",
        "'grounde' is neither one of grounded, learnability",
    ),
    ("objectives.soar.reward", "mine.py", "objectives.soar.reward", "nor a `<file>.py:<function>`"),
    ("objectives.soar.reward", "mine.py:a.b", "objectives.soar.reward", "nor a `<file>.py:<function>`"),
    ("objectives.soar.soar", {"outer_step": 3}, "objectives.soar.soar", "outer_step"),
    (
        "objectives.soar.soar",
        {"sampled_teacher_step": 300},
        "objectives.soar.soar",
        "300 is more than outer_steps, 200",
    ),
    ("arms.soar_pq.questions", {"source": "promotions"}, "arms.soar_pq.questions.promotions.objective", "required"),
    (
        "arms.soar_pq.questions",
        {"source": "base_teacher", "objective": "soar"},
        "arms.soar_pq.questions.base_teacher.objective",
        "no such key",
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
    ("arms.soar_ps.fresh_student", {"steps": 5}, "arms.soar_ps", "is not a fresh student"),
    ("arms.soar_ps.fresh_student_on", {"pool": {}}, "arms.soar_ps", "is not a fresh student"),
    (
        "arms.hard_only.fresh_student_on",
        {"lake": {}},
        "arms.hard_only.fresh_student_on",
        "'lake' is not one of the arm's",
    ),
    ("arms.soar_ps.objective", "sour", "arms.soar_ps", "'sour' is not in `objectives`"),
    ("arms.soar_ps.objective", "intrinsic", "arms.soar_ps", "has no promotions"),
    ("arms.soar_pq.questions.objective", "intrinsic", "arms.soar_pq", "has no promotions"),
    ("arms.hard_only.student", {"batch": 3}, "arms.hard_only.student", "batch"),
    ("report.baseline_arm", "nobody", "report.baseline_arm", "'nobody' is not in `arms`"),
    ("report.headline_arms", ["nobody"], "report.headline_arms", "'nobody' is not in `arms`"),
    ("student.micro_batch_size", 3, "student.micro_batch_size", "3 does not divide the 256 rollouts of a step"),
    ("arms.hard_only.student", {"micro_batch_size": 3}, "arms.hard_only.student.micro_batch_size", "does not divide"),
    ("arms.hard_only.student", {"batch_size": 0}, "arms.hard_only.student.batch_size", "greater than"),
    ("teacher.micro_batch_size", 3, "teacher.micro_batch_size", "rollouts of an outer step of objectives."),
    ("student", {"pass_tokens": 9, "length_buckets": 2}, "student", "pass_tokens: takes the place of length_buckets"),
    ("evaluation.samples", 7, "evaluation.samples", "must be one of"),
    ("datasets.pool.limit", 20, "soar.reward_questions", "64 is more than train can have of datasets.pool"),
    ("datasets.pool.rows", 9, "student.batch_size", "8 is more than train can have of datasets.pool"),
    ("fresh_student.steps", 10, "fresh_student.synthetic_steps", "64 is more than fresh_student.steps, 10"),
    (
        "arms.hard_only.fresh_student",
        {"steps": 9},
        "fresh_student.synthetic_steps",
        "arms.hard_only.fresh_student.steps",
    ),
    ("fresh_student.schedule_steps", 1000, "fresh_student.schedule_steps", "less than fresh_student.steps, 1500"),
    ("fresh_student.checkpoint", {"slope_distance": 800}, "fresh_student.checkpoint.slope_distance", "no two slopes"),
    ("fresh_student.checkpoint", {"rule": "fixed", "step": 2000}, "fresh_student.checkpoint.step", "2000 is more than"),
    ("fresh_student.checkpoint", {"rule": "fixed", "step": 75}, "fresh_student.checkpoint.step", "no evaluation after"),
    (
        "datasets.pool.fresh_student",
        {"checkpoint": {"rule": "fixed"}, "evaluate_every": 40},
        "fresh_student.checkpoint.step",
        "only every 40 steps (datasets.pool.fresh_student.evaluate_every)",
    ),
    ("arms.hard_only.label", "SOAR-PQ", "arms.soar_pq.label", "the label of arms.hard_only too"),
    ("arms.serl", {"label": "Another"}, "arms.serl", "only an arm of policy serl may have it"),
    ("arms.soar_ps.transfer_from", "pool", "arms.soar_ps.transfer_from", "one of the data sets"),
    ("arms.soar_pq.questions", {"source": "pool", "pool": "x"}, "arms.soar_pq", "not in `pools` or `datasets`; there"),
    ("results", "~/runs", "results", "not expanded"),
    ("results", "r{x}", "results", "braces"),
]


@pytest.mark.parametrize(("key", "value", "named", "reason"), COMBINATIONS)
def test_impossible_combination_names_the_key_and_the_reason(tmp_path, key, value, named, reason):
    message = refusal(tmp_path, with_change(key, value))
    assert named in message
    assert reason in message


@pytest.mark.parametrize("place", ["student", "arms.hard_only.student"])
@pytest.mark.parametrize(("key", "value"), [("offload_moments", True), ("pass_tokens", 64)])
def test_no_arm_with_sharded_students_may_pass_or_offload_as_one_device_does(project, place, key, value):
    values = read_yaml(project / "config" / "smoke.yaml")
    values["student"]["length_buckets"] = 1
    values["generation"]["segment_tokens"] = None
    values["resources"] = {"train_fresh_student": {"gpu": 2, "sharding": "full"}}
    validate(values, "made.yaml")
    section = values["student"] if place == "student" else values["arms"]["hard_only"].setdefault("student", {})
    section[key] = value
    with pytest.raises(ConfigError, match=rf"resources\.train_fresh_student\.sharding: .*{re.escape(place)}\.{key}"):
        validate(values, "made.yaml")


@pytest.mark.parametrize("section", ["student", "teacher", "serl", "arms.hard_only.student"])
def test_a_key_that_was_renamed_is_refused_by_its_new_name(tmp_path, section):
    message = refusal(tmp_path, with_change(f"{section}.length_parts", 2))
    assert message == f"{section}.length_parts: this key is called `length_buckets` now"


MISREAD = {
    "soar.outer_steps": (True, "must be a number, not true"),
    "student.learning_rate": (True, "must be a number, not true"),
    "objectives.soar.soar.outer_steps": (True, "must be a number, not true"),
    "filter.rounds.1": ([8, True], "must be a number, not true"),
    "filter.keep_all": (1, "must be true or false, not 1"),
    "objectives.soar.promotion": ("on", "must be true or false, not 'on'"),
}


@pytest.mark.parametrize("key", MISREAD)
def test_a_number_is_not_true_and_true_is_not_a_number(tmp_path, key):
    value, reason = MISREAD[key]
    assert refusal(tmp_path, with_change(key.removesuffix(".1"), value)) == f"{key}: {reason}"


def test_texts_that_snakemake_makes_of_numbers_on_the_command_line_are_read():
    # `--config 'soar={outer_steps: 3}' 'filter={keep_all: true}'`
    values = MINIMAL | {"soar": {"outer_steps": "3"}, "filter": {"keep_all": "true"}}
    config = validate(values, "here")
    assert (config.soar.outer_steps, config.filter.keep_all) == (3, True)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("run: x\nseeds:\n\tteacher: 3\n", 3, "cannot start any token"),
        ("run: x\narms: [1\nseed: 3\n", 3, "but got ':'"),
        ("run: x\nseed: 1\nrun: y\n", 3, "the key `run` stands in line 1 already"),
        ("arms:\n  a: {label: A}\n  b: {label: B}\n  a: {label: C}\n", 4, "the key `a` stands in line 2 already"),
        ("arms:\n  a: {label: A, label: B}\n", 2, "the key `label` stands in line 2 already"),
    ],
)
def test_broken_yaml_and_a_key_that_stands_twice_are_refused_by_line(tmp_path, text, line, reason):
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}, line {line}: cannot be read as YAML: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_merged_key_may_be_overridden(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", encoding="utf-8")
    assert read_yaml(file)["b"] == {"x": 3, "y": 2}


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
    values["fresh_student"] = {"batch_size": 4, "group_size": 16, "warmup_steps": 5}
    config = validate(values, "here")
    assert (config.soar_of("pool", "soar").outer_steps, config.soar_of("pool", "intrinsic").outer_steps) == (3, 200)
    hard_only, soar_pq = (config.student_of(arm, "pool") for arm in ("hard_only", "soar_pq"))
    assert (hard_only.batch_size, hard_only.group_size, hard_only.warmup_steps) == (4, 128, 5)
    assert (soar_pq.batch_size, soar_pq.group_size, soar_pq.warmup_steps) == (4, 16, 5)
    # Of the inner loop's students nothing changes.
    assert (config.student.batch_size, config.student.group_size, config.student.warmup_steps) == (8, 32, 0)


def test_a_configuration_can_be_sent_to_another_process():
    values = with_change("datasets.pool.fresh_student", {"checkpoint": {"rule": "fixed"}})
    values["objectives"]["soar"]["soar"] = {"outer_steps": 3}
    config = validate(values, "here")
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_section_within_a_section_differs_key_by_key_and_the_arm_wins():
    values = with_change("datasets.pool.fresh_student", {"checkpoint": {"rule": "fixed", "step": 100}, "steps": 200})
    values["arms"]["hard_only"]["fresh_student"] = {"checkpoint": {"window": 0}, "steps": 100}
    fresh = validate(values, "here").fresh_student_of("hard_only", "pool")
    assert (fresh.steps, fresh.checkpoint) == (100, CheckpointRule(rule="fixed", step=100, window=0))


def test_an_arm_may_differ_on_one_data_set_alone():
    values = with_change("datasets.pool.fresh_student", {"warmup_steps": 7})
    values["datasets"]["lake"] = {"adapter": "plain", "path": "lake.jsonl"}
    values["arms"]["soar_pq"] |= {
        "fresh_student": {"warmup_steps": 20},
        "fresh_student_on": {"pool": {"warmup_steps": 0}},
    }
    config = validate(values, "here")
    warmup = {name: config.fresh_student_of("soar_pq", name).warmup_steps for name in config.datasets}
    assert warmup == {"pool": 0, "lake": 20}
    assert config.fresh_student_of("hard_only", "pool").warmup_steps == 7


def test_synthetic_steps_limit_nothing_where_questions_are_mixed():
    values = with_change(
        "datasets.pool.fresh_student", {"mixing": "mixed", "steps": 50, "checkpoint": {"rule": "fixed"}}
    )
    assert validate(values, "here").fresh_student_of("soar_pq", "pool").synthetic_steps == 64


def test_real_questions_are_drawn_as_often_as_their_arm_says():
    real = {"label": "Real", "questions": {"source": "pool", "pool": "pool", "size": 8}}
    often = real | {"label": "Often", "teacher_seeds": 3, "student_seeds": 1}
    config = validate(MINIMAL | {"arms": MINIMAL["arms"] | {"real": real, "often": often}}, "here")
    plan = Plan(config)
    assert [plan.teacher_seeds(name) for name in ("real", "often")] == [[0], [1, 2, 3]]
    assert [run[2:] for run in plan.fresh_students if run.arm == "often"] == [(1, 1), (2, 1), (3, 1)]


def test_a_difference_may_be_that_there_is_none():
    values = with_change("fresh_student.lora_rank", 8)
    values["arms"]["hard_only"]["fresh_student"] = {"lora_rank": None}
    config = validate(values, "here")
    assert config.fresh_student_of("hard_only", "pool").lora_rank is None
    assert config.fresh_student_of("soar_pq", "pool").lora_rank == 8


def test_a_configuration_written_as_json_is_the_same_again(project):
    # A stage's record of its configuration keeps which keys differ, and only these.
    config = load(project / "config" / "paper.yaml")
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert config.model_dump()["datasets"]["harp"]["soar"] == {"sampled_teacher_step": 170}


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
    # A key that may hold a word in place of a section has a row, too.
    word = any("enum" in option for option in key.get("anyOf", ())) and any("$ref" in it for it in key["anyOf"])
    return max(1, sum(map(len, unions))) + word


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
