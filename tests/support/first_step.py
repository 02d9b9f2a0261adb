"""The first optimizer step of a student on given rollouts, alone or in several processes (tests/rl/test_processes.py).

python -m torch.distributed.run --standalone --nproc-per-node=2 tests/support/first_step.py BASE_MODEL ROLLOUTS OUTPUT
"""

import json
import random
import sys
from pathlib import Path

import torch
from gradients import GradientCatcher
from safetensors.torch import save_file
from sharded_student import shard_on_cpu
from torch.distributed.tensor import DTensor

from soar_pipeline.config import GenerationConfig, Lora, Prompts, StudentConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.questions import Question
from soar_pipeline.rl.distributed import init_distributed, processes
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(student_max_new_tokens=30, batch_size=64)
# Of two operations: the base model solves about half of its attempts. Two processes share the second of three groups.
SCHEDULE = constant_schedule(
    [
        Question(problem.question, problem.question, problem.answer)
        for problem in digit_shuffles.sample_distinct(random.Random(0), [2] * 3)
    ],
    steps=1,
    batch_size=3,
    seed=1,
)
# A step in one pass; one whose rollouts are trained on two at a time; one of adapters; each of them with passes that
# share prompts; one in bfloat16; and sharded ones, last, as a process shards from its first sharded model on.
KINDS = {
    "one-pass": {},
    "micro-batches": {"micro_batch_size": 2},
    "adapters": {"lora": Lora(rank=4, alpha=8)},
    "parts": {"length_buckets": 2},
    "parts of micro-batches": {"length_buckets": 2, "micro_batch_size": 2},
    "parts by tokens, checkpointing": {"pass_tokens": 60, "gradient_checkpointing": True},
    "adapters, in parts": {"length_buckets": 2, "lora": Lora(rank=4, alpha=8)},
    "bfloat16": {"dtype": "bfloat16"},
    "sharded": {"sharded": True},
    "sharded micro-batches": {"sharded": True, "micro_batch_size": 2},
    "sharded, in parts": {"sharded": True, "length_buckets": 2},
    "sharded, bfloat16": {"sharded": True, "dtype": "bfloat16"},
}


def first_step(
    base_model: Path,
    rollouts: list[list[int]],
    micro_batch_size: int | None = None,
    length_buckets: int = 1,
    pass_tokens: int | None = None,
    gradient_checkpointing: bool = False,
    lora: Lora | None = None,
    sharded: bool = False,
    dtype: str = "float32",
) -> dict[str, dict[str, torch.Tensor]]:
    """`gradients`, `weights` after the step, the `optimizer_state` and the `metrics` of one step on all rollouts.

    In bfloat16 also the `sampler`'s weights.
    """
    policy = load_policy(base_model, dtype, trained=lora is None)
    config = StudentConfig(
        learning_rate=1e-3,
        kl_coefficient=0.1,
        batch_size=3,
        group_size=len(rollouts) // 3,
        max_grad_norm=1e9,
        # A gradient of nearly nothing must not be blown up to a step whose sign is chance.
        adam_epsilon=1e-2,
        micro_batch_size=micro_batch_size,
        length_buckets=length_buckets,
        pass_tokens=pass_tokens,
        gradient_checkpointing=gradient_checkpointing,
    )
    catcher = GradientCatcher()
    with Grader() as grader:
        student = StudentTrainer(OpenPolicy.around(policy, PROMPTS, GENERATION, grader), config, sharded, lora)
        base = copy_weights(policy.model)
        share = len(rollouts) // processes().num_processes
        own = rollouts[processes().process_index * share :][:share]
        student.trainer._generate_single_turn = lambda prompt_ids, images, fields: own
        student.trainer.add_callback(catcher)
        # Away from the reference, so that there is a KL.
        generator = torch.Generator().manual_seed(1)
        noise = {name: 0.02 * torch.randn(value.shape, generator=generator) for name, value in base.items()}
        start = {name: value + noise[name] * (value.std() or 1) for name, value in base.items()}
        [metrics] = student.train(SCHEDULE, 7, start=start, reference=base)
    assert all(isinstance(parameter, DTensor) == sharded for parameter in policy.model.parameters())
    figures = (metrics.reward, metrics.kl, metrics.zero_std_fraction, metrics.tokens)
    return {
        "gradients": catcher.gradients,
        "weights": copy_weights(policy.model),
        **({"sampler": copy_weights(policy.sampler())} if policy.samples_from_copy else {}),
        "optimizer_state": student.optimizer_state(),
        "metrics": {"metrics": torch.tensor(figures, dtype=torch.float64)},
    }


def drawn_for_one_question(base_model: Path) -> list[str]:
    """What this process draws in a step on one question, whose group all processes share."""
    policy = load_policy(base_model, "float32")
    config, drawn = StudentConfig(batch_size=1, group_size=16, kl_coefficient=0), []
    with Grader() as grader:
        student = StudentTrainer(OpenPolicy.around(policy, PROMPTS, GENERATION, grader), config)
        rewards = student.trainer.reward_funcs[0]

        def noting(completions, **options):
            drawn.extend(completions)
            return rewards(completions, **options)

        student.trainer.reward_funcs[0] = noting
        student.train(SCHEDULE[:1], 7, reference={})
    return drawn


if __name__ == "__main__":
    shard_on_cpu()
    init_distributed()
    rollouts = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    drawn = json.dumps(drawn_for_one_question(Path(sys.argv[1])))
    (Path(sys.argv[3]) / f"drawn-{processes().process_index}.json").write_text(drawn, encoding="utf-8")
    for kind, options in KINDS.items():
        for name, tensors in first_step(Path(sys.argv[1]), rollouts, **options).items():
            file = Path(sys.argv[3]) / f"{kind}-{processes().process_index}-{name}.safetensors"
            save_file({key: tensor.clone() for key, tensor in tensors.items()}, file)
