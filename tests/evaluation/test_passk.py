from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from soar_pipeline.evaluation.passk import ATTEMPT_COLUMNS, mean_pass_at_k, pass_at_k


@pytest.mark.parametrize("n", [1, 5, 8])
def test_equals_share_of_subsets_with_a_right_sample(n):
    for c in range(n + 1):
        samples = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(samples, k))
            share = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k([n], [c], k)[0] == pytest.approx(share)


def test_problems_are_scored_apart():
    np.testing.assert_allclose(pass_at_k([4, 2, 4], [0, 1, 4], 2), [0.0, 1.0, 1.0])


def test_many_samples_do_not_overflow():
    assert pass_at_k([100_000], [1], 32)[0] == pytest.approx(32 / 100_000)


@pytest.mark.parametrize(("n", "c", "k"), [([4, 3], [0, 0], 4), ([4], [0], 0), ([4], [5], 1)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(ValueError):
        pass_at_k(n, c, k)


def _attempts(*rows):
    """A table of (step, problem, verdicts)."""
    flat = [(step, problem, verdict) for step, problem, verdicts in rows for verdict in verdicts]
    return pa.Table.from_pylist([dict(zip(ATTEMPT_COLUMNS, row, strict=True)) for row in flat])


def test_mean_over_problems_then_steps():
    attempts = _attempts(
        (10, "a", ["right", "wrong"]),
        (10, "b", ["wrong", "no_box"]),
        (20, "a", ["right", "right"]),
        (20, "b", ["right", "wrong"]),
    )
    assert mean_pass_at_k(attempts, (1, 2)) == {1: pytest.approx((0.25 + 0.75) / 2), 2: pytest.approx((0.5 + 1) / 2)}


def test_a_timeout_counts_as_not_solved():
    assert mean_pass_at_k(_attempts((0, "a", ["timeout", "timeout"])), (1,)) == {1: 0.0}
