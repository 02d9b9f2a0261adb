"""A made run of everything that a table or figure can hold: three data sets, transfer, sweeps, SeRL, a judge."""

from pathlib import Path

from fake_results import FakeResults, fake_config

from soar_pipeline.config import Config, Plan

SHUFFLES = {"adapter": "digit_shuffles", "size": 20, "difficulties": [7, 8]}
TEACHER = {"source": "teacher", "objective": "soar"}
# How many of the 4 test problems are solved, by arm: one list per teacher seed, one number per student seed. Sums
# differ between arms, so that no figure can stand in another's place unseen.
MATH = {
    "base": [[0, 0]],
    "hard_only": [[0, 1]],
    "serl_10": [[0, 0]],
    "serl_20": [[1, 1]],
    "soar_pq": [[4, 3], [4, 4]],
    "soar_ps": [[3, 2], [3, 3]],
    "grounded_t": [[2, 2], [1, 1]],
    "grounded_t_4": [[1, 2], [1, 1]],
    "strict_t": [[0, 2], [1, 1]],
    "two_turn": [[4, 2], [2, 1]],
    "real": [[4, 3]],
    "pq_correct": [[3, 4], [3, 3]],
}
OLYMPIAD = {"base": [[0, 0]], "hard_only": [[1, 0]], "ood_pq": [[2, 4], [4, 4]], "ood_ps": [[1, 1], [2, 1]]}
OTHER = {"base": [[0, 1]], "hard_only": [[2, 1]]}
VERDICTS = {
    ("math", "soar_pq", 1): ["none", "none", "arithmetic", "ill_posed", ""],
    ("math", "soar_pq", 2): ["none", "ambiguous", "ambiguous", "logical_fallacy"],
    ("math", "strict_t", 1): ["none", "none"],
    ("math", "strict_t", 2): [],
}
EVERY_KIND = {
    "learning_curves": {"kind": "learning_curves"},
    "all_k": {"kind": "learning_curves", "datasets": ["math"], "arms": ["hard_only", "soar_pq"], "k": [1, 4, 8]},
    "seed_curves": {"kind": "seed_curves", "datasets": ["math"], "arms": ["soar_pq", "grounded_t"]},
    "improvement": {"kind": "improvement", "datasets": ["math", "olympiad"]},
    "bars": {"kind": "bars", "arms": ["hard_only", "soar_pq", "pq_correct"], "k": [1, 8], "title": "Correct only"},
    "size": {"kind": "sweep", "against": "size", "arms": ["grounded_t", "grounded_t_4"]},
    "tau": {"kind": "sweep", "against": "tau", "arms": ["grounded_t", "strict_t"]},
    "n": {"kind": "sweep", "against": "n", "arms": ["grounded_t", "strict_t", "two_turn"]},
    "teacher_overview": {"kind": "teacher_overview"},
    "question_composition": {"kind": "question_composition"},
    "teacher_reward": {"kind": "teacher_reward", "objectives": ["soar", "strict"]},
    "baseline_accuracy": {"kind": "baseline_accuracy"},
    "question_difficulty": {"kind": "question_difficulty"},
    "question_evolution": {"kind": "question_evolution", "datasets": ["math"], "objectives": ["soar"]},
    "diversity": {"kind": "diversity"},
}


def matrix_config(**changes: object) -> Config:
    arms = {
        "base": {"label": "Base model", "paper": "Base model inference", "policy": "base"},
        "hard_only": {"label": "Hard-Only", "paper": "Hard-Only"},
        "serl_10": {"label": "SeRL (10)", "paper": "SeRL (step 50)", "policy": "serl", "step": 10},
        "serl_20": {"label": "SeRL (20)", "paper": "SeRL (step 100)", "policy": "serl", "step": 20},
        "soar_pq": {
            "label": "SOAR-PQ",
            "paper": "SOAR-PQ",
            "questions": {"source": "promotions", "objective": "soar"},
        },
        "soar_ps": {"label": "SOAR-PS", "paper": "SOAR-PS", "policy": "promoted_student", "objective": "soar"},
        "grounded_t": {"label": "Grounded-T", "paper": "Grounded-T", "questions": {**TEACHER, "size": 8}},
        "grounded_t_4": {"label": "Grounded-T (4)", "questions": {**TEACHER, "size": 4}},
        "strict_t": {"label": "Strict | T", "questions": {**TEACHER, "objective": "strict", "size": 8}},
        "two_turn": {
            "label": "Two turns",
            "paper": "n=32 X=64",
            "paper_table": "table8_multi_turn",
            "questions": {**TEACHER, "objective": "two_turn", "size": 8},
        },
        "real": {"label": "Real", "paper": "MATH train (128)", "questions": {"source": "pool", "pool": "easy"}},
        "pq_correct": {
            "label": "PQ correct only",
            "questions": {"source": "judged", "arm": "soar_pq", "keep": "correct"},
        },
        "ood_pq": {
            "label": "SOAR-PQ (math)",
            "paper": "SOAR-PQ (MATH)",
            "datasets": ["olympiad"],
            "transfer_from": "math",
            "questions": {"source": "promotions", "objective": "soar"},
        },
        "ood_ps": {
            "label": "SOAR-PS (math)",
            "paper": "SOAR-PS (MATH)",
            "datasets": ["olympiad"],
            "transfer_from": "math",
            "policy": "promoted_student",
            "objective": "soar",
        },
    }
    for name in MATH:
        if name not in OTHER:
            arms[name]["datasets"] = ["math"]
    values = {
        "datasets": {
            "math": {**SHUFFLES, "paper_table": "table4_math"},
            "olympiad": {**SHUFFLES, "paper_table": "table6_olympiadbench", "fresh_student": {"mixing": "mixed"}},
            "other": SHUFFLES,
        },
        "pools": {"easy": SHUFFLES},
        "objectives": {
            "soar": {"soar": {"promotion_threshold": 0.01}},
            "strict": {"soar": {"promotion_threshold": 0.02}},
            "two_turn": {"promotion": False, "soar": {"questions_per_dataset": 2}},
        },
        "arms": arms,
        "taxonomy": {"judge": {"kind": "exact"}, "arms": ["soar_pq", "strict_t"]},
        "figures": EVERY_KIND,
    }
    return fake_config(**(values | changes))


def matrix_run(folder: Path, promoted: bool = True, **changes: object) -> FakeResults:
    """With its inputs written."""
    solved = {
        (dataset, arm, teacher if config_nests(arm) else 0, student): count
        for dataset, arms in {"math": MATH, "olympiad": OLYMPIAD, "other": OTHER}.items()
        for arm, teachers in arms.items()
        for teacher, students in enumerate(teachers, start=1)
        for student, count in enumerate(students, start=1)
    }
    run = FakeResults(matrix_config(**changes), folder, promoted, solved, VERDICTS)
    run.write_inputs()
    return run


def config_nests(arm: str) -> bool:
    return Plan(matrix_config()).per_teacher_seed(arm)
