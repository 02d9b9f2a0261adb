"""The toy task as a source of problems: a pool of digit shuffles, generated."""

import random
from itertools import cycle, islice

from soar_pipeline.config import ConfigError, PoolConfig
from soar_pipeline.problems.digit_shuffles import sample_distinct
from soar_pipeline.problems.rows import Problem


def shuffle_problems(dataset: PoolConfig) -> list[Problem]:
    """`size` different problems that cycle over `difficulties`; a larger pool begins with the smaller one."""
    difficulties = list(islice(cycle(dataset.difficulties), dataset.size))
    try:
        shuffles = sample_distinct(random.Random(dataset.world_seed), difficulties)
    except ValueError as error:
        raise ConfigError(f"difficulties: {error}") from None
    return [
        Problem(
            f"shuffle-{i:05d}",
            shuffle.question,
            shuffle.answer,
            "digit shuffles",
            f"d{shuffle.difficulty}",
            solution=shuffle.working,
        )
        for i, shuffle in enumerate(shuffles)
    ]
