"""pass@k from counts of right samples."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

# What `mean_pass_at_k` reads of the EVALUATION schema.
ATTEMPT_COLUMNS = ("step", "problem_id", "verdict")


def pass_at_k(num_samples: ArrayLike, num_correct: ArrayLike, k: int) -> np.ndarray:
    """Unbiased probability that at least one of k draws is right, per problem: 1 - C(n-c, k) / C(n, k).

    num_samples, num_correct: int, shape (problems,). Returns float64, shape (problems,), in [0, 1].
    Raises ValueError if k > num_samples, k < 1 or num_correct > num_samples.
    Source: Chen et al. 2021, eq. 1 (docs/method.md §6).
    """
    n, c = np.asarray(num_samples), np.asarray(num_correct)
    if k < 1 or np.any(k > n):
        raise ValueError(f"pass@{k} needs 1 <= k <= samples, but there are {n.min()} samples")
    if np.any(c > n) or np.any(c < 0):
        raise ValueError("a problem has more right samples than samples, or fewer than none")
    draw = np.arange(k)
    # Draw by draw, the chance that this one is wrong too: a product, because binomials of large n overflow.
    wrong_left = np.clip(n[..., None] - c[..., None] - draw, 0, None)
    return 1.0 - np.prod(wrong_left / (n[..., None] - draw), axis=-1)


def mean_pass_at_k(attempts: pa.Table, ks: tuple[int, ...]) -> dict[int, float]:
    """pass@k over the problems, per step, averaged over the steps, for every k of `ks`.

    attempts: ATTEMPT_COLUMNS of at least one row. A verdict `timeout` counts as not solved.
    Raises ValueError if a problem has fewer than k samples.
    """
    right = pc.cast(pc.equal(attempts["verdict"], "right"), pa.int64())
    samples = attempts.select(["step", "problem_id"]).append_column("right", right)
    # In one thread the groups come in the order of the file, and sums are the same in every run.
    grouped = samples.group_by(["step", "problem_id"], use_threads=False)
    counts = grouped.aggregate([("right", "count"), ("right", "sum")])
    steps, n, c = (counts[name].to_numpy() for name in ("step", "right_count", "right_sum"))
    at_steps = [steps == step for step in dict.fromkeys(steps)]
    return {k: float(np.mean([pass_at_k(n[at], c[at], k).mean() for at in at_steps])) for k in ks}
