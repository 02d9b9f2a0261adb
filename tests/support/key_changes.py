"""For every key of the configuration another value, and what the smallest configuration must be for it to count."""

from typing import Any

# Where a section with names stands in the configuration that is changed.
NAMED = {
    "models.<name>": "models.base",
    "datasets.<name>": "datasets.shuffles",
    "pools.<name>": "pools.curated",
    "objectives.<name>": "objectives.grounded",
    "arms.<name>.questions (source: base_teacher)": "arms.base_t.questions",
    "arms.<name>.questions (source: judged)": "arms.pq_correct.questions",
    "arms.<name>.questions (source: pool)": "arms.curated.questions",
    "arms.<name>.questions (source: promotions)": "arms.soar_pq.questions",
    "arms.<name>.questions (source: teacher)": "arms.grounded_t.questions",
    "arms.<name>.hints": "arms.hint_withdrawal.hints",
    "arms.<name>": "arms.hard_only",
    "figures.<name>": "figures.drawn",
    "resources.<name>": "resources.train_soar",
    "taxonomy.judge (kind: endpoint)": "taxonomy.judge",
    "taxonomy.judge (kind: exact)": "taxonomy.judge",
    "taxonomy.judge (kind: local)": "taxonomy.judge",
}
POOLS = {"datasets": "shuffles", "pools": "curated"}
ENDPOINT = {
    "kind": "endpoint",
    "base_url": "https://host/v1",
    "model": "judge",
    "prompt_price": 1.0,
    "completion_price": 1.0,
}
LOCAL = {"kind": "local", "model": "base"}
HUB = {"adapter": "plain", "hub": "a/b", "split": "train", "difficulties": [], "size": 0}
FILE = {"adapter": "plain", "path": "rows.jsonl", "difficulties": [], "size": 0}
GYM = {"adapter": "reasoning_gym", "task": "leg_counting", "difficulties": [], "size": 24}
# Its problems have no worked solutions, and its training reward is earned with hints.
WITHOUT_HINTS = {"arms.hint_withdrawal": None}
# Then the reward of a teacher asks the judge.
GATED = {"objectives.intrinsic.reward": "gated_learnability"}
OWN_VERIFIER = {"file": "<folder>/same.py", "function": "same"}
FRESH = {"steps": 6, "warmup_steps": 1, "lora_rank": 2, "checkpoint": {"window": 9}}
# What the configuration must be before, for keys that belong to something that it has not.
BEFORE: dict[str, dict[str, Any]] = {
    "taxonomy": GATED,
    "prompts.judge": GATED,
    "taxonomy.judge (kind: endpoint)": {"taxonomy.judge": ENDPOINT, **GATED},
    "taxonomy.judge (kind: local)": {"taxonomy.judge": LOCAL, **GATED},
    "taxonomy.judge (kind: exact)": GATED,
    "models.<name>.revision": {"models.base.source": "hub", "models.base.path": "a/b"},
    "fresh_student.checkpoint.rule": WITHOUT_HINTS,
    "figures.<name>": {"figures": {"drawn": {"kind": "sweep", "against": "size", "arms": ["grounded_t", "base_t"]}}},
    "resources.<name>": {"resources": {"train_soar": {}}},
}


def _both(key: str, value: Any) -> dict[str, Any]:
    """A key of the data set and of the pool that an arm trains on: what decides their answers must be the same."""
    return {f"{section}.{name}{key}": value for section, name in POOLS.items()}


for section, name in POOLS.items():
    place = f"{section}.<name>"
    for key in ("path", "sha256", "rows"):
        BEFORE[f"{place}.{key}"] = {f"{section}.{name}": FILE}
    for key in ("hub", "subset", "split", "revision"):
        BEFORE[f"{place}.{key}"] = {f"{section}.{name}": HUB}
    for key in ("task", "task_config"):
        BEFORE[f"{place}.{key}"] = {**_both("", GYM), **WITHOUT_HINTS}
    BEFORE[f"{place}.adapter"] = WITHOUT_HINTS
    for key in ("file", "function", "sha256"):
        BEFORE[f"{place}.verifier.{key}"] = _both(".verifier", OWN_VERIFIER)
# The exact judge knows one adapter only.
NO_EXACT = {"taxonomy.judge": LOCAL}
for key in BEFORE:
    if key.startswith(tuple(POOLS)):
        BEFORE[key] = {**BEFORE[key], **NO_EXACT}
