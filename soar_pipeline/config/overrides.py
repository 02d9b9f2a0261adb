"""Differences: some keys of a section that have other values for one data set, objective or arm."""

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError, create_model, model_serializer

from soar_pipeline.config.section import Section, readable

AnySection = TypeVar("AnySection", bound=Section)


class Changes(Section):
    """Keys of a section that differ in one place; a key that is not given is None here and is left as it is."""

    model_config = ConfigDict(validate_default=False, json_schema_extra=lambda schema: _without_defaults(schema))

    @model_serializer
    def given(self) -> dict[str, Any]:
        """The keys that are given, in the order of the section."""
        values = {key: getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set}
        return {key: value.given() if isinstance(value, Changes) else value for key, value in values.items()}


def _without_defaults(schema: dict[str, Any]) -> None:
    """A key that is not given keeps the value of its section, so the schema names no default."""
    for key in schema["properties"].values():
        key.pop("default", None)


@cache
def changes_of(section: type[Section]) -> type[Changes]:
    """The model of what may differ from `section`: the same keys, types and bounds, none of them required.

    Pickle looks it up beside the section: `FreshStudentConfig` needs `FreshStudentChanges = changes_of(...)`.
    """
    fields = {}
    for key, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            kind = changes_of(kind)
        fields[key] = Annotated[kind, *field.metadata, Field(description=field.description)], None
    name = section.__name__.removesuffix("Config") + "Changes"
    module = section.__module__
    return create_model(name, __base__=Changes, __module__=module, __doc__=section.__doc__, **fields)


def resolve(section: AnySection, *changes: tuple[str, Changes]) -> AnySection:
    """The section with changes, the last of which wins; each has its place, such as `arms.hard_only.student`.

    A section within a section changes key by key. Raises ValueError that names the place of the first change that
    makes an impossible section.
    """
    for place, change in changes:
        try:
            section = _changed(section, change)
        except ValidationError as error:
            raise ValueError(f"{place}: {readable(error)}") from None
    return section


def place_of(key: str, section: str, changes: Iterable[tuple[str, Changes]]) -> str:
    """Where the value of a section's key comes from, such as `fresh_student.steps` or `arms.x.fresh_student.steps`."""
    places = [section, *(place for place, change in changes if _gives(change, key))]
    return f"{places[-1]}.{key}"


def _gives(change: Changes, key: str) -> bool:
    first, _, within = key.partition(".")
    return first in change.model_fields_set and (not within or _gives(getattr(change, first), within))


def _changed(section: AnySection, change: Changes) -> AnySection:
    values = dict(section)
    for key in change.model_fields_set:
        value = getattr(change, key)
        values[key] = _changed(values[key], value) if isinstance(value, Changes) else value
    return type(section)(**values)
