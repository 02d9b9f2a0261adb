"""Which steps of a fresh student are reported (spec section 6).

How we read the rule where the paper leaves room:

- Smoothing near the ends averages over those steps of the window that exist.
- The slope at step i is smoothed[i + 1] - smoothed[i], over the range of the observed rewards. (That divisor is
  the same for every slope, so it cannot change which step is selected; it makes slopes comparable across runs.)
- "Earliest step at which the slope falls below 15 % of the largest" looks only after the largest slope has been
  reached: before it, a slow start would be taken for a plateau.
- A reward that never rises is at its plateau from the start; one that never flattens selects the last step.
- Of a curriculum, only the steps on real questions count: the reward on synthetic questions is another quantity, and
  the drop where they end would be taken for a plateau.
"""

import numpy as np

from soar_pipeline.config import CheckpointRule


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
    if len(steps) == 1 or reward_range == 0:
        return int(steps[0])
    slopes = np.diff(smoothed(rewards, rule.smoothing)) / reward_range
    steepest = int(np.argmax(slopes))
    if slopes[steepest] <= 0:
        return int(steps[0])
    flat = np.flatnonzero(slopes[steepest:] < rule.slope_fraction * slopes[steepest])
    return int(steps[steepest + flat[0]] if len(flat) else steps[-1])


def reported_steps(curve: list[dict], evaluated: list[int], rule: CheckpointRule) -> list[int]:
    """The evaluated steps over which a student's metrics are averaged, ascending.

    curve: rows of the CURVE schema; evaluated: the steps that have test attempts. Rule `reward_plateau`: those in
    (selected, selected + window]; if there is none, the first at or after the selected step, else the last one.
    Rule `fixed`: the first at or after `rule.step`, else the last one. Nothing evaluated: an empty list.
    """
    evaluated = sorted(evaluated)
    if not evaluated:
        return []
    selected = rule.step if rule.rule == "fixed" else _selected(curve, rule)
    if rule.rule == "reward_plateau":
        inside = [step for step in evaluated if selected < step <= selected + rule.window]
        if inside:
            return inside
    return [next((step for step in evaluated if step >= selected), evaluated[-1])]


def _selected(curve: list[dict], rule: CheckpointRule) -> int:
    trained = sorted((row for row in curve if row["train_reward"] is not None), key=lambda row: row["step"])
    judged = [row for row in trained if row["phase"] != "synthetic"] or trained
    if not judged:
        return 0
    steps, rewards = zip(*((row["step"], row["train_reward"]) for row in judged), strict=True)
    return plateau_step(np.array(steps), np.array(rewards, dtype=float), rule)
