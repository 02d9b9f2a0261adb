"""What the stages of a small configuration cost, worked out by hand."""

from pathlib import Path

import pytest
from steady_machine import GROUNDED_ARMS, SMALL, rule, small

from soar_pipeline.config import ConfigError
from soar_pipeline.cost.estimate import estimate, makespan


def test_makespan_puts_the_longest_jobs_first():
    assert makespan([3, 3, 2, 2, 2], 2) == 7
    assert makespan([3, 3, 2, 2, 2], 1) == 12


def test_the_filter_of_the_small_config(project: Path):
    row = rule(estimate(small(project)), "sample_attempts")
    # 40 problems in blocks of 16, 16 and 8, two samples each: batches of 16, 16 | 16, 16 | 16 sequences, 10 steps each.
    assert row["generated"] == pytest.approx(40 * 2 * 10, rel=0.01)
    assert row["wall_hours"] * 3600 == pytest.approx(50)


def test_the_soar_run_of_the_small_config(project: Path):
    result = estimate(small(project, arms=GROUNDED_ARMS))
    row = rule(result, "train_soar")
    # One promotion, half-way: 3 outer steps of 3 inner steps, 3 of 5; four students each time.
    inner = 3 * 4 * 3 + 3 * 4 * 5
    assert row["students"] == 6 * 4
    # Students: 8 rollouts a step, 8 questions to evaluate each. Baselines: 8 a step. Teacher: 9 draws a step. Train, of
    # 20 problems: at the start and after the promotion.
    assert row["generated"] == pytest.approx((inner * 8 + 24 * 8 + 6 * 8 + 2 * 20) * 10 + 6 * 9 * 20)
    assert row["trained"] == inner * 8 * 10 + 6 * 8 * 20
    # In batches: a student's step, an evaluation and the questions of an outer step are one each, train takes two.
    assert row["wall_hours"] * 3600 == pytest.approx((inner + 24 + 6 + 2 * 2) * 10 + 6 * 20)
    weights = 336384 * 4
    assert row["kept_bytes"] == pytest.approx(2 * weights + 6 * 8 * (10 + 20 * 2))
    # Two checkpoints of five sets while one replaces the other, a baseline and a student that is promoted.
    assert row["scratch_bytes"] == 12 * weights


def test_candidates_of_a_window_lie_in_the_checkpoints(project: Path):
    window = SMALL["soar"] | {"promote_from": "window"}
    row = rule(estimate(small(project, arms=GROUNDED_ARMS, soar=window)), "train_soar")
    # As above, and one student of each of three steps in both checkpoints.
    assert row["scratch_bytes"] == (12 + 2 * 3) * 336384 * 4


def test_students_measured_by_pass_rate_answer_more(project: Path):
    greedy, sampled = (
        rule(estimate(small(project, arms=GROUNDED_ARMS, soar=SMALL["soar"] | samples)), "train_soar")
        for samples in ({}, {"reward_samples": 4})
    )
    # Three more completions of each of 8 questions, by 24 students and, in six steps, their baseline.
    assert sampled["generated"] - greedy["generated"] == pytest.approx(3 * 8 * (24 + 6) * 10)


def test_a_teacher_of_two_turns_writes_and_trains_twice(project: Path):
    config = {"arms": GROUNDED_ARMS, "objectives": {"grounded": {"turns": 2}}}
    one, two = (
        rule(estimate(small(project, **changes)), "train_soar") for changes in ({"arms": GROUNDED_ARMS}, config)
    )
    # Six outer steps: 8 questions and 8 answers in place of 9 draws, each of 20 tokens.
    assert two["generated"] - one["generated"] == pytest.approx(6 * (16 - 9) * 20)
    assert two["trained"] - one["trained"] == 6 * 8 * 20


