"""Writes what is generated from the configuration models: their JSON schema and the reference of every key.

python -m soar_pipeline.config.schema
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from soar_pipeline.config import Changes, Config
from soar_pipeline.config.reruns import table

Schema = dict[str, Any]

SCHEMA_FILE = Path("workflow/schemas/config.schema.json")
REFERENCE_FILE = Path("config/README.md")
CHANGES = Changes.__name__

REFERENCE_HEAD = """\
# Configuration

<!-- Written by `make schema` from the docstrings in soar_pipeline/config/, and from schema.py there: edit those. -->

One YAML file describes one run; its results lie in `results/<run>/`. It says only what differs from the defaults, which
are the paper's. A key that does not exist, a value of the wrong type and a combination that cannot run are refused
before anything starts, by one line that names file and key. A dry run (`--dry-run`) says which packages are missing.

A file that it names is looked for in the working directory, then beside the configuration, then in the project's
folder. It is checked before anything starts, too.

## Choosing a configuration

| command | what runs |
|---|---|
| `snakemake --cores all` | `config/config.yaml` |
| `snakemake --cores all --configfile config/smoke.yaml` | another file, instead of it |
| `snakemake --cores all --config seed=7 'seeds={teacher: 2}'` | the same, with single keys changed |
| `snakemake --cores 1 results/smoke/shuffles/hard.parquet --configfile config/smoke.yaml` | one file, what it needs |
| `python -m soar_pipeline.config config/smoke.yaml` | nothing: the file is checked |

Snakemake reads its command line and the YAML file before this project can. Three mistakes end in its own words:

- *Config file is not valid JSON or YAML*: the last command above names the line.
- *Invalid config definition* (for `--config seeds.teacher=2`, say): keys within a section are written as in the third
  command.
- *No such file or directory* with the name of a target: targets go before `--configfile`, which takes every word after
  it for a YAML file.

Give a changed configuration a `run` name of its own to keep the results of both. Within a run, a changed key reruns
the stages that depend on it and no other: the table at the end says which (docs/reruns.md says how that is decided).

## An arm is data

An arm is a row of the tables. This one trains a fresh student on 64 questions of the trained teacher, in mixed batches
of half the size; no code knows its name:

```yaml
arms:
  grounded_t_64:
    label: Grounded-T (64 questions)
    questions: {source: teacher, objective: soar, size: 64}
    student: {batch_size: 4}
    fresh_student: {steps: 800, mixing: mixed}
```

## An objective is data

An objective is a kind of SOAR run; arms name it. Its reward may be a function of your own (docs/teacher-rewards.md).
This one rewards the teacher as SOAR does, with a stricter promotion:

```yaml
objectives:
  strict:
    reward: grounded
    soar: {promotion_threshold: 0.02}
arms:
  strict_pq:
    label: SOAR-PQ (strict)
    questions: {source: promotions, objective: strict}
```

## Every key

`<name>` is a name of your choice: lower-case letters, digits, underscores. Places in the paper are those of arXiv
2601.18778 (the figures of its tables lie in `resources/paper/`); a key without one is this project's own.
"""


RERUNS_HEAD = """\
## What a changed key makes due

Due are the stages that read the key, then whatever is made from their files. Tables, figures and the report show the
configuration, so they are made anew after every change but one that makes nothing due. A training that is not finished
and is another one starts from its beginning; what it had reached is moved aside. `soar`, `student` and `fresh_student`
may stand in a data set, objective or arm: there a key makes due the same stages, of these jobs alone.

With `evaluation.keep_weights: false`, `evaluation.samples` and `evaluation.test_limit` make `train_fresh_student` and
`train_serl` due, too. A `path` of a model with `source: folder` is where its files lie: what they hold counts.
"""


def config_schema() -> Schema:
    """The JSON schema of a configuration; a description is one line, however its docstring is broken."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    for section in (schema, *schema["$defs"].values()):
        for key in section["properties"].values():
            if "description" in key:
                key["description"] = " ".join(key["description"].split())
    return schema


