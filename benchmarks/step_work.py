"""What a student's training computes, holds and moves, counted inside what the pipeline uses, beside the estimate.

    python benchmarks/step_work.py

- Passes: positions that a step computes, of which too many are padding, prompts that were read before, and passes that
  are not needed. Completions are not drawn: their lengths are geometric, cut off at the limit, as `python -m
  soar_pipeline.cost` assumes. Ratios to the tokens that are needed do not depend on the model's size.
- Logits: the largest tensor of a pass beside the logits of its rollouts: a Llama of 8 layers × 512 and 32,000 words.
- Students: bytes through files and samplings of a student of a SOAR run.

Everything runs on a CPU in some minutes, with models of random weights and Llama's shape.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from gpu_student_step import random_policy
from tabulate import tabulate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from trl.trainer.utils import add_fused_lm_head

from soar_pipeline.config import GenerationConfig, Prompts, StudentConfig
from soar_pipeline.cost.assumptions import bisect
from soar_pipeline.cost.work import Text, computed_tokens, forward_passes
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.rl.logprobs import Parts, completion_outputs
from soar_pipeline.rl.schedules import Question, constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.soar import students as students_module
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.students import InProcess, StudentPopulation, StudentWorker

SHAPE = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
WAYS = {
    "plain": {},
    "micro-batches, checkpointing": {"micro_batch_size": 16, "gradient_checkpointing": True},
    "4 buckets": {"length_buckets": 4},
    "4 buckets, micro-batches, checkpointing": {
        "length_buckets": 4, "micro_batch_size": 16, "gradient_checkpointing": True,
    },
    "2048 tokens, micro-batches of groups, checkpointing": {
        "pass_tokens": 2048, "micro_batch_size": 64, "gradient_checkpointing": True,
    },
    "2048 tokens, all groups, checkpointing": {"pass_tokens": 2048, "gradient_checkpointing": True},
}  # fmt: skip
REALISTIC = {
    "vocab_size": 32_000, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8,
    "num_attention_heads": 8, "num_key_value_heads": 4, "tie_word_embeddings": True,
}  # fmt: skip


class LargestTensor(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that any operation made."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.nbytes)
        return result


class Passes:
    """Positions that models compute, by layer: a layer runs once per pass, and once more if it is recomputed."""

    def __init__(self, *models: torch.nn.Module):
        self.forward = 0
        for model in models:
            model.model.layers[0].register_forward_pre_hook(self._count)

    def _count(self, layer, inputs) -> None:
        self.forward += inputs[0].shape[0] * inputs[0].shape[1]


def counted(changes: dict, text: Text, questions: int, group: int, steps: int) -> tuple[StudentConfig, float, int]:
    """The student's settings, positions per step that its trainer computes forward, and real tokens per step."""
    student = StudentConfig(batch_size=questions, group_size=group, **changes)
    rng, real, limit = np.random.default_rng(0), 0, text.limit
    # The mean of a geometric length cut off at the limit is what is assumed.
    stop = bisect(lambda q: (1 - (1 - q) ** limit) / q > text.mean, 0.0, 1.0)
    generation = GenerationConfig(student_max_new_tokens=limit)
    with tempfile.TemporaryDirectory() as folder, Grader() as grader:
        policy = random_policy(SHAPE, "float32", Path(folder))
        prompts = Prompts(student="{question}", teacher="t3")
        trainer = StudentTrainer(OpenPolicy.around(policy, prompts, generation, grader), student)

        def lengths(prompt_ids: list, *_) -> list[list[int]]:
            nonlocal real
            drawn = np.minimum(rng.geometric(stop, len(prompt_ids)), limit)
            real += int(drawn.sum()) + sum(map(len, prompt_ids))
            return [rng.integers(3, SHAPE["vocab_size"], number).tolist() for number in drawn]

        trainer.trainer._generate_single_turn = lengths
        passes = Passes(policy.model, trainer.trainer.ref_model)
        chosen = [
            Question(f"q{i}", " ".join(f"t{word}" for word in rng.integers(3, 500, int(text.prompt))), "1")
            for i in range(questions)
        ]
        schedule = constant_schedule(chosen, steps, questions, seed=0)
        trainer.train(schedule, seed=0, reference=copy_weights(policy.model))
    return student, passes.forward / steps, real // steps


