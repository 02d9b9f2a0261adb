"""Reads a configuration: one YAML file, or values that somebody else has read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from soar_pipeline.config.run import Config
from soar_pipeline.config.section import ConfigError, readable


def load(path: Path) -> Config:
    """The configuration in one YAML file; ConfigError names the file and the key."""
    return validate(read_yaml(path), str(path))


def validate(values: dict[str, Any], source: str) -> Config:
    """The configuration held by a mapping; ConfigError names `source` and the key."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {readable(error)}") from None
    if misread := list(_misread(values, config.model_dump())):
        raise ConfigError(f"{source}: {'; '.join(misread)}")
    return config


def _misread(written: Any, read: Any, key: str = "") -> Iterator[str]:
    """What pydantic takes for something else: `true` for the number 1, and 1, "on" and "y" for true."""
    if isinstance(written, dict):
        for name, value in written.items():
            yield from _misread(value, read[name], f"{key}.{name}".lstrip("."))
    elif isinstance(written, list | tuple):
        for place, (value, item) in enumerate(zip(written, read, strict=True)):
            yield from _misread(value, item, f"{key}.{place}")
    elif isinstance(written, bool) and not isinstance(read, bool):
        yield f"{key}: must be a number, not {str(written).lower()}"
    # Within a section that `--config` changes, Snakemake leaves every value a text.
    elif isinstance(read, bool) and not isinstance(written, bool) and written not in ("true", "false"):
        yield f"{key}: must be true or false, not {written!r}"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, of plain values only; ConfigError names the file, and the line if there is one."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(f"{error.context or ''} {error.problem}".split())
        raise ConfigError(f"{path}{line}: cannot be read as YAML: {problem}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    # ValueError: not UTF-8, or a date that does not exist; RecursionError: thousands of nested brackets.
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must be a mapping of sections")
    return values


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which would keep the last of two equal keys and not say so."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                first = lines[key.tag, key.value]
                raise yaml.MarkedYAMLError(
                    problem=f"the key `{key.value}` stands in line {first} already", problem_mark=key.start_mark
                )
            lines[key.tag, key.value] = line
        return node
