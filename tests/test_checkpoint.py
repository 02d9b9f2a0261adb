import numpy as np
import pytest

from soar_pipeline.config import CheckpointRule
from soar_pipeline.evaluation.checkpoint import plateau_step, reported_steps, smoothed

RULE = CheckpointRule(smoothing=1, window=20)


def _curve(rewards, phase="real", first=1):
    return [
        {"step": step, "phase": phase, "train_reward": float(reward)}
        for step, reward in enumerate(rewards, start=first)
    ]


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
    assert reported_steps(synthetic + real, [30, 50, 60, 70], RULE) == [70]


def test_fixed_rule_reports_one_step():
    rule = CheckpointRule(rule="fixed", step=50)
    assert reported_steps([], [0, 49, 60, 100], rule) == [60]
    assert reported_steps([], [0, 40], rule) == [40]


def test_nothing_evaluated_reports_nothing():
    assert reported_steps([], [], RULE) == []
