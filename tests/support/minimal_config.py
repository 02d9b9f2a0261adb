"""The least that a configuration says: a pool of problems, two objectives, three arms."""

MINIMAL = {
    "datasets": {"pool": {"adapter": "plain", "path": "pool.jsonl"}},
    "objectives": {"soar": {}, "intrinsic": {"reward": "learnability", "promotion": False}},
    "arms": {
        "hard_only": {"label": "Hard-Only"},
        "soar_pq": {"label": "SOAR-PQ", "questions": {"source": "promotions", "objective": "soar"}},
        "soar_ps": {"label": "SOAR-PS", "policy": "promoted_student", "objective": "soar"},
    },
}
