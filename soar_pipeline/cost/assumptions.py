"""What an estimate is told: the machine, and what nobody knows before a run but its cost depends on."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from soar_pipeline.config import Config, ConfigError, PoolConfig, Section
from soar_pipeline.config.paths import find
from soar_pipeline.cost.speed import Engine

HARD_AT = 128  # samples, of which none solves a problem of the `hard_share`: the paper's


class Assumptions(Section, use_attribute_docstrings=True):
    """Each is an option of the command. What is not given is measured (a throughput file) or the default here."""

    base_length: float = Field(0.4, gt=0, le=1)
    """mean completion of the untrained model on a hard problem, share of the limit (a guess)"""
    student_length: float = Field(0.4, gt=0, le=1)
    """mean completion of a student in and after training, share of the limit (a guess)"""
    teacher_length: float = Field(0.4, gt=0, le=1)
    """mean completion of a teacher (a question), share of the limit (a guess)"""
    question_tokens: int = Field(100, ge=1)
    """tokens of a question (a guess); of the prompt around it: characters / 4"""
    acceptance: float = Field(0.5, gt=0, le=1)
    """share of a teacher's completions that are usable questions (a guess)"""
    promotions: int = Field(3, ge=0)
    """promotions per SOAR run with promotion, evenly spaced over it (the paper saw at most 4)"""
    serl_kept: float = Field(0.5, gt=0, le=1)
    """SeRL: share of its questions whose majority is neither too small nor too large (a guess)"""
    serl_list: float = Field(4, gt=0)
    """SeRL: usable questions of one continued list (a guess)"""
    solve_rate: float | None = Field(None, gt=0, lt=1)
    """mean solve rate of the base model (default: resources/throughput/pools.yaml)"""
    hard_share: float | None = Field(None, gt=0, lt=1)
    """share of a pool that 128 samples do not solve (default: as above)"""


class Options(Assumptions, use_attribute_docstrings=True):
    """The options of the command. What is not said of the machine follows from the configuration."""

    device: Literal["h100", "h200", "a100", "rtx4090", "cpu"] | None = None
    """whose stated figures are taken: h100, h200, a100, rtx4090 or cpu (default: h100 if a rule asks for GPUs)"""
    engine: Engine | None = None
    """transformers or vllm (default: generation.engine)"""
    gpus: int | None = Field(None, ge=1)
    """GPUs of the machine (default: those of the largest job)"""
    cores: int | None = Field(None, ge=1)
    """CPU cores (default: as here; with GPUs, enough)"""
    parameters: float | None = Field(None, gt=0)
    """parameters of a model whose size is not known"""


@lru_cache(maxsize=256)
def _concentration(mean: float, hard_share: float) -> float:
    """a + b of the Beta distribution; ConfigError if no Beta has such a mean and such a hard share."""
    if not (1 - mean) ** HARD_AT < hard_share < 1 - mean:
        raise ConfigError(
            f"solve rate {mean:g} and hard share {hard_share:g} exclude each other: the share of problems unsolved by "
            f"{HARD_AT} samples lies between {(1 - mean) ** HARD_AT:.3g} (all problems alike) and {1 - mean:.3g}; "
            "change --solve-rate or --hard-share"
        )
    # The share grows as the concentration falls, so bisect its logarithm.
    return math.exp(bisect(lambda c: _unsolved(mean, math.exp(c), HARD_AT) > hard_share, -20.0, 20.0))


def bisect(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """The number between `low` and `high` up to which `is_below` holds."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return high


def _unsolved(mean: float, concentration: float, k: int) -> float:
    # B(a, b + k) / B(a, b) as a product: differences of log-gammas of large numbers would lose their digits.
    return math.prod(((1 - mean) * concentration + i) / (concentration + i) for i in range(k))


@dataclass(frozen=True)
class ProblemPool:
    """A data set's problems, before and after the filter; their solve rates are Beta-distributed.

    solve_rate: the mean; None: nothing is ever solved. hard_share: unsolved by 128 samples. basis: of both figures.
    """

    problems: int
    solve_rate: float | None = None
    hard_share: float = 1.0
    keep_all: bool = False
    basis: str = ""

    def unsolved(self, k: int) -> float:
        """Expected share of problems that none of k samples solves: E[(1 − p)^k] = B(a, b + k) / B(a, b)."""
        if self.solve_rate is None:
            return 1.0
        return _unsolved(self.solve_rate, _concentration(self.solve_rate, self.hard_share), k)

    def attempts(self, rounds: tuple[int, ...]) -> float:
        """Expected attempts per problem: Σ rᵢ · (share unsolved before round i)."""
        return sum(samples * self.unsolved(sum(rounds[:i])) for i, samples in enumerate(rounds))

    def hard(self, rounds: tuple[int, ...]) -> float:
        """Expected survivors of the filter."""
        return self.problems * (1.0 if self.keep_all else self.unsolved(sum(rounds)))


def problem_pools(config: Config, project: Path, assumed: Assumptions, *, count: bool) -> dict[str, ProblemPool]:
    """Every data set's pool; `count`: in its file if it is here, even if the number is stated."""
    stated = yaml.safe_load(Path(find("resources/throughput/pools.yaml", project)).read_text(encoding="utf-8"))
    given = assumed.model_dump(include={"solve_rate", "hard_share"}, exclude_none=True)
    given, pools = given | ({"basis": "given"} if given else {}), {}
    for name, dataset in config.datasets.items():
        facts = stated.get(dataset.adapter) or stated.get(dataset.paper_table) or stated["other"]
        problems = _number_of_problems(name, dataset.pool, project, facts.get("problems") or dataset.rows, count)
        pools[name] = ProblemPool(**facts | given | {"problems": problems}, keep_all=config.filter.keep_all)
    return pools


def _number_of_problems(name: str, pool: PoolConfig, project: Path, stated: int | None, count: bool) -> int:
    if pool.path is None and pool.size:
        return min(pool.size, pool.limit or pool.size)
    for path in [Path(pool.path), project / pool.path] if pool.path and (count or not stated) else []:
        if path.is_file() and path.stat().st_size:
            from soar_pipeline.problems.sources import load_problems  # pyarrow takes longer to load than all else

            return len(load_problems("pool", pool.model_copy(update={"path": str(path)})).problems)
    if stated is None and pool.limit is None:
        raise ConfigError(
            f"datasets.{name}: {pool.path or pool.hub} is not on this machine, so its problems cannot be counted; put "
            f"it there, set datasets.{name}.limit or .rows, or name a paper_table whose pool size is known"
        )
    return min(filter(None, (stated, pool.limit)))
