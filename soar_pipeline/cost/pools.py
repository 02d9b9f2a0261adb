"""How many problems a pool has, how many of them the filter keeps, and how many attempts that takes."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import yaml

from soar_pipeline.config import Config, ConfigError, PoolConfig
from soar_pipeline.cost.assumptions import Assumptions
from soar_pipeline.located import find
from soar_pipeline.problems.sources import load_problems

# The k of the fail@k at which `hard_share` is stated: the paper's.
HARD_AT = 128


@dataclass(frozen=True)
class SolveRates:
    """Beta(a, b) over the problems of a pool: its mean is `mean`, and `hard_share` of it is unsolved by 128 samples.

    `mean` None: no problem is ever solved, the upper bound of the filter's cost.
    """

    mean: float | None = None
    hard_share: float = 1.0

    def unsolved(self, k: int) -> float:
        """Expected share of problems that none of k samples solves: E[(1 − p)^k] = B(a, b + k) / B(a, b)."""
        if self.mean is None:
            return 1.0
        return _unsolved(self.mean, _concentration(self.mean, self.hard_share), k)


@lru_cache(maxsize=256)
def _concentration(mean: float, hard_share: float) -> float:
    """a + b of the Beta distribution; ConfigError where no Beta has such a mean and such a hard share."""
    if not (1 - mean) ** HARD_AT < hard_share < 1 - mean:
        raise ConfigError(
            f"solve rate {mean:g} and hard share {hard_share:g} exclude each other: the share of problems unsolved by "
            f"{HARD_AT} samples lies between {(1 - mean) ** HARD_AT:.3g} (all problems alike) and {1 - mean:.3g}; "
            "change --solve-rate or --hard-share"
        )
    # The share grows as the concentration falls, so bisect its logarithm.
    low, high = -20.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _unsolved(mean, math.exp(middle), HARD_AT) > hard_share else (low, middle)
    return math.exp(low)


def _unsolved(mean: float, concentration: float, k: int) -> float:
    b = (1 - mean) * concentration
    # B(a, b + k) / B(a, b) as a product: differences of log-gammas of large numbers would lose their digits.
    return math.exp(sum(math.log((b + i) / (concentration + i)) for i in range(k)))


@dataclass(frozen=True)
class Pool:
    """A data set's problems, before and after the filter."""

    problems: int
    rates: SolveRates = field(default_factory=SolveRates)
    keep_all: bool = False

    def attempts(self, rounds: tuple[int, ...]) -> float:
        """Expected attempts per problem: Σ rᵢ · (share unsolved before round i)."""
        before = [0, *accumulate(rounds)]
        return sum(samples * self.rates.unsolved(drawn) for samples, drawn in zip(rounds, before, strict=False))

    def hard(self, rounds: tuple[int, ...]) -> float:
        """Expected survivors of the filter."""
        return self.problems * (1.0 if self.keep_all else self.rates.unsolved(sum(rounds)))


def pools_of(config: Config, project: Path, assumptions: Assumptions, *, upper: bool) -> dict[str, Pool]:
    """Every data set's pool; `upper`: as if the base model solved none of it."""
    return {name: _pool(config, name, project, assumptions, upper) for name in config.datasets}


def stated_facts(config: Config, name: str, project: Path) -> dict:
    """What resources/throughput/pools.yaml says of a data set's pool."""
    stated, dataset = _stated(project), config.datasets[name]
    return stated.get(dataset.adapter) or stated.get(dataset.paper_table) or stated["other"]


def _pool(config: Config, name: str, project: Path, assumptions: Assumptions, upper: bool) -> Pool:
    dataset, facts = config.datasets[name], stated_facts(config, name, project)
    mean, share = assumptions.solve_rate or facts["solve_rate"], assumptions.hard_share or facts["hard_share"]
    problems = _number_of_problems(name, dataset.pool, project, facts.get("problems") or dataset.rows)
    return Pool(problems, SolveRates() if upper else SolveRates(mean, share), config.filter.keep_all)


def _number_of_problems(name: str, pool: PoolConfig, project: Path, stated: int | None) -> int:
    """Counted in the local file, where there is one; else what is stated of the pool."""
    if pool.path is None and pool.size:
        return min(pool.size, pool.limit or pool.size)
    try:
        path = find(pool.path or "", project) if pool.path else None
    except FileNotFoundError:
        path = None
    if path and Path(path).is_file() and Path(path).stat().st_size:
        return _rows(pool.model_copy(update={"path": path}))
    if stated is None and pool.limit is None:
        raise ConfigError(
            f"datasets.{name}: {pool.path or pool.hub} is not on this machine, so its problems cannot be counted; put "
            f"it there, set datasets.{name}.limit or .rows, or name a paper_table whose pool size is known"
        )
    return min(filter(None, (stated, pool.limit)))


@lru_cache(maxsize=64)
def _rows(pool: PoolConfig) -> int:
    return len(load_problems("pool", pool).problems)


@lru_cache(maxsize=8)
def _stated(project: Path) -> dict[str, dict]:
    text = Path(find("resources/throughput/pools.yaml", project)).read_text(encoding="utf-8")
    return yaml.safe_load(text)
