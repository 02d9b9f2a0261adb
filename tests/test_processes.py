"""A fresh student in two processes (gloo, on the CPU) against the same in one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from first_step import GENERATION, KINDS, PROMPTS, SCHEDULE, first_step
from safetensors.torch import load_file
from several_processes import in_processes

from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.models.policy import PromptFormat, load_policy


@pytest.fixture(scope="module")
def rollouts(base_model) -> list[list[int]]:
    """Four completions of each of three questions, drawn once and trained on everywhere."""
    policy = load_policy(base_model, "float32")
    prompts = PromptFormat(PROMPTS, False, policy.tokenizer)
    drawn = TransformersGenerator(policy, GENERATION.batch_size).sample(
        [prompts.student(item.question) for item in SCHEDULE],
        samples=4,
        max_new_tokens=GENERATION.student_max_new_tokens,
        temperature=1.0,
        seed=3,
    )
    return [list(completion.token_ids) for completions in drawn for completion in completions]


@pytest.fixture(scope="module")
def in_two_processes(base_model, rollouts, tmp_path_factory) -> Path:
    """What each of two processes has after one step on those rollouts."""
    folder = tmp_path_factory.mktemp("first-step")
    (folder / "rollouts.json").write_text(json.dumps(rollouts), encoding="utf-8")
    program = Path(__file__).parent / "first_step.py"
    command = [sys.executable, program, base_model, folder / "rollouts.json", folder]
    done = subprocess.run(in_processes(2, command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_take_the_step_of_one(kind, base_model, rollouts, in_two_processes):
    alone = first_step(base_model, rollouts, **{**KINDS[kind], "sharded": False, "length_parts": 1})
    for name, expected in alone.items():
        first, second = (load_file(in_two_processes / f"{kind}-{process}-{name}.safetensors") for process in (0, 1))
        for key in expected:
            assert torch.equal(first[key], second[key]), f"{name}: {key}"
            # A gradient's small entries are rounded by its large ones.
            atol = 1e-5 * max(1.0, expected[key].abs().max().item())
            torch.testing.assert_close(first[key], expected[key], rtol=1e-3, atol=atol, msg=f"{name}: {key}")
    assert all(gradient.abs().max() > 1e-4 for gradient in alone["gradients"].values())


def test_processes_draw_different_completions_of_one_question(in_two_processes):
    first, second = (
        json.loads((in_two_processes / f"drawn-{process}.json").read_text(encoding="utf-8")) for process in (0, 1)
    )
    assert len(first) == len(second) == 8
    assert first != second