def test_the_self_play_of_the_small_config(project: Path):
    serl = {
        "style": "teacher_prompt", "steps": 2, "evaluate_at": [2], "questions": 4, "samples": 4, "batch_size": 8,
        "prompts_per_round": 2, "max_new_tokens": 20,
    }  # fmt: skip
    arms = {"hard_only": SMALL["arms"]["hard_only"]} | {
        name: {"label": name, "policy": "serl", "step": 2} for name in ("serl", "serl_again")
    }
    report = {"baseline_arm": "hard_only", "headline_arms": ["serl"]}
    sampling = {"samples": 4, "test_limit": 16, "keep_weights": False}
    changes = {"serl": serl, "arms": arms, "report": report, "figures": {}, "evaluation": sampling}
    row = rule(estimate(small(project, **changes)), "train_serl")
    # Both arms report the same two trainings. Of each step: two rollouts of 4 questions with 4 samples, for which 4
    # rounds of 2 prompts are asked; test: 16 problems with 4 samples.
    assert row["jobs"] == 2
    assert row["generated"] == 2 * (2 * (2 * 16 * 10 + 4 * 2 * 20) + 64 * 10)
    assert row["trained"] == 2 * 2 * 16 * 10
    # Batches of 16: a rollout is one, test four; a round of prompts takes 20 steps.
    assert row["core_hours"] * 3600 == pytest.approx(2 * (2 * (2 * 10 + 4 * 20) + 4 * 10))


@pytest.mark.parametrize(
    ("reward", "samples"), [("learnability", 32), ("gated_learnability", 32), ("absolute_zero", 8), ("r_zero", 10)]
)
def test_intrinsic_rewards_draw_samples_in_place_of_students(reward: str, samples: int, project: Path):
    objectives = {"grounded": {}, "intrinsic": {"reward": reward, "promotion": False}}
    judge = {"judge": {"kind": "exact"}}
    row = rule(estimate(small(project, objectives=objectives, taxonomy=judge)), "train_soar")
    alone = rule(estimate(small(project, arms=GROUNDED_ARMS)), "train_soar")
    # 8 questions and 9 draws an outer step; and the base model's greedy accuracy on 20 problems.
    assert row["generated"] - alone["generated"] == pytest.approx(6 * (8 * samples * 10 + 9 * 20) + 20 * 10)
    assert row["students"] == alone["students"] == 6 * 4


def test_a_reward_of_the_users_own_is_taken_to_train_students(project: Path):
    own = small(project, objectives=SMALL["objectives"] | {"intrinsic": {"reward": "my.py:own", "promotion": False}})
    assert rule(estimate(own), "train_soar")["students"] == 2 * 6 * 4


def test_worker_processes_train_students_at_once(project: Path):
    alone, together = (
        rule(
            estimate(small(project, arms=GROUNDED_ARMS, resources={"train_soar": {"threads": 2, "workers": n}})),
            "train_soar",
        )
        for n in (1, 2)
    )
    # Four students in two waves: half of their (96 steps + 24 evaluations) batches of ten seconds.
    assert (alone["wall_hours"] - together["wall_hours"]) * 3600 == pytest.approx((96 + 24) * 10 / 2)
    assert alone["generated"] == together["generated"]


def test_the_fresh_students_of_the_small_config(project: Path):
    row = rule(
        estimate(small(project, evaluation={"samples": 4, "test_limit": 16, "keep_weights": False})),
        "train_fresh_student",
    )
    # Three arms of two students; 25 steps; evaluations after 10, 20 and 25, of 16 problems with 4 samples.
    assert (row["jobs"], row["students"]) == (6, 6)
    assert row["trained"] == 6 * 25 * 8 * 10
    assert row["generated"] == 6 * (25 * 8 + 3 * 16 * 4) * 10
    # Evaluations are four batches of 16; two jobs at a time on two cores.
    assert row["core_hours"] * 3600 == pytest.approx(6 * (25 + 3 * 4) * 10)
    assert row["wall_hours"] * 3600 == pytest.approx(3 * (25 + 3 * 4) * 10)


def test_fresh_students_that_keep_their_weights_are_evaluated_by_a_stage_of_their_own(project: Path):
    result = estimate(small(project))
    assert rule(result, "train_fresh_student")["generated"] == 6 * 25 * 8 * 10
    evaluation = rule(result, "evaluate_student")
    assert (evaluation["jobs"], evaluation["generated"]) == (6, 6 * 3 * 16 * 4 * 10)
    assert evaluation["core_hours"] * 3600 == pytest.approx(6 * 3 * 4 * 10)


def test_without_promotions_what_lives_on_them_costs_nothing(project: Path):
    result = estimate(small(project, given={"promotions": 0}))
    assert rule(result, "train_fresh_student")["students"] == 4
    assert rule(result, "evaluate_policy")["generated"] == 0


def test_a_model_that_was_not_measured_is_refused(project: Path):
    machine = small(project, speeds={"parameters": 5})
    with pytest.raises(ConfigError, match=r"models\.base: has 336384 parameters in float32.*benchmarks/throughput\.py"):
        estimate(machine)