# Keys whose new value does not follow from the old one.
AFTER: dict[str, dict[str, Any]] = {
    "run": {"run": "other"},
    "results": {"results": "elsewhere"},
    "models.<name>.source": {"models.base.source": "hub", "models.base.path": "a/b"},
    "models.<name>.revision": {"models.base.revision": "v1"},
    "models.<name>.path": {"models.base.path": "<folder>"},
    **{
        f"{place}.<name>.verifier.file": {f"{place}.{name}.verifier.file": "<folder>/moved.py"}
        for place, name in POOLS.items()
    },
    **{
        f"{place}.<name>.verifier.function": {f"{place}.{name}.verifier.function": "another"}
        for place, name in POOLS.items()
    },
    **{
        f"{place}.<name>.verifier.sha256": {f"{place}.{name}.verifier.file": "<folder>/edited.py"}
        for place, name in POOLS.items()
    },
    "datasets.<name>.model": {
        "models.other": {"source": "pretrain", "dtype": "float32"},
        "datasets.shuffles.model": "other",
        "datasets.longer.model": "other",
    },
    "datasets.<name>.paper_table": {"datasets.shuffles.paper_table": "table5_harp"},
    "datasets.<name>.soar": {"datasets.shuffles.soar": {"repeats": 2}},
    "datasets.<name>.fresh_student": {"datasets.shuffles.fresh_student": FRESH},
    "arms.<name>.fresh_student": {"arms.hard_only.fresh_student": FRESH},
    "arms.<name>.fresh_student_on": {"arms.hard_only.fresh_student_on": {"shuffles": FRESH}},
    "arms.<name>.student": {"arms.hard_only.student": {"batch_size": 4}},
    "filter.rounds": {"filter.rounds": [2, 2]},
    "generation.engine": {"generation.engine": "vllm", "generation.segment_tokens": None},
    "student.micro_batch_size": {"student.micro_batch_size": 4},
    "teacher.micro_batch_size": {"teacher.micro_batch_size": 4},
    "serl.micro_batch_size": {"serl.micro_batch_size": 4},
    "soar.promote_from": {"soar.promote_from": "window"},
    "soar.sampled_teacher_step": {"soar.sampled_teacher_step": 1},
    "soar.learning_rate_after_promotion": {"soar.learning_rate_after_promotion": 1e-3},
    "objectives.<name>.reward": {"objectives.intrinsic.reward": "absolute_zero"},
    "objectives.<name>.promotion": {"objectives.grounded_no_promotion.promotion": True},
    "objectives.<name>.turns": {"objectives.grounded.turns": 2},
    "objectives.<name>.soar": {"objectives.grounded.soar": {"repeats": 2}},
    "objectives.<name>.teacher_seeds": {"objectives.grounded.teacher_seeds": 2},
    "arms.<name>.datasets": {"arms.hard_only.datasets": ["shuffles"]},
    "arms.<name>.paper": {"arms.hard_only.paper": "Base-T"},
    "arms.<name>.paper_table": {"arms.hard_only.paper_table": "table5_harp"},
    "arms.<name>.policy": {"arms.curated": {"label": "Curated questions", "datasets": ["shuffles"], "policy": "base"}},
    "arms.<name>.objective": {"arms.inference_grounded_t.objective": "multi_turn"},
    "arms.<name>.transfer_from": {"arms.ood_pq.transfer_from": None},
    "arms.<name>.step": {"arms.serl_2.step": 1},
    "arms.<name>.teacher_seeds": {"arms.base_t.teacher_seeds": 2},
    "arms.<name>.student_seeds": {"arms.base_t.student_seeds": 2},
    **{
        f"arms.<name>.questions (source: {source}).source": {
            f"arms.{arm}.questions": {"source": "pool", "pool": "curated"}
        }
        for source, arm in (
            ("base_teacher", "base_t"),
            ("judged", "pq_correct"),
            ("promotions", "soar_pq"),
            ("teacher", "grounded_t"),
        )
    },
    "arms.<name>.questions (source: pool).source": {"arms.curated.questions": {"source": "base_teacher"}},
    "arms.<name>.questions (source: judged).arm": {"arms.pq_correct.questions.arm": "base_t"},
    "arms.<name>.questions (source: pool).pool": {"arms.curated.questions.pool": "longer"},
    "arms.<name>.questions (source: promotions).objective": {"arms.soar_pq.questions.objective": "multi_turn"},
    "arms.<name>.questions (source: teacher).objective": {"arms.grounded_t.questions.objective": "multi_turn"},
    "fresh_student.schedule_steps": {"fresh_student.schedule_steps": 9},
    "fresh_student.batch_size": {"fresh_student.batch_size": 4},
    "fresh_student.group_size": {"fresh_student.group_size": 8},
    "fresh_student.kl_coefficient": {"fresh_student.kl_coefficient": 0.1},
    "fresh_student.learning_rate": {"fresh_student.learning_rate": 0.1},
    "fresh_student.lora_rank": {"fresh_student.lora_rank": 2},
    "fresh_student.steps": {"fresh_student.steps": 6},
    "fresh_student.evaluate_every": {"fresh_student.evaluate_every": 4},
    "fresh_student.checkpoint.rule": {"fresh_student.checkpoint": {"rule": "reward_plateau", "slope_distance": 2}},
    "fresh_student.checkpoint.step": {"fresh_student.checkpoint.step": 2},
    "serl.evaluate_at": {"serl.evaluate_at": [2]},
    "serl.questions": {"serl.questions": 6},
    "serl.samples": {"serl.samples": 6},
    "serl.batch_size": {"serl.batch_size": 4},
    "evaluation.samples": {"evaluation.samples": 16},
    "diversity.embedder": {"diversity.embedder": "a/model"},
    "taxonomy.arms": {"taxonomy.arms": ["soar_pq"]},
    "taxonomy.questions_per_file": {"taxonomy.questions_per_file": 2, "arms.pq_correct": None},
    "taxonomy.judge (kind: endpoint).kind": {"taxonomy.judge": LOCAL},
    "taxonomy.judge (kind: exact).kind": {"taxonomy.judge": LOCAL},
    "taxonomy.judge (kind: local).kind": {"taxonomy.judge": ENDPOINT},
    "taxonomy.judge (kind: local).model": {"models.other": {"source": "pretrain"}, "taxonomy.judge.model": "other"},
    "taxonomy.judge (kind: endpoint).base_url": {"taxonomy.judge.base_url": "https://other/v1"},
    "taxonomy.judge (kind: endpoint).parameters": {"taxonomy.judge.parameters": {"temperature": 0}},
    "taxonomy.judge (kind: endpoint).api_key_variable": {"taxonomy.judge.api_key_variable": "KEY"},
    "report.baseline_arm": {"report.baseline_arm": "base"},
    "report.headline_arms": {"report.headline_arms": ["soar_pq"]},
    "report.fixed_window": {"report.fixed_window": [0, 4]},
    "figures.<name>.kind": {"figures.drawn": {"kind": "bars", "arms": ["grounded_t", "base_t"]}},
    "figures.<name>.datasets": {"figures.drawn.datasets": ["shuffles"]},
    "figures.<name>.arms": {"figures.drawn.arms": ["base_t"]},
    "figures.<name>.objectives": {"figures.drawn.objectives": ["grounded"]},
    "figures.<name>.k": {"figures.drawn.k": [1]},
    "figures.<name>.against": {"figures.drawn.against": "tau"},
    "tracking.report_to": {"tracking.report_to": []},
    "resources.<name>.workers": {"resources.train_soar.workers": 2, "resources.train_soar.threads": 2},
    "resources.<name>.ray_nodes": {"resources.train_soar": {"ray_nodes": 1}},
    "resources.<name>.sharding": {
        "resources": {"train_fresh_student": {"gpu": 2, "sharding": "full"}},
        "generation.segment_tokens": None,
    },
}
for source, arm in (
    ("base_teacher", "base_t"),
    ("judged", "pq_correct"),
    ("promotions", "soar_pq"),
    ("teacher", "grounded_t"),
):
    key = f"arms.<name>.questions (source: {source}).source"
    AFTER[key] = {f"arms.{arm}.questions": {"source": "pool", "pool": "curated"}}
