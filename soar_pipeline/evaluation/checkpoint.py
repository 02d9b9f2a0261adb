"""Which steps of a fresh student are reported, and how far the noise of its rewards decides that (docs/method.md).

How we read the paper's rule if it leaves room:

- Smoothing near the ends averages over those steps of the window that exist.
- Slopes are taken between smoothed points `slope_distance` steps apart, over the range of the observed rewards. (That
  divisor is the same for every slope, so it cannot change which step is selected; it makes slopes comparable across
  runs.) Between neighbouring steps a slope is the difference of two single rewards, and its maximum falls anywhere.
- "Earliest step at which the slope falls below 15 % of the largest" looks only after the largest slope has been
  reached: before it, a slow start would be taken for a plateau.
- A reward that never rises is at its plateau from the start; one that never flattens selects the last step.
- Of a curriculum, only the steps on real questions count: the reward on synthetic questions is another quantity, and
  the drop at their end would be taken for a plateau.
"""

import numpy as np
import pandas as pd

from soar_pipeline.config import CheckpointRule

NOISE_DRAWS = 100


def smoothed(rewards: np.ndarray, window: int) -> np.ndarray:
    """Centred moving average, shape (steps,); at the ends over the part of the window that exists."""
    kernel = np.ones(window)
    padded = window // 2
    sums = np.convolve(np.pad(rewards, (padded, window - 1 - padded)), kernel, mode="valid")
    counts = np.convolve(np.pad(np.ones(len(rewards)), (padded, window - 1 - padded)), kernel, mode="valid")
    return sums / counts


def plateau_step(steps: np.ndarray, rewards: np.ndarray, rule: CheckpointRule) -> int:
    """The first step at which the smoothed reward has stopped rising; steps, rewards: shape (steps,), not empty."""
    reward_range = np.ptp(rewards)
    points = smoothed(rewards, rule.smoothing)[:: rule.slope_distance]
    if len(points) == 1 or reward_range == 0:
        return int(steps[0])
    slopes = np.diff(points) / reward_range
    steepest = int(np.argmax(slopes))
    if slopes[steepest] <= 0:
        return int(steps[0])
    flat = np.flatnonzero(slopes[steepest:] < rule.slope_fraction * slopes[steepest])
    return int(steps[rule.slope_distance * (steepest + flat[0])] if len(flat) else steps[-1])


def plateau_range(steps: np.ndarray, rewards: np.ndarray, rule: CheckpointRule, seed: int) -> tuple[int, int]:
    """5 and 95 % of the steps that are selected if the noise of the rewards is drawn again.

    Rewards less their moving average are resampled with replacement and added to it again. A range much wider than
    `rule.window` says that the curve does not decide the step.
    """
    rng, mean = np.random.default_rng(seed), smoothed(rewards, rule.smoothing)
    noise = rewards - mean
    again = [plateau_step(steps, mean + rng.choice(noise, len(noise)), rule) for _ in range(NOISE_DRAWS)]
    low, high = np.percentile(again, [5, 95], method="nearest")
    return int(low), int(high)


def still_rises(steps: np.ndarray, rewards: np.ndarray, selected: int, rule: CheckpointRule) -> bool:
    """Whether much of the smoothed reward's rise comes after the selected step: it saturates more slowly than noise
    lets the rule see.

    Much is more than twice `slope_fraction` of the whole rise, which is what a reward that saturates exponentially has
    left where the rule, without noise, selects; and more than three standard errors of a smoothed reward's difference.
    """
    mean = smoothed(rewards, rule.smoothing)
    after, whole = mean[-1] - mean[np.searchsorted(steps, selected)], mean[-1] - mean[0]
    error = np.std(rewards - mean) * np.sqrt(2 / rule.smoothing)
    return bool(after > max(2 * rule.slope_fraction * whole, 3 * error))


def selected_step(curve: pd.DataFrame, rule: CheckpointRule) -> int:
    """The step after which the rule reports; 0 for a curve without rewards. curve: rows of the CURVE schema."""
    if rule.rule == "fixed":
        return rule.step
    steps, rewards = judged_rewards(curve)
    return plateau_step(steps, rewards, rule) if len(steps) else 0


def judged_rewards(curve: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Steps and mean rewards that the rule looks at: those on real questions, if there are any."""
    trained = curve.dropna(subset="train_reward").sort_values("step")
    real = trained[trained["phase"] != "synthetic"]
    judged = trained if real.empty else real
    return judged["step"].to_numpy(), judged["train_reward"].to_numpy(float)


def reported_steps(curve: pd.DataFrame, evaluated: list[int], rule: CheckpointRule) -> list[int]:
    """The evaluated steps over which a student's metrics are averaged, ascending.

    curve: rows of the CURVE schema; evaluated: the steps that have test attempts. Rule `reward_plateau`: those in
    (selected, selected + window]; if there is none, the first at or after the selected step, else the last one.
    Rule `fixed`: the first at or after `rule.step`, else the last one. Nothing evaluated: an empty list.
    """
    evaluated = sorted(evaluated)
    if not evaluated:
        return []
    selected = selected_step(curve, rule)
    if rule.rule == "reward_plateau":
        inside = [step for step in evaluated if selected < step <= selected + rule.window]
        if inside:
            return inside
    return [next((step for step in evaluated if step >= selected), evaluated[-1])]
