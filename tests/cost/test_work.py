"""What drawing, training and asking for questions cost, against cases worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from steady_machine import measured

from soar_pipeline.config import SerlConfig, StudentConfig
from soar_pipeline.cost.model_size import ModelSize
from soar_pipeline.cost.speed import Device, StatedSpeed, read
from soar_pipeline.cost.work import Text, UnitCosts, draw_rounds, expected_longest, shuffled_prompts
from soar_pipeline.rl.logprobs import Parts

# What students write: at most 10 tokens, 5 on average, the longest of a batch 8.
SHORT = Text(prompt=7, mean=5, limit=10, longest=8)
FULL = Text(prompt=7, mean=10, limit=10)


def units(speed=None, student: Text = SHORT, **changes: Any) -> UnitCosts:
    """Of a model on a made machine, in batches of 16."""
    parts = {
        "speed": speed or measured(), "base": FULL, "student": student, "teacher": Text(5, 20, 20), "batch_size": 16,
        "continuous": False, "grading_workers": 2, "model": 100, "weights": 100, "state": 300,
    }  # fmt: skip
    return UnitCosts(**(parts | changes))


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
    assert Text(7, 50, 50).longest_of(8) == 50


def test_a_measured_longest_wins_over_the_geometric_one():
    assert Text(7, 10, 100, longest=25).longest_of(64) == 25


def test_completions_are_decoded_in_batches_until_the_longest_ends():
    work = units().answers(20, SHORT)
    # 16 and 4 sequences, 8 steps of a second each; the mean completion has 5 tokens.
    assert (work.seconds, work.generated) == (16, 100)


def test_vllm_gives_free_places_to_the_next_completion():
    work = units(continuous=True).answers(32, SHORT)
    assert work.seconds == pytest.approx(2 * 5)


def test_prompts_and_grading_take_their_time():
    speed = measured(prefill_seconds_per_token=0.1, grading_seconds=3.0)
    # 10 decoding steps; 4 prompts of 7 tokens; 4 answers graded by two workers.
    assert units(speed).answers(4, FULL).seconds == pytest.approx(10 + 4 * 7 * 0.1 + 4 * 3 / 2)


@pytest.mark.parametrize(
    ("kl", "checkpointing", "micro_batch", "forwards"),
    [(0.001, False, None, 2), (0.0, False, None, 1), (0.0, True, None, 2), (0.0, False, 8, 1), (0.0, False, 4, 2)],
)
def test_a_student_step_pays_for_its_log_probabilities_on_padded_sequences(kl, checkpointing, micro_batch, forwards):
    speed = measured(forward_seconds_per_token=0.01, backward_seconds_per_token=0.1, optimizer_seconds=5)
    # Micro-batches of half a group need their log-probabilities beforehand.
    passes = {"gradient_checkpointing": checkpointing, "micro_batch_size": micro_batch}
    student = StudentConfig(batch_size=4, group_size=8, kl_coefficient=kl, **passes)
    work = units(speed).student_step(student)
    # All 32 as one batch, 8 steps; padded to 8 tokens after a prompt of 7.
    assert work.seconds == pytest.approx(8 + 32 * 15 * (forwards * 0.01 + 0.1) + 5)
    assert (work.generated, work.trained) == (160, 160)


def test_buckets_read_each_prompt_once_and_share_the_padding_out():
    speed = measured(forward_seconds_per_token=0.01, backward_seconds_per_token=0.1)
    student = StudentConfig(batch_size=4, group_size=8, kl_coefficient=0, length_buckets=3)
    # 32 completions of 5 + (8 - 5) / 3 tokens, 4 prompts of 7.
    assert units(speed).student_step(student).seconds == pytest.approx(8 + (32 * 6 + 4 * 7) * 0.11)
    checkpointing = student.model_copy(update={"gradient_checkpointing": True})
    assert units(speed).student_step(checkpointing).seconds == pytest.approx(8 + (32 * 6 + 4 * 7) * (2 * 0.01 + 0.1))


def test_micro_batches_of_less_than_a_group_read_its_prompt_again():
    speed = measured(forward_seconds_per_token=0.01, backward_seconds_per_token=0.1)
    student = StudentConfig(batch_size=1, group_size=8, kl_coefficient=0, length_buckets=2, micro_batch_size=2)
    # 8 completions of 5 + (8 - 5) / 2 tokens: with the prompt once for the old log-probabilities, and with it four
    # times, there and back.
    assert units(speed).student_step(student).seconds == pytest.approx(8 + (52 + 7) * 0.01 + (52 + 4 * 7) * 0.11)


def test_prompts_of_shuffled_micro_batches_agree_with_a_simulation():
    rng, prompts = np.random.default_rng(4), np.repeat(np.arange(4), 8)
    for at_once in (1, 4, 16, 32):
        shuffled = [np.array_split(rng.permutation(prompts), 32 // at_once) for _ in range(2000)]
        read = np.mean([sum(len(set(rows)) for rows in micro_batches) for micro_batches in shuffled])
        assert shuffled_prompts(32, 8, at_once) == pytest.approx(read, rel=0.01)


def test_a_step_of_self_play_reads_prompts_in_every_optimizer_step():
    speed = measured(forward_seconds_per_token=0.01, backward_seconds_per_token=0.1, grading_seconds=0)
    serl = SerlConfig(questions=4, samples=8, batch_size=8, kl_coefficient=0, length_buckets=3)
    # 32 completions of 6 tokens: scored with a prompt for each group of 8, and trained on in shuffled eights.
    scoring, prompts = (32 * 6 + 4 * 7) * 0.01, shuffled_prompts(32, 8, 8)
    assert 4 < prompts < 4 * 4
    work = units(speed).self_play_step(serl, rounds=0, rollouts=1, examples=0)
    assert work.seconds == pytest.approx(2 * 8 + scoring + (32 * 6 + prompts * 7) * 0.11)


def test_padding_of_buckets_agrees_with_a_simulation_of_geometric_lengths():
    text, batch, buckets = Text(7, 50, 400), 64, 4
    lengths = np.sort(np.minimum(np.random.default_rng(2).geometric(1 / 50, (5000, batch)), 400), axis=1)
    widths = lengths.reshape(5000, buckets, batch // buckets).max(axis=2)
    assert text.padded(batch, buckets) == pytest.approx(widths.mean(), rel=0.1)


@pytest.mark.parametrize("budget", [300, 600, 1500])
def test_padding_within_a_budget_agrees_with_a_simulation_of_what_passes_do(budget: int):
    rng, rows = np.random.default_rng(3), 64
    padded = real = 0
    for _ in range(50):
        lengths = np.sort(np.minimum(rng.geometric(1 / 50, rows), 400)).tolist()
        parts = Parts(tokens=budget).split(torch.arange(rows), lengths)
        padded += sum(len(part) * lengths[part[-1]] for part in parts)
        real += sum(lengths)
    text = Text(7, real / 50 / rows, 400)
    assert text.padded(rows, 1, budget) / text.mean == pytest.approx(padded / real, rel=0.03)
    assert Text(7, 400, 400).padded(rows, 1, budget) == 400


def test_vllm_reads_a_prompt_once_for_its_group():
    speed = measured(prefill_seconds_per_token=0.1)
    # Five decoding steps; two prompts of 7 tokens, or all eight.
    assert units(speed, continuous=True).answers(8, SHORT, group=4).seconds == pytest.approx(5 + 2 * 7 * 0.1)
    assert units(speed).answers(8, SHORT, group=4).seconds == pytest.approx(8 + 8 * 7 * 0.1)


def test_a_first_step_has_no_pass_of_the_reference():
    speed = measured(forward_seconds_per_token=0.01)
    student = StudentConfig(batch_size=4, group_size=8)
    assert units(speed).reference_pass(student).seconds == pytest.approx(32 * 15 * 0.01)
    assert units(speed).reference_pass(student.model_copy(update={"micro_batch_size": 4})).seconds == 0


def test_an_engine_takes_its_time_for_every_draw():
    speed = measured(draw_seconds=2.0)
    assert units(speed).answers(20, SHORT).seconds == 16 + 2
    assert units(speed).questions(8, turns=2, acceptance=1, max_draws=1).seconds == 2 * (20 + 2)


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
    speed = measured(decoding=[{"sequences": 10, "seconds": 1.0}, {"sequences": 30, "seconds": 2.0}])
    assert [speed.decoding_step(n, 100) for n in (1, 10, 30, 50)] == pytest.approx([1, 1, 2, 3])


def test_the_roofline_of_a_stated_device(project: Path):
    device = read(project / "resources" / "throughput" / "h100.yaml", Device)
    size = ModelSize(1_000_000_000, 10, 8, head_dim=128, heads=8, hidden=1024, intermediate=4096, vocabulary=1000)
    speed = StatedSpeed(device, size, "bfloat16", "vllm")
    # 2 GB of weights and 256 caches of 100 tokens, each 2 * 10 * 8 * 128 * 2 bytes, at 0.7 of 3.35 TB/s.
    reading = (2e9 + 256 * 100 * 40_960) / (0.7 * 3.35e12)
    assert speed.decoding_step(256, 100) == pytest.approx(10 * 1e-4 + reading)
    assert speed.forward_seconds_per_token == pytest.approx(2e9 / (0.35 * 989e12))
    assert speed.backward_seconds_per_token == pytest.approx(2 * speed.forward_seconds_per_token)
    # In float32: weights and two moments read and written, gradients four times.
    assert speed.optimizer_seconds == pytest.approx((2 * 3 + 4) * 4e9 / 3.35e12)
