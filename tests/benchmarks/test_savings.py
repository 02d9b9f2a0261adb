"""What a saving rests on: the paper's cost beside ours, and our decisions."""

from pathlib import Path

import pytest
from savings import as_values, comparisons, savings
from steady_machine import GROUNDED_ARMS, rule, small

from soar_pipeline.cost.__main__ import machine_of
from soar_pipeline.cost.estimate import estimate


def test_the_paper_config_does_the_work_of_the_paper(project: Path):
    machine = machine_of(project / "config" / "paper.yaml", [])
    values = as_values(machine)
    ratios = {entry["run"]: entry["work_ratio"] for entry in values["paper"]}
    assert ratios["SOAR run math/grounded"] == ratios["fresh student math/hard_only"] == pytest.approx(1)
    # 200 steps of 10 instead; four times the group.
    assert ratios["SOAR run math/grounded_no_promotion"] == pytest.approx(2000 / 2750)
    # The same work as on MATH: one line for both.
    assert "SOAR run harp/grounded" not in ratios
    assert ratios["fresh student math/hard_only_g128"] == pytest.approx(4)
    # By hand: 4 datasets, 4 repeats, 8 x 32 rollouts; three promotions leave 50 steps of 10 and 150 of 15.
    assert values["paper"][0]["rollouts"] == 16 * (50 * 10 + 150 * 15) * 256
    filtering = rule(estimate(machine), "sample_attempts")
    factors = [entry["factor"] for entry in values["savings"] if "filter" in entry["decision"]]
    # The factors of the filter are what the tokens of the stage say too: completions of 0.4 x 1024 tokens.
    drawn = sum(pool * 128 / factor for pool, factor in zip((5000, 4768, 674), factors, strict=True))
    assert filtering["generated"] == pytest.approx(drawn * 0.4 * 1024, rel=1e-6)


def test_the_reset_saves_a_start_per_student(project: Path):
    machine = small(project, speeds={"job_start_seconds": 100.0}, arms=GROUNDED_ARMS)
    [reset] = [saving for saving in savings(machine) if "reset" in saving.decision]
    seconds = rule(estimate(machine), "train_soar")["wall_hours"] * 3600
    assert reset.factor == pytest.approx((seconds + 24 * 100) / seconds)
    assert comparisons(machine) == []
