"""A fresh student in two processes (gloo, on the CPU) against the same in one."""

import json
import subprocess
import sys
from pathlib import Path

import forks
import pytest
import torch
from first_step import GENERATION, KINDS, PROMPTS, SCHEDULE, first_step
from safetensors.torch import load_file
from several_processes import in_processes
from workflow_runs import ROOT

from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.prompts import PromptFormat
from soar_pipeline.policy.sampling import SamplingParams
from soar_pipeline.policy.transformers_engine import TransformersGenerator


@pytest.fixture(scope="module")
def rollouts(base_model) -> list[list[int]]:
    """Four completions of each of three questions, drawn once and trained on everywhere."""
    policy = load_policy(base_model, "float32")
    prompts = PromptFormat(PROMPTS, False, policy.tokenizer)
    drawn = TransformersGenerator(policy, GENERATION.batch_size).sample(
        [prompts.student(item.question.question) for item in SCHEDULE],
        4,
        SamplingParams(GENERATION.student_max_new_tokens, seed=3),
    )
    return [list(completion.token_ids) for completions in drawn for completion in completions]


@pytest.fixture(scope="module")
def in_two_processes(base_model, rollouts, tmp_path_factory) -> Path:
    """What each of two processes has after one step on those rollouts."""
    folder = tmp_path_factory.mktemp("first-step")
    (folder / "rollouts.json").write_text(json.dumps(rollouts), encoding="utf-8")
    program = ROOT / "tests" / "support" / "first_step.py"
    command = [sys.executable, program, base_model, folder / "rollouts.json", folder]
    command = forks.forked(in_processes(2, command))
    done = subprocess.run(command, env=forks.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def same_in_two_processes(kind: str, name: str, folder: Path) -> dict[str, torch.Tensor]:
    """What both processes have, the same to the last bit."""
    first, second = (load_file(folder / f"{kind}-{process}-{name}.safetensors") for process in (0, 1))
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), f"{name}: {key}"
    return first


@pytest.mark.parametrize("kind", [kind for kind, settings in KINDS.items() if "dtype" not in settings])
def test_two_processes_take_the_step_of_one(kind, base_model, rollouts, in_two_processes):
    asked = KINDS[kind]
    # A sharded model shares no prompts, so the one alone must not either.
    parts = 1 if asked.get("sharded") else asked.get("length_buckets", 1)
    alone = first_step(base_model, rollouts, **{**asked, "sharded": False, "length_buckets": parts})
    for name, expected in alone.items():
        found = same_in_two_processes(kind, name, in_two_processes)
        for key in expected:
            # Sums in another order: a gradient's small entries are rounded by its large ones.
            atol = 1e-5 * max(1.0, expected[key].abs().max().item())
            torch.testing.assert_close(found[key], expected[key], rtol=1e-3, atol=atol, msg=f"{name}: {key}")
    assert all(gradient.abs().max() > 1e-4 for gradient in alone["gradients"].values())


@pytest.mark.parametrize("kind", ["bfloat16", "sharded, bfloat16"])
def test_two_processes_take_the_step_of_one_in_bfloat16(kind, base_model, rollouts, in_two_processes):
    """Up to the rounding of bfloat16, which depends on how rollouts are spread; weights are float32 in both."""
    alone = first_step(base_model, rollouts, dtype="bfloat16")
    found = {name: same_in_two_processes(kind, name, in_two_processes) for name in alone}
    for name in ("gradients", "weights", "optimizer_state"):
        assert {tensor.dtype for tensor in found[name].values()} == {torch.float32}
    gradient, expected = (
        torch.cat([step["gradients"][key].flatten() for key in alone["gradients"]]) for step in (found, alone)
    )
    assert torch.cosine_similarity(gradient, expected, dim=0) > 0.99
    assert float(gradient.norm()) == pytest.approx(float(expected.norm()), rel=0.02)
    for key, weight in found["weights"].items():
        assert torch.equal(found["sampler"][key], weight.bfloat16())


def test_processes_draw_different_completions_of_one_question(in_two_processes):
    first, second = (
        json.loads((in_two_processes / f"drawn-{process}.json").read_text(encoding="utf-8")) for process in (0, 1)
    )
    assert len(first) == len(second) == 8
    assert first != second
