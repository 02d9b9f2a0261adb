"""What a student's step computes is what the estimate counts, and no more than it needs."""

import pytest
from step_work import SHAPE, counted, largest_tensor, moved

from soar_pipeline.cost.work import Text, computed_tokens, forward_passes

TEXT = Text(prompt=12, mean=16, limit=40)
WAYS = {
    "plain": {},
    "micro-batches, checkpointing": {"micro_batch_size": 8, "gradient_checkpointing": True},
    "buckets": {"length_buckets": 4},
    "buckets of micro-batches, checkpointing": {
        "length_buckets": 4, "micro_batch_size": 8, "gradient_checkpointing": True,
    },
    "tokens, micro-batches of groups, checkpointing": {
        "pass_tokens": 160, "micro_batch_size": 16, "gradient_checkpointing": True,
    },
    "tokens, micro-batches of less than a group, checkpointing": {
        "pass_tokens": 160, "micro_batch_size": 4, "gradient_checkpointing": True,
    },
    "tokens, all groups": {"pass_tokens": 160},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_positions_of_a_step_are_those_of_the_estimate(way: str):
    student, computed, real = counted(WAYS[way], TEXT, questions=2, group=16, steps=4)
    assert real == pytest.approx(32 * (TEXT.prompt + TEXT.mean), rel=0.15)
    assert computed == pytest.approx(computed_tokens(student, 32, 16, TEXT)[0], rel=0.15)


def test_a_pass_computes_hardly_more_than_it_needs():
    text = Text(prompt=150, mean=410, limit=1024)
    student, computed, _ = counted({"pass_tokens": 2048}, text, questions=8, group=32, steps=1)
    needed = 256 * text.mean + 8 * text.prompt
    assert computed / forward_passes(student, 256) < 1.1 * needed


def test_no_tensor_is_as_large_as_the_logits():
    shape = SHAPE | {"vocab_size": 4000}
    whole, logits = largest_tensor(shape, rows=32, prompt=16, completion=32, budget=None)
    part, _ = largest_tensor(shape, rows=32, prompt=16, completion=32, budget=32)
    # The head's tile: as wide as TRL makes it, whatever the vocabulary.
    assert part <= 32 * 32768 * 4 < min(whole, logits) / 3


def test_a_student_moves_no_weights_but_the_promoted_one():
    # The baseline is written once, for eight students, and so is the promoted one; both are read.
    assert moved(outer_steps=2, students=4, inner_steps=2) == {
        "written": 2 / 8,
        "read": 2 / 8,
        # Two steps, an evaluation, and a share of the baseline's.
        "samplings": 3 + 1 / 4,
    }
