"""The pool of a data set: problems from one adapter per kind of source (docs/data.md)."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import ConfigError, PoolConfig
from soar_pipeline.problems import harp
from soar_pipeline.problems.files import file_rows
from soar_pipeline.problems.gym import gym_problems
from soar_pipeline.problems.hub import hub_rows
from soar_pipeline.problems.math import math_problem
from soar_pipeline.problems.olympiadbench import olympiadbench_problem
from soar_pipeline.problems.plain import plain_problem
from soar_pipeline.problems.rows import Pool, Problem, Row, problems_in
from soar_pipeline.problems.toy_task import shuffle_problems
from soar_pipeline.runtime import derive


@dataclass(frozen=True)
class Adapter:
    """Reads one row of a source: raises ArtifactError if it is malformed, LeftOut if it is not to be used.

    `id_fields` together identify a row; their values must stay the same from one version of the source to the next.
    """

    problem_of: Callable[[Row], Problem]
    id_fields: tuple[str, ...] = ("id",)


# By the adapter's name in the configuration; digit_shuffles and reasoning_gym have no rows to read.
ADAPTERS = {
    "harp": Adapter(harp.harp_problem, harp.ID_FIELDS),
    "math": Adapter(math_problem),
    "olympiadbench": Adapter(olympiadbench_problem),
    "plain": Adapter(plain_problem),
}


def load_problems(name: str, dataset: PoolConfig) -> Pool:
    """The pool, in the order of the source.

    A problem is kept if its subject and its level are among those wanted, then `limit` of them. Case, a leading
    "Level", "&" for "and" and "_" for a space make no difference: `level: "1"` means "Level 1".
    Raises ArtifactError for a malformed source or an empty pool, ConfigError for a subject or level of no problem.
    """
    pool = _made(name, dataset)
    source = source_of(dataset)
    if not pool.problems:
        reasons = "; ".join(f"{len(ids)} left out: {reason}" for reason, ids in pool.left_out.items())
        raise ArtifactError(f"{source}: holds no problem{f' ({reasons})' if reasons else ''}")
    for field, wanted in (("subject", dataset.subjects), ("level", dataset.levels)):
        if wanted is not None:
            present = {getattr(problem, field) for problem in pool.problems}
            _refuse_unknown(f"datasets.{name}.{field}s", wanted, present, source)
    kept = [
        problem
        for problem in pool.problems
        if _wanted(problem.subject, dataset.subjects) and _wanted(problem.level, dataset.levels)
    ]
    if not kept:
        raise ArtifactError(
            f"{source}: no problem is of datasets.{name}.subjects and datasets.{name}.levels at once; widen one of them"
        )
    return replace(pool, problems=_limited(kept, dataset))


def _limited(problems: list[Problem], dataset: PoolConfig) -> list[Problem]:
    if dataset.limit is None or dataset.limit >= len(problems):
        return problems
    if dataset.limit_rows == "first":
        return problems[: dataset.limit]
    places = random.Random(derive(dataset.world_seed, "limit")).sample(range(len(problems)), dataset.limit)
    return [problems[place] for place in sorted(places)]


def check_solutions(name: str, dataset: PoolConfig) -> None:
    """ConfigError if no problem of a local source has a worked solution, which hints are made of.

    What lies on the hub is not looked at: a run may be planned without a network.
    """
    if dataset.hub is None and not any(problem.solution for problem in _made(name, dataset).problems):
        raise ConfigError(
            f"datasets.{name}: no problem of {source_of(dataset)} has a worked solution, which arms with `hints` need; "
            "name other data sets in arms.<name>.datasets"
        )


def _made(name: str, dataset: PoolConfig) -> Pool:
    if dataset.adapter == "digit_shuffles":
        return Pool(shuffle_problems(dataset))
    return Pool(gym_problems(name, dataset)) if dataset.adapter == "reasoning_gym" else _read(dataset)


def source_of(dataset: PoolConfig) -> str:
    """What the problems come from, for messages."""
    if dataset.hub:
        return "/".join(filter(None, (dataset.hub, dataset.subset, dataset.split)))
    return dataset.path or dataset.adapter


def _read(dataset: PoolConfig) -> Pool:
    adapter, source = ADAPTERS[dataset.adapter], source_of(dataset)
    numbered = hub_rows(dataset) if dataset.hub else file_rows(Path(dataset.path), dataset.sha256)
    if dataset.rows is not None and len(numbered) != dataset.rows:
        raise ArtifactError(
            f"{source}: holds {len(numbered)} rows, but `rows` of the data set is {dataset.rows}; get it again or "
            "correct `rows`"
        )
    rows = (Row(source, number, values, adapter.id_fields) for number, values in numbered)
    return problems_in(rows, adapter.problem_of)


def _wanted(value: str | None, wanted: tuple[str, ...] | None) -> bool:
    return wanted is None or _plain(value) in map(_plain, wanted)


def _refuse_unknown(key: str, wanted: tuple[str, ...], present: set[str | None], source: str) -> None:
    known = {_plain(value) for value in present}
    unknown = [value for value in wanted if _plain(value) not in known]
    if unknown or not wanted:
        choices = ", ".join(sorted(value for value in present if value)) or "none at all"
        raise ConfigError(f"{key}: {', '.join(unknown) or 'empty'}: {source} has {choices}")


def _plain(value: str | None) -> str:
    words = (value or "").casefold().replace("&", " and ").replace("_", " ").split()
    return re.sub(r"^level ", "", " ".join(words))
