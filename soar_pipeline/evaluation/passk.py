"""pass@k from counts of right samples."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def pass_at_k(num_samples: ArrayLike, num_correct: ArrayLike, k: int) -> np.ndarray:
    """Unbiased probability that at least one of k draws is right, per problem: 1 - C(n-c, k) / C(n, k).

    num_samples, num_correct: int, shape (problems,). Returns float64, shape (problems,), in [0, 1].
    Raises ValueError where k > num_samples, k < 1 or num_correct > num_samples.
    Source: Chen et al. 2021, eq. 1 (spec section 6).
    """
    n, c = np.asarray(num_samples), np.asarray(num_correct)
    if k < 1 or np.any(k > n):
        raise ValueError(f"pass@{k} needs 1 <= k <= samples, but there are {n.min()} samples")
    if np.any(c > n) or np.any(c < 0):
        raise ValueError("a problem has more right samples than samples, or fewer than none")
    draw = np.arange(k)
    # Draw by draw, the chance that it is wrong too; a product, as binomials of large n overflow.
    wrong_left = np.clip(n[..., None] - c[..., None] - draw, 0, None)
    return 1.0 - np.prod(wrong_left / (n[..., None] - draw), axis=-1)


def mean_pass_at_k(attempts: list[dict[str, Any]], ks: tuple[int, ...]) -> dict[int, float]:
    """pass@k over the problems, per step, averaged over the steps, for every k of `ks`.

    attempts: rows of the EVALUATION schema, at least one. A verdict `timeout` counts as not solved.
    Raises ValueError where a problem has fewer than k samples.
    """
    counts: dict[int, dict[str, list[int]]] = {}
    for row in attempts:
        samples_and_right = counts.setdefault(row["step"], {}).setdefault(row["problem_id"], [0, 0])
        samples_and_right[0] += 1
        samples_and_right[1] += row["verdict"] == "right"
    per_step = [np.array(list(problems.values())).T for problems in counts.values()]
    return {k: float(np.mean([pass_at_k(n, c, k).mean() for n, c in per_step])) for k in ks}
