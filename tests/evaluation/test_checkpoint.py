import numpy as np
import pandas as pd
import pytest

from soar_pipeline.config import CheckpointRule
from soar_pipeline.evaluation.checkpoint import plateau_range, plateau_step, reported_steps, smoothed, still_rises

# On curves without noise neighbouring steps show the slope.
RULE = CheckpointRule(smoothing=1, window=20, slope_distance=1)


def _curve(rewards, phase="real", first=1):
    steps = range(first, first + len(rewards))
    return pd.DataFrame({"step": steps, "phase": phase, "train_reward": np.array(rewards, dtype=float)})


@pytest.mark.parametrize("window", [1, 2, 5, 25])
def test_smoothing_is_a_centred_mean_of_what_exists(window):
    rewards = np.arange(40.0) ** 2
    before, after = window // 2, window - 1 - window // 2
    expected = [rewards[max(0, i - before) : i + after + 1].mean() for i in range(40)]
    np.testing.assert_allclose(smoothed(rewards, window), expected)


def test_plateau_is_where_a_ramp_ends():
    rewards = np.concatenate([np.linspace(0, 100, 51), np.full(50, 100.0)])
    assert plateau_step(np.arange(101), rewards, RULE) == 50


def test_slow_start_is_no_plateau():
    rewards = np.concatenate([np.linspace(0, 1, 50), np.linspace(1, 100, 51), np.full(50, 100.0)])
    assert plateau_step(np.arange(151), rewards, RULE) == 100


def test_slope_fraction_decides_when_growth_is_over():
    rewards = np.cumsum(0.9 ** np.arange(100))
    # The slope at step i is 0.9 ** i of the largest: below 15 % from 0.9 ** 19 = 0.135 on, below half from 0.9 ** 7.
    assert plateau_step(np.arange(100), rewards, RULE) == 19
    assert plateau_step(np.arange(100), rewards, RULE.model_copy(update={"slope_fraction": 0.5})) == 7


def test_scale_of_rewards_does_not_matter():
    rewards = np.random.default_rng(0).normal(size=200).cumsum()
    rule = CheckpointRule()
    assert plateau_step(np.arange(200), rewards, rule) == plateau_step(np.arange(200), 40 * rewards - 7, rule)


@pytest.mark.parametrize("rewards", [[3.0, 3.0, 3.0, 3.0], [9.0, 5.0, 2.0], [1.0]])
def test_reward_that_never_rises_is_at_its_plateau_from_the_start(rewards):
    assert plateau_step(np.arange(10, 10 + len(rewards)), np.array(rewards), RULE) == 10


def test_reward_that_never_flattens_selects_the_last_step():
    assert plateau_step(np.arange(50), np.arange(50.0), RULE) == 49


def test_reports_evaluated_steps_in_the_window_after_the_plateau():
    rewards = [*np.linspace(0, 100, 31)[1:], *[100.0] * 70]
    evaluated = [0, 10, 20, 30, 31, 40, 50, 51, 100]
    assert reported_steps(_curve(rewards), evaluated, RULE) == [31, 40, 50]


def test_without_an_evaluation_in_the_window_reports_the_next_else_the_last():
    rewards = [*np.linspace(0, 100, 31)[1:], *[100.0] * 70]
    assert reported_steps(_curve(rewards), [0, 90, 100], RULE) == [90]
    assert reported_steps(_curve(rewards), [0, 10], RULE) == [10]


def test_synthetic_steps_of_a_curriculum_do_not_count():
    synthetic = _curve([*np.linspace(0, 100, 21)[1:], *[100.0] * 20], phase="synthetic")
    real = _curve([*np.linspace(0, 50, 21)[1:], *[50.0] * 20], first=41)
    assert reported_steps(pd.concat([synthetic, real]), [30, 50, 60, 70], RULE) == [70]


def test_fixed_rule_reports_one_step():
    rule = CheckpointRule(rule="fixed", step=50)
    assert reported_steps(_curve([]), [0, 49, 60, 100], rule) == [60]
    assert reported_steps(_curve([]), [0, 40], rule) == [40]


def test_nothing_evaluated_reports_nothing():
    assert reported_steps(_curve([]), [], RULE) == []


