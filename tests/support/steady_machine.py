"""A machine on which one decoding step takes a second and nothing else takes any time, and a small configuration."""

from pathlib import Path
from typing import Any

from soar_pipeline.config import Config
from soar_pipeline.cost.assumptions import Options
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.speed import Measured

SHUFFLES = "resources/models/digit-shuffles"
STEADY = {
    "machine": "made", "kind": "cpu", "note": "made", "model": "made", "parameters": 336384, "dtype": "float32",
    "decoding": [{"sequences": 1, "seconds": 1.0}, {"sequences": 2, "seconds": 1.0}],
    "prefill_seconds_per_token": 0, "forward_seconds_per_token": 0, "backward_seconds_per_token": 0,
    "optimizer_seconds": 0, "grading_seconds": 0, "job_start_seconds": 0, "plumbing_seconds": 0,
    "disk_bandwidth": 1e15, "student_prompt_tokens": 7, "teacher_prompt_tokens": 5,
    "base_length": 1.0, "base_longest": 1.0, "teacher_length": 1.0, "teacher_longest": 1.0, "acceptance": 1.0,
}  # fmt: skip


def measured(**changes: Any) -> Measured:
    return Measured.model_validate(STEADY | changes)


SMALL = {
    "models": {"base": {"source": "folder", "path": SHUFFLES, "dtype": "float32"}},
    "prompts": {role: f"resources/prompts/toy_{role}.txt" for role in ("student", "teacher")},
    "datasets": {"shuffles": {"adapter": "digit_shuffles", "difficulties": [7], "size": 40}},
    "filter": {"rounds": [2], "keep_all": True},
    "generation": {"batch_size": 16, "student_max_new_tokens": 10, "teacher_max_new_tokens": 20},
    "student": {"batch_size": 2, "group_size": 4},
    "soar": {
        "outer_steps": 6, "datasets": 2, "questions_per_dataset": 4, "repeats": 2, "reward_questions": 8,
        "inner_steps": 3, "inner_steps_after_promotion": 5,
    },
    "objectives": {"grounded": {}, "intrinsic": {"reward": "learnability", "promotion": False}},
    "arms": {
        "hard_only": {"label": "Hard-Only"},
        "pq": {"label": "PQ", "questions": {"source": "promotions", "objective": "grounded"}},
        "ps": {"label": "PS", "policy": "promoted_student", "objective": "grounded"},
        "intrinsic_t": {"label": "I", "questions": {"source": "teacher", "objective": "intrinsic", "size": 8}},
    },
    "fresh_student": {"steps": 25, "evaluate_every": 10, "synthetic_steps": 5, "checkpoint": {"slope_distance": 10}},
    "evaluation": {"samples": 4, "test_limit": 16},
    "seeds": {"teacher": 1, "student": 2},
    "report": {"baseline_arm": "hard_only", "headline_arms": ["pq", "ps"]},
}  # fmt: skip
GROUNDED_ARMS = {name: SMALL["arms"][name] for name in ("hard_only", "pq", "ps")}


def small(project: Path, *, given: dict | None = None, speeds: dict | None = None, **changes: Any) -> Machine:
    """A machine with the small configuration; every completion runs to its limit, every question is accepted."""
    options = Options(**({"student_length": 1.0, "promotions": 1, "cores": 2} | (given or {})))
    return Machine(Config.model_validate(SMALL | changes), project, options, (measured(**(speeds or {})),))


def rule(estimated: tuple[list[dict], dict], name: str) -> dict:
    """The row of one rule."""
    return next(row for row in estimated[0] if row["stage"] == name)
