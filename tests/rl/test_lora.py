"""Students with adapters: what is trained, what KL is taken to, and what is written."""

import pytest
import torch
from first_step import GENERATION, PROMPTS, SCHEDULE

from soar_pipeline.config import (
    ConfigError,
    FreshStudentChanges,
    Lora,
    Settings,
    StudentConfig,
    StudentRun,
    load,
    validate,
)
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import Policy, load_policy, save_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import SamplingParams
from soar_pipeline.policy.transformers_engine import TransformersGenerator
from soar_pipeline.policy.weights import copy_weights, set_weights
from soar_pipeline.rl.student import StudentTrainer

LORA = Lora(rank=4, alpha=8)


@pytest.fixture
def grader():
    with Grader() as grader:
        yield grader


@pytest.fixture
def policy(base_model) -> Policy:
    return load_policy(base_model, "float32")


def student_trainer(policy: Policy, grader: Grader, seed: int = 1, **changes) -> StudentTrainer:
    config = StudentConfig(learning_rate=1e-2, kl_coefficient=0.1, batch_size=3, group_size=4, **changes)
    return StudentTrainer(OpenPolicy.around(policy, PROMPTS, GENERATION, grader), config, lora=LORA, seed=seed)


def logits(policy: Policy) -> torch.Tensor:
    encoded = policy.tokenizer([PROMPTS.student.replace("{question}", item.question.question) for item in SCHEDULE])
    with torch.no_grad():
        return torch.cat([policy.model(torch.tensor([ids])).logits[0] for ids in encoded["input_ids"]])


def test_adapters_alone_are_trained_and_end_in_a_plain_model(base_model, policy, grader, tmp_path):
    base, before = copy_weights(policy.model), logits(policy)
    trainer = student_trainer(policy, grader)
    start = copy_weights(policy.model)
    torch.testing.assert_close(logits(policy), before)
    trainer.train(SCHEDULE, 7, start=start, reference=start)

    trained = copy_weights(policy.model)
    moved = {name for name in trained if not torch.equal(trained[name], start[name])}
    # In the first step only B has a gradient: A is multiplied with its zeros.
    assert moved == {name for name in trained if ".lora_B." in name}
    assert {name.partition("/")[0] for name in trainer.optimizer_state()} == {
        f"base_model.model.{name}" for name in trained if ".lora_" in name
    }
    after = logits(policy)
    assert (after - before).abs().max() > 1e-3

    trainer.merge()
    torch.testing.assert_close(logits(policy), after, rtol=1e-4, atol=1e-4)
    merged = copy_weights(policy.model)
    assert merged.keys() == base.keys()
    changed = {name for name in merged if not torch.equal(merged[name], base[name])}
    assert changed == {name.partition(".lora_B.")[0] + ".weight" for name in moved}

    save_policy(tmp_path / "model", policy, merged)
    torch.testing.assert_close(logits(load_policy(tmp_path / "model", "float32")), after, rtol=1e-4, atol=1e-4)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {path.name for path in base_model.iterdir()}