def largest_tensor(shape: dict, rows: int, prompt: int, completion: int, budget: int | None) -> tuple[int, int]:
    """Bytes of the largest tensor of a forward and backward pass over so many rows, and of the logits of all of them.

    budget: tokens of a part; none: all rows at once.
    """
    with tempfile.TemporaryDirectory() as folder:
        policy = random_policy(shape, "float32", Path(folder))
    model = policy.model.train()
    add_fused_lm_head(model)
    ids = torch.randint(3, shape["vocab_size"], (rows, prompt + completion), generator=torch.Generator().manual_seed(0))
    ids[:, :prompt] = ids[0, :prompt]
    with LargestTensor() as largest:
        [logps] = completion_outputs(
            model, ids, torch.ones_like(ids), completion, ("log_probs",), parts=Parts(tokens=budget), share_prompts=True
        )
        logps.sum().backward()
    return largest.bytes, rows * completion * shape["vocab_size"] * 4


def moved(outer_steps: int, students: int, inner_steps: int) -> dict[str, float]:
    """Of a student of a SOAR run, one of which is promoted: models written and read, and samplings."""
    counts = dict.fromkeys(("written", "read", "samplings"), 0)

    def counting(name: str, function: Callable) -> Callable:
        def call(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)

        return call

    generation = GenerationConfig(student_max_new_tokens=8, segment_tokens=8)
    with tempfile.TemporaryDirectory() as folder, Grader() as grader, ExitStack() as patches:
        policy = random_policy(SHAPE, "float32", Path(folder, "model"))
        opened = OpenPolicy.around(policy, Prompts(student="{question}", teacher="t3"), generation, grader)
        trainer = StudentTrainer(opened, StudentConfig(batch_size=1, group_size=2))
        evaluator = Evaluator(opened)
        executor = InProcess(StudentWorker(trainer, evaluator))
        population = StudentPopulation(executor, evaluator, Path(folder, "students"), seed=0)
        for module, name, counted_as in (
            (students_module, "save_weights", "written"),
            (students_module, "load_weights", "read"),
            (type(opened.generator), "complete", "samplings"),
        ):
            patches.enter_context(patch.object(module, name, counting(counted_as, getattr(module, name))))
        questions, base = [Question("q", "t5 t6", "1")], copy_weights(policy.model)
        for step in range(1, outer_steps + 1):
            datasets, options = [questions] * students, {"repeats": 1, "inner_steps": inner_steps}
            results = population.train(step, datasets, baseline=base, reward_questions=questions, **options)
        population.weights(results[0])
    return {name: count / outer_steps / students for name, count in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=8, help="questions per step (default: 8)")
    parser.add_argument("--group-size", type=int, default=32, help="completions per question (default: 32)")
    parser.add_argument("--prompt-tokens", type=int, default=150, help="(default: 150)")
    parser.add_argument("--new-tokens", type=int, default=1024, help="limit of a completion (default: 1024)")
    parser.add_argument("--mean", type=float, default=0.4, help="mean completion, share of the limit (default: 0.4)")
    parser.add_argument("--steps", type=int, default=1, help="(default: 1)")
    options = parser.parse_args()
    text = Text(options.prompt_tokens, options.mean * options.new_tokens, options.new_tokens)
    rows, rollouts = [], options.questions * options.group_size
    # A prompt has to be read once for its group.
    needed = rollouts * text.mean + options.questions * text.prompt
    for way, changes in WAYS.items():
        student, computed, real = counted(changes, text, options.questions, options.group_size, options.steps)
        passes, share = forward_passes(student, rollouts), real / (rollouts * (text.prompt + text.mean))
        expected, _ = computed_tokens(student, rollouts, options.group_size, text)
        rows.append((way, passes, computed / passes / share / needed, computed / needed, computed / share / expected))
    header = ("student", "forward passes", "a pass: computed / needed", "a step", "measured / estimated")
    print(tabulate(rows, header, floatfmt=".2f"), "\n")

    rows = []
    for budget in (None, 1024, 256):
        largest, logits = largest_tensor(REALISTIC, 16, 64, 128, budget)
        rows.append((budget or "all", largest / 2**20, logits / 2**20, largest / logits))
    print(tabulate(rows, ("tokens of a part", "largest tensor (MB)", "all logits (MB)", "ratio"), floatfmt=".2f"), "\n")

    counts = moved(outer_steps=2, students=4, inner_steps=2)
    print("A student of 2 steps, in 2 outer steps of 4 students:", {k: round(v, 3) for k, v in counts.items()})


if __name__ == "__main__":
    main()
