"""The pool of a data set: rows of PROBLEMS from one adapter per kind of source."""

import re
from collections.abc import Callable
from typing import Any

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import ConfigError, DatasetConfig
from soar_pipeline.problems.embedded import shuffle_problems
from soar_pipeline.problems.math import math_problems
from soar_pipeline.problems.plain import plain_problems
from soar_pipeline.problems.rows import Problem

# An adapter gives every problem of its source, with ids that are unique and stay the same.
ADAPTERS: dict[str, Callable[[DatasetConfig], list[Problem]]] = {
    "digit_shuffles": shuffle_problems,
    "math": math_problems,
    "plain": plain_problems,
}


def load_problems(name: str, dataset: DatasetConfig) -> list[dict[str, Any]]:
    """The pool as rows of PROBLEMS, in the order of the source.

    A row is kept if its subject and its level are among those wanted, then the first `limit` of them. Case, a
    leading "Level", "&" for "and" and "_" for a space make no difference: `level: "1"` means "Level 1".
    Raises ArtifactError for a malformed source or an empty pool, ConfigError for a subject or level of no row.
    """
    problems = ADAPTERS[dataset.adapter](dataset)
    source = dataset.path or dataset.adapter
    if not problems:
        raise ArtifactError(f"{source}: holds no problem")
    for field, wanted in (("subject", dataset.subjects), ("level", dataset.levels)):
        if wanted is not None:
            _refuse_unknown(f"datasets.{name}.{field}s", wanted, {problem[field] for problem in problems}, source)
    kept = [
        {**problem, "dataset": name}
        for problem in problems
        if _wanted(problem["subject"], dataset.subjects) and _wanted(problem["level"], dataset.levels)
    ]
    if not kept:
        raise ArtifactError(
            f"{source}: no problem is of datasets.{name}.subjects and datasets.{name}.levels at once; widen one of them"
        )
    return kept[: dataset.limit]


def _wanted(found: str | None, wanted: tuple[str, ...] | None) -> bool:
    return wanted is None or _plain(found) in map(_plain, wanted)


def _refuse_unknown(key: str, wanted: tuple[str, ...], present: set[str | None], source: str) -> None:
    known = {_plain(value) for value in present}
    unknown = [value for value in wanted if _plain(value) not in known]
    if unknown or not wanted:
        choices = ", ".join(sorted(value for value in present if value)) or "none at all"
        raise ConfigError(f"{key}: {', '.join(unknown) or 'empty'}: {source} has {choices}")


def _plain(value: str | None) -> str:
    words = (value or "").casefold().replace("&", " and ").replace("_", " ").split()
    return re.sub(r"^level ", "", " ".join(words))
