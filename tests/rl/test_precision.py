"""Training in bfloat16: float32 weights and moments, passes in autocast, a bfloat16 copy to sample from."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from soar_pipeline.baselines.serl.training import SerlTrainer
from soar_pipeline.config import (
    GenerationConfig,
    Lora,
    Prompts,
    SerlConfig,
    StudentConfig,
    TeacherConfig,
)
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import load_policy, save_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import Completion, Turn
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.soar.questions import TeacherQuestion
from soar_pipeline.soar.teacher import Teacher

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(student_max_new_tokens=12, teacher_max_new_tokens=12)
QUESTIONS = [Question(str(i), f"48291{i}aL", str(i)) for i in range(5)]
STEPS, SCHEDULE_STEPS = 10, 40

# Trains a policy for ten steps.
Training = Callable[[], None]


@pytest.fixture(scope="module")
def model_folder(base_model, tmp_path_factory) -> Path:
    """A model of Llama's shape and weight scales in bfloat16, with the toy task's tokenizer."""
    folder = tmp_path_factory.mktemp("precision") / "model"
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.02,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def grader():
    with Grader() as grader:
        yield grader


def opened(folder: Path, dtype: str, grader: Grader, trained: bool = True) -> OpenPolicy:
    return OpenPolicy.around(load_policy(folder, dtype, trained=trained), PROMPTS, GENERATION, grader)


def replies(policy: OpenPolicy, right: str, count: int, seed: int) -> list[list[int]]:
    """`count` encoded completions: boxed or not, right or not."""
    rng = random.Random(seed)
    texts = [rng.choice([rf"\boxed{{{right}}}", rf"\boxed{{{rng.randrange(10)}}}", right]) for _ in range(count)]
    return [[*ids, policy.tokenizer.eos_token_id] for ids in policy.tokenizer(texts)["input_ids"]]


def student_trainer(policy: OpenPolicy, lora: Lora | None = None, **changes) -> StudentTrainer:
    return StudentTrainer(policy, StudentConfig(batch_size=2, group_size=8, **changes), lora=lora)


def student(policy: OpenPolicy, **changes) -> Training:
    trainer = student_trainer(policy, **changes)
    schedule = constant_schedule(QUESTIONS, steps=STEPS, batch_size=2, seed=1)
    drawn = iter([schedule[i : i + 2] for i in range(0, len(schedule), 2)])
    trainer.trainer._generate_single_turn = lambda *_: [
        ids for item in next(drawn) for ids in replies(policy, item.question.answer, 8, item.step)
    ]
    return lambda: trainer.train(schedule, 7, reference=copy_weights(policy.model), total_steps=SCHEDULE_STEPS)


def teacher(policy: OpenPolicy) -> Training:
    config = TeacherConfig(warmup_steps=0)
    trained = Teacher(policy, config, datasets=4, questions_per_dataset=4, total_steps=SCHEDULE_STEPS, seed=0)

    def train() -> None:
        for step in range(1, STEPS + 1):
            written = [
                TeacherQuestion(QUESTIONS[0], (Turn("<teacher>", Completion("", len(ids), False, tuple(ids))),))
                for ids in replies(policy, str(step % 10), 16, step)
            ]
            trained.update(step, written, random.Random(step).sample([-1 / 64, 0.0, 1 / 64, 2 / 64], 4))

    return train


def serl(policy: OpenPolicy) -> Training:
    config = SerlConfig(questions=5, samples=8, batch_size=4, warmup_steps=0)
    assert config.optimizer_steps == STEPS
    trainer = SerlTrainer(policy, config)
    prompts = [PROMPTS.student.replace("{question}", item.question) for item in QUESTIONS]
    drawn = [replies(policy, item.answer, 8, i) for i, item in enumerate(QUESTIONS)]
    rng = random.Random(0)
    rewards = [[float(rng.random() < 0.5) for _ in range(8)] for _ in QUESTIONS]

    def train() -> None:
        groups = trainer.samples(prompts, drawn, rewards)
        trainer.update(1, [sample for group in groups for sample in group], seed=3)

    return train


def update(
    folder: Path, dtype: str, grader: Grader, training: Callable[..., Training], weights: str = "", **changes
) -> torch.Tensor:
    """The change of all trained parameters after ten steps, in one vector. weights: what to spoil the policy with."""
    policy = opened(folder, dtype, grader, trained="lora" not in changes)
    train = training(policy, **changes)
    if weights:
        policy.model.to(getattr(torch, weights))
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    before = [parameter.detach().to(torch.float64, copy=True) for parameter in parameters]
    train()
    return torch.cat([(now.detach().double() - then).flatten() for now, then in zip(parameters, before, strict=True)])


@pytest.fixture(scope="module")
def in_float64(model_folder, grader) -> Callable[..., torch.Tensor]:
    """The reference of a training; it does not depend on how the passes are cut."""

    @cache
    def expected(training: Callable[..., Training], lora: Lora | None) -> torch.Tensor:
        return update(model_folder, "float64", grader, training, **({"lora": lora} if lora else {}))

    return expected


KINDS = {
    "student": (student, {}),
    "student, checkpointing": (student, {"micro_batch_size": 8, "gradient_checkpointing": True}),
    "student, shared prompts": (student, {"length_buckets": 2}),
    # Adapters begin at nought: there is nothing to lose a small step against, but their passes are in bfloat16 too.
    "student, adapters": (student, {"lora": Lora(rank=4, alpha=8)}),
    "teacher": (teacher, {}),
    "serl": (serl, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_ten_steps_in_bfloat16_are_those_in_float64(kind, model_folder, grader, in_float64):
    training, changes = KINDS[kind]
    expected = in_float64(training, changes.get("lora"))
    found = update(model_folder, "bfloat16", grader, training, **changes)
    assert torch.cosine_similarity(found, expected, dim=0) >= 0.99
    assert float(found.norm()) == pytest.approx(float(expected.norm()), rel=0.02)


@pytest.mark.parametrize("training", [student, teacher, serl])
def test_bfloat16_parameters_would_lose_the_update(training, model_folder, grader, in_float64):
    """The test above can tell: this is what it would see of a training without float32 parameters."""
    expected = in_float64(training, None)
    found = update(model_folder, "bfloat16", grader, training, weights="bfloat16")
    assert torch.cosine_similarity(found, expected, dim=0) < 0.9


def test_bfloat16_parameters_are_not_trained(model_folder, grader):
    with pytest.raises(ValueError, match="trained=True"):
        student(opened(model_folder, "bfloat16", grader, trained=False))


def test_the_reference_takes_two_bytes_of_a_matrix_and_gives_the_policys_numbers(model_folder, grader):
    policy = opened(model_folder, "bfloat16", grader)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            # Numbers that bfloat16 does not have.
            parameter.mul_(1 + 1e-4)
    trainer = student_trainer(policy, kl_coefficient=0.1)
    schedule = constant_schedule(QUESTIONS, steps=1, batch_size=2, seed=1)
    trainer.trainer._generate_single_turn = lambda *_: replies(policy, "1", 16, seed=0)
    [metrics] = trainer.train(schedule, 7, reference=copy_weights(policy.model))
    assert metrics.kl == 0
    types = {name: parameter.dtype for name, parameter in trainer.trainer.ref_model.named_parameters()}
    assert types["model.layers.0.mlp.up_proj.weight"] == torch.bfloat16
    assert types["model.embed_tokens.weight"] == types["model.norm.weight"] == torch.float32


def test_what_is_sampled_is_the_trained_policy_in_bfloat16(model_folder, grader, tmp_path):
    policy = opened(model_folder, "bfloat16", grader)
    prompts = [PROMPTS.student.replace("{question}", item.question) for item in QUESTIONS]
    params = policy.student_params(seed=1)
    before = policy.rollout_generator.sample(prompts, 4, params)
    student(policy, learning_rate=1e-2)()
    after = policy.rollout_generator.sample(prompts, 4, params)
    assert after != before

    trained = copy_weights(policy.model)
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}
    save_policy(tmp_path / "model", policy, trained)
    assert AutoConfig.from_pretrained(tmp_path / "model").dtype == torch.bfloat16
    saved = opened(tmp_path / "model", "bfloat16", grader, trained=False)
    assert all(torch.equal(tensor, trained[name].bfloat16()) for name, tensor in copy_weights(saved.model).items())
    assert saved.sampler() is saved.model
    assert saved.generator.sample(prompts, 4, params) == after


def test_float32_is_sampled_and_trained_as_it_is(model_folder):
    policy = load_policy(model_folder, "float32", trained=True)
    assert policy.sampler() is policy.model
    with policy.autocast():
        assert not torch.is_autocast_enabled("cpu")