for place in (f"{section}.<name>" for section in POOLS):
    AFTER[f"{place}.adapter"] = {**_both("", GYM), **NO_EXACT}
    AFTER[f"{place}.task"] = _both(".task", "basic_arithmetic")
    AFTER[f"{place}.task_config"] = _both(".task_config", {"seed": 1})
    AFTER[f"{place}.verifier"] = _both(".verifier", "exact")
    AFTER[f"{place}.verifier.file"] = _both(".verifier.file", "<folder>/moved.py")
    AFTER[f"{place}.verifier.function"] = _both(".verifier.function", "another")
    AFTER[f"{place}.verifier.sha256"] = _both(".verifier.sha256", "<sha256>")
for section, name in POOLS.items():
    AFTER[f"{section}.<name>.sha256"] = {f"{section}.{name}.sha256": "0" * 64}
    AFTER[f"{section}.<name>.limit_rows"] = {f"{section}.{name}.limit_rows": "first"}
    for key in ("rows", "limit"):
        AFTER[f"{section}.<name>.{key}"] = {f"{section}.{name}.{key}": 20}
    for key in ("subset", "revision"):
        AFTER[f"{section}.<name>.{key}"] = {f"{section}.{name}.{key}": "another"}
# What a change needs and would rerun something by itself, so the configuration has it already.
ALREADY = {
    "generation.engine": {"generation.segment_tokens": None},
    "resources.<name>.sharding": {"generation.segment_tokens": None},
    "taxonomy.questions_per_file": {"arms.pq_correct": None},
    "taxonomy.judge (kind: local).model": {"models.other": {"source": "pretrain"}},
    "figures.<name>.against": {"figures.drawn.arms": ["grounded_t"]},
    "student.pass_tokens": {"student.length_buckets": 1},
    "teacher.pass_tokens": {"teacher.length_buckets": 1},
    "serl.pass_tokens": {"serl.length_buckets": 1},
    "fresh_student.lora_alpha": {"fresh_student.lora_rank": 2},
}
ENUMS = {
    "models.<name>.dtype": "bfloat16",
    "serl.style": "numbered_list",
    "soar.r_zero_bleu_unit": "characters",
    "soar.promote_from": "window",
    "fresh_student.mixing": "mixed",
    "arms.<name>.questions (source: judged).keep": "well_posed",
}
