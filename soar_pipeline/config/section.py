"""What every section of a configuration is: a frozen model that knows its keys."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

NAME = r"^[a-z0-9][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
# What NumPy and torch take as a seed.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
# How many seeds: far above any experiment, far below what a slip of the keyboard asks for.
SeedCount = Annotated[int, Field(ge=1, le=1000)]

# Keys that had another name once, and their name today.
RENAMED = {"length_parts": "length_buckets"}


class ConfigError(ValueError):
    """A configuration that cannot run; the message names file and key."""


class Section(BaseModel):
    """Keys with their defaults; the text under a key is its description, in config/README.md too."""

    # No infinity or NaN from a typo in YAML (`.inf`): a training would end in nothing, hours later.
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def readable(error: ValidationError) -> str:
    """Pydantic's errors as `key: what is wrong`, joined by semicolons."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        lines.append(f"{key}: {_reason(item)}" if key else _reason(item))
    return "; ".join(lines)


def _reason(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        new_name = RENAMED.get(item["loc"][-1])
        return f"this key is called `{new_name}` now" if new_name else "there is no such key"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return item["msg"]
