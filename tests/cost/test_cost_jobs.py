"""The jobs of the plan, which the cost is summed over, are those that Snakemake plans (also test_workflow.py)."""

from collections import Counter
from pathlib import Path

import pytest
from workflow_runs import changed_config, planned_jobs

from soar_pipeline.config import Plan, load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with stand-ins for the data and the model that a dry run only looks for."""
    (tmp_path / "data").mkdir()
    for name in ("math_test.jsonl", "math_train.jsonl", "HARP.jsonl.zip", "OE_TO_maths_en_COMP.parquet"):
        (tmp_path / "data" / name).touch()
    model = tmp_path / "resources" / "models" / "digit-shuffles"
    model.mkdir(parents=True)
    (model / "config.json").touch()
    return tmp_path


def test_shared_stages_pools_transfer_and_own_seeds_are_counted_as_snakemake_does(folder: Path):
    shuffles = {"adapter": "digit_shuffles", "difficulties": [6, 7], "size": 12}
    config = changed_config(
        folder,
        "smoke.yaml",
        {
            "filter.shards": 3,
            "models.second": {"source": "folder", "path": "resources/models/digit-shuffles", "dtype": "float32"},
            "datasets.others": shuffles,
            "datasets.alone": shuffles | {"model": "second"},
            "pools.real": shuffles,
            "pools.unused": shuffles,
            "objectives.grounded.teacher_seeds": 2,
            "arms.real": {"label": "Real", "datasets": ["others"], "questions": {"source": "pool", "pool": "real"}},
            "arms.more": {"label": "More", "datasets": ["alone"], "questions": {"source": "pool", "pool": "shuffles"}},
            "arms.moved": {
                "label": "Moved",
                "datasets": ["others"],
                "questions": {"source": "teacher", "objective": "grounded", "size": 4},
                "transfer_from": "shuffles",
                "teacher_seeds": 3,
            },
        },
    )

    settings = load(config)

    planned = planned_jobs(folder, "--configfile", config)

    assert Counter(job.rule for job in Plan(settings).jobs) == planned
    assert planned["prepare_base_model"] == 2
    # No arm asks for one of the pools.
    assert planned["load_problems"] == len(settings.datasets) + len(settings.pools) - 1
    assert planned["sample_attempts"] == 3 * len(settings.datasets)