def test_the_reference_is_the_base_model(base_model, policy, grader):
    prompts = [PROMPTS.student.replace("{question}", item.question.question) for item in SCHEDULE]
    drawn = TransformersGenerator(policy, 64).sample(prompts, 4, SamplingParams(30, seed=3))
    rollouts = [list(completion.token_ids) for completions in drawn for completion in completions]
    trainer = student_trainer(policy, grader)
    trainer.trainer._generate_single_turn = lambda prompt_ids, images, fields: rollouts
    start = copy_weights(policy.model)
    generator = torch.Generator().manual_seed(1)
    away = {
        name: value + 0.05 * torch.randn(value.shape, generator=generator) if ".lora_B." in name else value
        for name, value in start.items()
    }
    set_weights(policy.model, away)
    base = load_policy(base_model, "float32")
    log_ratio = sum(
        log_probability(policy, prompts[i // 4], ids) - log_probability(base, prompts[i // 4], ids)
        for i, ids in enumerate(rollouts)
    )
    [metrics] = trainer.train(SCHEDULE, 7, start=away, reference=start)
    assert abs(log_ratio) > 1
    assert metrics.kl == pytest.approx(log_ratio / sum(map(len, rollouts)), rel=1e-4)


def log_probability(policy: Policy, prompt: str, token_ids: list[int]) -> float:
    prompt_ids = policy.tokenizer(prompt)["input_ids"]
    ids = torch.tensor([prompt_ids + token_ids])
    with torch.no_grad():
        log_probabilities = torch.log_softmax(policy.model(ids).logits[0, :-1], dim=-1)
    return log_probabilities.gather(1, ids[0, 1:, None])[len(prompt_ids) - 1 :].sum().item()


def test_a_reset_student_has_its_first_adapters_again(policy, grader):
    trainer = student_trainer(policy, grader)
    start = copy_weights(policy.model)
    once = trained_twice(trainer, start)
    again = trained_twice(trainer, start)
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert all(not torch.equal(once[name], start[name]) for name in once if ".lora_" in name)


def trained_twice(trainer: StudentTrainer, start) -> dict[str, torch.Tensor]:
    """After two steps both A and B have moved."""
    trainer.train(SCHEDULE, 7, start=start, reference=start)
    trainer.train(SCHEDULE, 8, reference=start)
    return copy_weights(trainer.policy.model)


def test_one_pass_with_adapters_is_two(policy, base_model, grader, monkeypatch):
    one_pass = student_trainer(policy, grader)
    start = copy_weights(policy.model)
    one_pass.train(SCHEDULE, 7, start=start, reference=start)
    once = copy_weights(policy.model)
    one_pass.train(SCHEDULE, 8, start=once, reference=start)
    twice = copy_weights(policy.model)

    monkeypatch.setattr(StudentConfig, "on_policy", lambda config, share: False)
    other = load_policy(base_model, "float32")
    two_passes = student_trainer(other, grader)
    # The second step starts from the same weights, to the last bit: it samples by them.
    for seed, before, after in ((7, start, once), (8, once, twice)):
        two_passes.train(SCHEDULE, seed, start=before, reference=start)
        weights = copy_weights(other.model)
        for name in after:
            torch.testing.assert_close(weights[name], after[name], rtol=1e-3, atol=1e-5, msg=name)


def test_adapters_are_drawn_by_the_seed(policy, base_model, grader):
    first, second = policy, load_policy(base_model, "float32")
    student_trainer(first, grader, seed=1)
    student_trainer(second, grader, seed=2)
    drawn = [copy_weights(each.model) for each in (first, second)]
    assert all(not torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0] if ".lora_A." in name)


def test_adapters_are_for_fresh_students_only(project):
    values = load(project / "config" / "smoke.yaml").model_dump()
    values["student"]["lora_rank"] = 4
    with pytest.raises(ConfigError, match=r"student\.lora_rank"):
        validate(values, "smoke.yaml")


def test_an_arm_may_have_adapters(project):
    config = load(project / "config" / "smoke.yaml")
    assert Settings.of(config, "train_fresh_student", StudentRun("shuffles", "hard_only", 0, 1)).lora is None
    arm = config.arms["hard_only"].model_copy(update={"fresh_student": FreshStudentChanges(lora_rank=4, lora_alpha=8)})
    config = config.model_copy(update={"arms": {**config.arms, "hard_only": arm}})
    assert Settings.of(config, "train_fresh_student", StudentRun("shuffles", "hard_only", 0, 1)).lora == LORA


def test_adapters_are_not_sharded(project):
    values = load(project / "config" / "smoke.yaml").model_dump()
    values["fresh_student"]["lora_rank"] = 4
    values["resources"]["train_fresh_student"] = {"gpu": 2, "sharding": "full"}
    with pytest.raises(ConfigError, match="adapters are trained with sharding: none only"):
        validate(values, "smoke.yaml")