def reference() -> str:
    """The text of config/README.md: one table per section, a row per key."""
    schema = config_schema()
    parts = [REFERENCE_HEAD]
    for place, section in sections(schema, schema["$defs"]):
        required = section.get("required", ())
        plain = {key: value for key, value in section["properties"].items() if _has_row(value)}
        if plain:
            parts += [f"### {place}" if place else "### Top level", "", section["description"], ""]
            parts += ["| key | type | default | meaning | paper |", "|---|---|---|---|---|"]
            parts += [_row(key, value, key in required) for key, value in plain.items()] + [""]
    return "\n".join([*parts, RERUNS_HEAD, *table(keys_by_section()), ""])


def keys_by_section() -> Iterator[tuple[str, list[str]]]:
    """The place of each section, and its keys that have a row."""
    schema = config_schema()
    for place, section in sections(schema, schema["$defs"]):
        if keys := [key for key, value in section["properties"].items() if _has_row(value)]:
            yield place, keys


def sections(section: Schema, definitions: Schema, place: str = "") -> Iterator[tuple[str, Schema]]:
    """The section, then all that lie in it, each with its place such as `arms.<name>.questions`."""
    yield place, section
    for key, value in section["properties"].items():
        for name, suffix in _held_sections(value):
            yield from sections(definitions[name], definitions, f"{place}.{key}{suffix}".lstrip("."))


def _has_row(value: Schema) -> bool:
    """Whether a key is not told of by the tables of its sections alone: it may hold a word in place of a section."""
    return not _held_sections(value) or any("enum" in option for option in value.get("anyOf", ()))


def _held_sections(value: Schema) -> list[tuple[str, str]]:
    """The models that a key may hold, each with what follows the key in its place; none if the value is plain.

    `.<name>` if it holds several by name, ` (source: teacher)` if a key of the model tells it from others.
    """
    named = [value.get("additionalProperties"), *value.get("patternProperties", {}).values()]
    held = [(option, "") for option in [value, *value.get("anyOf", ())]] + [(option, ".<name>") for option in named]
    models = []
    for option, suffix in held:
        if not isinstance(option, dict):
            continue
        if "$ref" in option and not _is_changes(option):
            models.append((_name(option["$ref"]), suffix))
        if tag := option.get("discriminator"):
            models += [(_name(ref), f" ({tag['propertyName']}: {kind})") for kind, ref in tag["mapping"].items()]
    return models


def _is_changes(value: Schema) -> bool:
    """Whether a key holds keys of a section that has its own table."""
    return value.get("$ref", "").endswith(CHANGES)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _row(key: str, value: Schema, required: bool) -> str:
    meaning, paper = re.fullmatch(r"(.*?)(?: \[([^][]*)\])?", value["description"]).groups()
    default = "required" if required else f"`{json.dumps(value['default'], ensure_ascii=False)}`"
    cells = (f"`{key}`", _kind(value), default.replace("`null`", "none"), meaning, paper or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(value: Schema) -> str:
    """The type and bounds of a plain value in words."""
    if "$ref" in value:
        return "mapping"
    if "anyOf" in value:
        return " or ".join(_kind(option) for option in value["anyOf"])
    if "enum" in value:
        return ", ".join(f"`{option}`" for option in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if value["type"] == "array":
        return f"list of {_kind(value['items'])}"
    words = {"string": "text", "null": "none", "object": "mapping", "boolean": "true or false"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {value[bound]:.15g}" for bound, sign in bounds.items() if bound in value]
    return " ".join((words.get(value["type"], value["type"]), ", ".join(limits))).strip()


def generated_files() -> dict[Path, str]:
    """Every generated file (path relative to the project) with its text."""
    return {
        SCHEMA_FILE: json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n",
        REFERENCE_FILE: reference(),
    }


if __name__ == "__main__":
    for path, text in generated_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
