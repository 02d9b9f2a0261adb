"""Which steps of every fresh student are reported, how sure that is, and what another window would have said."""

import pandas as pd

from soar_pipeline.config import CheckpointRule, Plan
from soar_pipeline.evaluation.checkpoint import (
    judged_rewards,
    plateau_range,
    reported_steps,
    selected_step,
    still_rises,
)
from soar_pipeline.reporting.long_tables import CHECKPOINTS, with_columns
from soar_pipeline.runtime import derive

LEFT_OPEN = "noise decides the step"
STILL_RISING = "the reward still rises after it"


def checkpoints_table(plan: Plan, curves: pd.DataFrame) -> pd.DataFrame:
    """One row per fresh student that was trained, in the plan's order; curves: rows of CURVE.

    selected_low, selected_high: 5 and 95 % of the steps that are selected if the noise of the rewards is drawn again;
    status says so if they lie more than two averaging windows apart, and if more than twice `slope_fraction` of the
    reward's rise comes after the selected step, as of one that saturates slowly. pass@k is the largest k's.
    """
    config = plan.config
    by_run = dict(list(curves.groupby(["dataset", "arm", "teacher_seed", "student_seed"])))
    rows = []
    for run in plan.fresh_students:
        if run in by_run:
            rule = config.fresh_student_of(run.arm, run.dataset).checkpoint
            seed = derive(config.seed, "checkpoint noise", *run)
            row = _checkpoint(by_run[run], rule, config.report.fixed_window, config.pass_at_k[-1], seed)
            rows.append({**run.columns(), "label": config.arms[run.arm].label, **row})
    return with_columns(pd.DataFrame(rows, columns=list(CHECKPOINTS)), CHECKPOINTS)


def _checkpoint(
    curve: pd.DataFrame, rule: CheckpointRule, fixed_window: tuple[int, ...], k: int, seed: int
) -> dict[str, object]:
    passk = curve.set_index("step")[f"pass_at_{k}"].dropna()
    steps, rewards = judged_rewards(curve)
    low, high, status = None, None, []
    if rule.rule == "reward_plateau" and len(steps):
        low, high = plateau_range(steps, rewards, rule, seed)
        if high - low > 2 * rule.window:
            status.append(LEFT_OPEN)
        if still_rises(steps, rewards, selected_step(curve, rule), rule):
            status.append(STILL_RISING)
    reported = reported_steps(curve, list(passk.index), rule)
    after, to = fixed_window
    return {
        "rule": rule.rule,
        "selected_step": selected_step(curve, rule),
        "selected_low_step": low,
        "selected_high_step": high,
        "reported_steps": " ".join(map(str, reported)),
        "k": k,
        "reported_percent": 100.0 * passk.loc[reported].mean(),
        "fixed_window_percent": 100.0 * passk[(passk.index > after) & (passk.index <= to)].mean(),
        "status": "; ".join(status),
    }