STEPS = np.arange(1, 1501)
CURVES = {
    "saturates": 15 * (1 - np.exp(-STEPS / 150)),
    "rises, then level": np.interp(STEPS, [0, 400, 1500], [0, 15, 15]),
    "slow start": 15 / (1 + np.exp((300 - STEPS) / 60)),
    "rises, then falls": np.interp(STEPS, [0, 300, 600, 1500], [0, 15, 15, 5]),
    "saturates, then falls": 15 * (1 - np.exp(-STEPS / 150)) * np.exp(-np.clip(STEPS - 600, 0, None) / 600),
}
# The standard deviation of a step's mean reward in real runs is 1 to 5; a student's rewards go from 0 to 120.
NOISE = (1, 2, 3)
DRAWS = 40


def _noisy(curve, sd, seed):
    return curve + np.random.default_rng(seed).normal(0, sd, len(curve))


@pytest.mark.parametrize("sd", NOISE)
@pytest.mark.parametrize("shape", CURVES)
def test_noise_moves_the_selected_step_by_less_than_the_window_in_nine_of_ten_curves(shape, sd):
    rule = CheckpointRule()
    noiseless = plateau_step(STEPS, CURVES[shape], rule)
    selected = np.array([plateau_step(STEPS, _noisy(CURVES[shape], sd, seed), rule) for seed in range(DRAWS)])
    assert np.mean(abs(selected - noiseless) <= rule.window) >= 0.9


@pytest.mark.parametrize("shape", CURVES)
def test_between_neighbouring_steps_noise_would_decide(shape):
    rule = CheckpointRule(slope_distance=1)
    noiseless = plateau_step(STEPS, CURVES[shape], rule)
    selected = np.array([plateau_step(STEPS, _noisy(CURVES[shape], 3, seed), rule) for seed in range(DRAWS)])
    assert np.mean(abs(selected - noiseless) <= rule.window) < 0.7


@pytest.mark.parametrize(("shape", "sd"), [*((shape, 5) for shape in ("saturates", "rises, then level")), ("flat", 3)])
def test_where_noise_decides_the_step_its_range_is_wide_and_says_so(shape, sd):
    rule, curve = CheckpointRule(), CURVES.get(shape, np.zeros(len(STEPS)))
    ranges = [plateau_range(STEPS, _noisy(curve, sd, seed), rule, seed) for seed in range(10)]
    assert np.median([high - low for low, high in ranges]) > 2 * rule.window


def test_a_reward_that_saturates_slowly_is_told_to_rise_after_the_selected_step():
    rule = CheckpointRule()

    def told(curve: np.ndarray, sd: float) -> float:
        runs = [_noisy(curve, sd, seed) for seed in range(DRAWS)]
        return np.mean([still_rises(STEPS, rewards, plateau_step(STEPS, rewards, rule), rule) for rewards in runs])

    slow, fast = (15 * (1 - np.exp(-STEPS / constant)) for constant in (400, 150))
    assert told(slow, 2) > 0.6
    assert told(fast, 2) < 0.15
    # Noise alone does not rise.
    assert told(np.zeros(len(STEPS)), 3) < 0.1
    for curve in (slow, fast):
        assert not still_rises(STEPS, curve, plateau_step(STEPS, curve, rule), rule)
        assert still_rises(STEPS, curve, 50, rule)
    assert not still_rises(STEPS, fast[::-1], 1, rule)


@pytest.mark.parametrize("shape", CURVES)
def test_where_the_curve_decides_the_step_its_range_is_narrow_and_holds_it(shape):
    rule, curve = CheckpointRule(), CURVES[shape]
    ranges = [plateau_range(STEPS, _noisy(curve, 1, seed), rule, seed) for seed in range(10)]
    assert all(high - low <= rule.window for low, high in ranges)
    # To the distance between two points.
    noiseless, distance = plateau_step(STEPS, curve, rule), rule.slope_distance
    assert np.mean([low - distance <= noiseless <= high + distance for low, high in ranges]) >= 0.9
    assert plateau_range(STEPS, _noisy(curve, 1, 0), rule, 0) == ranges[0]


def test_points_further_apart_than_the_curve_is_long_select_its_first_step():
    assert plateau_step(np.arange(10, 40), np.arange(30.0), CheckpointRule(slope_distance=50)) == 10
