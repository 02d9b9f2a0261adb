"""TRL's RLOO as we use it, against references of a few lines."""

import random
import weakref

import pytest
import torch
from transformers import TrainerCallback

from soar_pipeline.config import GenerationConfig, GradingConfig, StudentConfig, TeacherConfig
from soar_pipeline.generation.generator import Rollout, Turn
from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat, copy_weights, load_policy, set_weights
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.slices import Prompts
from soar_pipeline.soar.questions import TwoTurnWriter
from soar_pipeline.training.rloo import ResettableTrainer, learning_rate_factor
from soar_pipeline.training.schedules import Question, constant_schedule
from soar_pipeline.training.student import StudentTrainer
from soar_pipeline.training.teacher import TeacherTrainer, advantage_scale

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
TWO_TURNS = PROMPTS.model_copy(update={"teacher_answer": "<teacher><question>{question}</question>"})
GENERATION = GenerationConfig(student_max_new_tokens=30, teacher_max_new_tokens=40, batch_size=64)
# Of two operations: the base model solves about half of its attempts, so groups have a signal.
QUESTIONS = [
    Question(problem.question, problem.question, problem.answer)
    for problem in digit_shuffles.sample_distinct(random.Random(0), [2] * 8)
]


def leave_one_out(rewards: list[float]) -> list[float]:
    total = sum(rewards)
    return [reward - (total - reward) / (len(rewards) - 1) for reward in rewards]


def test_one_group_of_all_rollouts_has_the_advantages_of_the_datasets():
    rewards, n = [0.3, -0.1, 0.25, 0.0], 5
    scale = advantage_scale(len(rewards), n)
    grouped = leave_one_out([reward * scale for reward in rewards for _ in range(n)])
    expected = [advantage for advantage in leave_one_out(rewards) for _ in range(n)]
    torch.testing.assert_close(torch.tensor(grouped), torch.tensor(expected))


class GradientCatcher(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        self.gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def sequence_log_probability(policy, prompt: str, token_ids: tuple[int, ...]) -> torch.Tensor:
    prompt_ids = policy.tokenizer(prompt)["input_ids"]
    ids = torch.tensor([prompt_ids + list(token_ids)])
    log_probabilities = torch.log_softmax(policy.model(ids).logits[0, :-1], dim=-1)
    chosen = log_probabilities.gather(1, ids[0, 1:, None]).squeeze(1)
    return chosen[len(prompt_ids) - 1 :].sum()


def drawn_by_teacher(policy, count: int) -> list[Rollout]:
    generator = TransformersGenerator(policy, 64)
    drawn = generator.sample(["<teacher>"], samples=count, max_new_tokens=40, temperature=1.0, seed=3)[0]
    return [(Turn("<teacher>", completion),) for completion in drawn]


def drawn_in_two_turns(policy, count: int) -> list[Rollout]:
    prompts = PromptFormat(TWO_TURNS, False, policy.tokenizer)
    return [
        item.turns for item in TwoTurnWriter(TransformersGenerator(policy, 64), prompts, GENERATION).write(count, 3)
    ]


def rollout_log_probability(policy, rollout: Rollout) -> torch.Tensor:
    return sum(sequence_log_probability(policy, turn.prompt, turn.completion.token_ids) for turn in rollout)


@pytest.mark.parametrize(("prompts", "drawn"), [(PROMPTS, drawn_by_teacher), (TWO_TURNS, drawn_in_two_turns)])
@pytest.mark.parametrize("kl_coefficient", [0.0, 0.3])
def test_teacher_gradient_is_that_of_rloo_over_datasets(base_model, prompts, drawn, kl_coefficient):
    policy = load_policy(base_model, "float32")
    rewards, n = [0.5, -0.2, 0.1], 4
    rollouts = drawn(policy, len(rewards) * n)
    teacher = TeacherTrainer(
        policy,
        PromptFormat(prompts, False, policy.tokenizer),
        TeacherConfig(learning_rate=1e-4, kl_coefficient=kl_coefficient, max_grad_norm=1e9, micro_batch_size=6),
        GENERATION,
        datasets=len(rewards),
        questions_per_dataset=n,
        total_steps=1,
    )
    catcher = GradientCatcher()
    teacher.trainer.add_callback(catcher)
    # Away from where the teacher started, so that there is a KL.
    set_weights(policy.model, moved(teacher.start, 0.02))
    before = copy_weights(policy.model)
    kl = teacher.update(1, rollouts, [reward for reward in rewards for _ in range(n)], seed=0)

    with torch.no_grad():
        set_weights(policy.model, teacher.start)
        reference = [rollout_log_probability(policy, rollout) for rollout in rollouts]
    set_weights(policy.model, before)
    policy.model.zero_grad()
    log_probabilities = [rollout_log_probability(policy, rollout) for rollout in rollouts]
    log_ratios = [(now - then).item() for now, then in zip(log_probabilities, reference, strict=True)]
    scaled = [reward * advantage_scale(len(rewards), n) for reward in rewards for _ in range(n)]
    advantages = leave_one_out([r - kl_coefficient * ratio for r, ratio in zip(scaled, log_ratios, strict=True)])
    (-sum(a * logp for a, logp in zip(advantages, log_probabilities, strict=True)) / len(rollouts)).backward()
    for name, parameter in policy.model.named_parameters():
        torch.testing.assert_close(catcher.gradients[name], parameter.grad, rtol=1e-3, atol=1e-5, msg=name)
    tokens = sum(len(turn.completion.token_ids) for rollout in rollouts for turn in rollout)
    assert kl == (pytest.approx(sum(log_ratios) / tokens, rel=1e-4) if kl_coefficient else None)


def moved(weights: dict[str, torch.Tensor], by: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: value * (1 + by * torch.randn(value.shape, generator=generator)) for name, value in weights.items()}


def test_rejection_sampling_leaves_the_rloo_gradient_unchanged(base_model):
    """Spec section 3: with advantages that sum to zero the acceptance probability drops out of the gradient."""
    policy = load_policy(base_model, "float32")
    # The accepted set: one-token completions out of five tokens, so that its probability can be summed exactly.
    accepted = list(range(13, 18))
    prompt = torch.tensor([policy.tokenizer("<student>482917aL<answer_here>")["input_ids"]])
    advantages = torch.tensor(leave_one_out([1.0, 0.2, -0.4, 0.7, 0.1]))

    def gradient(restricted: bool) -> torch.Tensor:
        policy.model.zero_grad()
        log_probabilities = torch.log_softmax(policy.model(prompt).logits[0, -1], dim=-1)[accepted]
        if restricted:
            log_probabilities = log_probabilities - torch.logsumexp(log_probabilities, dim=0)
        (advantages * log_probabilities).sum().backward()
        return torch.cat([parameter.grad.flatten() for parameter in policy.model.parameters()])

    unrestricted = gradient(restricted=False)
    assert unrestricted.abs().max() > 1e-3
    torch.testing.assert_close(gradient(restricted=True), unrestricted, rtol=1e-3, atol=1e-5)


def student_trainer(policy, grader, **settings) -> StudentTrainer:
    config = StudentConfig(learning_rate=1e-3, kl_coefficient=0.1, batch_size=2, group_size=4, **settings)
    return StudentTrainer(policy, PromptFormat(PROMPTS, False, policy.tokenizer), grader, config, GENERATION)


def test_moments_are_let_go_after_a_training(base_model):
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    with Grader(GradingConfig()) as grader:
        trainer = student_trainer(policy, grader)
        trainer.train(constant_schedule(QUESTIONS, steps=1, batch_size=2, seed=1), 7, start=base, reference=base)
        moment = weakref.ref(next(iter(trainer.trainer.optimizer.state.values()))["exp_avg"])
        assert moment() is not None
        trainer.release()
        assert moment() is None


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_reset_trainer_trains_like_a_new_one(base_model):
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    with Grader(GradingConfig()) as grader:
        schedule = constant_schedule(QUESTIONS, steps=3, batch_size=2, seed=1)
        metrics = student_trainer(policy, grader).train(schedule, 7, start=base, reference=base)
        once = copy_weights(policy.model)
        used = student_trainer(policy, grader)
        used.train(constant_schedule(QUESTIONS, steps=2, batch_size=2, seed=2), 8, start=base, reference=base)
        assert not equal(copy_weights(policy.model), base)
        again = used.train(schedule, 7, start=base, reference=base)
    assert equal(copy_weights(policy.model), once)
    assert [step.reward for step in again] == [step.reward for step in metrics]
    assert [step.step for step in again] == [1, 2, 3]
    assert all(not torch.equal(base[name], once[name]) for name in base)


def test_segments_hand_over_schedule_and_moments(base_model):
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    schedule = constant_schedule(QUESTIONS, steps=4, batch_size=2, seed=1)
    with Grader(GradingConfig()) as grader:
        trainer = student_trainer(policy, grader)
        trainer.train(schedule[:4], 1, start=base, reference=base, total_steps=4)
        middle, moments = copy_weights(policy.model), trainer.moments()
        assert float(moments["model.norm.weight/step"]) == 2
        second = trainer.train(schedule[4:], 2, start=middle, reference=base, total_steps=4, moments=moments)
        assert [step.step for step in second] == [3, 4]
        assert float(trainer.moments()["model.norm.weight/step"]) == 4
        rates = [entry["learning_rate"] for entry in trainer.trainer.state.log_history if "learning_rate" in entry]
    expected = [1e-3 * learning_rate_factor(step, 4, 0) for step in (3, 4)]
    torch.testing.assert_close(torch.tensor(rates), torch.tensor(expected))


def test_learning_rate_warms_up_linearly_and_decays_by_a_cosine():
    factors = [learning_rate_factor(step, total=10, warmup=4) for step in range(1, 11)]
    torch.testing.assert_close(torch.tensor(factors[:5]), torch.tensor([0.25, 0.5, 0.75, 1.0, 1.0]))
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert 0 < factors[-1] < 0.1


def test_a_student_trained_in_one_pass_is_the_one_trained_in_two(base_model, monkeypatch):
    """TRL's own trainer is the reference; the policy's passes that follow generation are counted."""
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    schedule = constant_schedule(QUESTIONS, steps=3, batch_size=2, seed=1)
    passes = []
    policy.model.register_forward_pre_hook(
        lambda _, args, options: passes.append(1) if "labels" in options else None, with_kwargs=True
    )

    def trained() -> tuple[dict[str, torch.Tensor], list[float], int]:
        passes.clear()
        with Grader(GradingConfig()) as grader:
            metrics = student_trainer(policy, grader).train(schedule, 7, start=base, reference=base)
        return copy_weights(policy.model), [step.reward for step in metrics], len(passes)

    weights, rewards, one_pass = trained()
    monkeypatch.setattr(StudentConfig, "one_pass", False)
    expected, expected_rewards, two_passes = trained()
    assert (one_pass, two_passes) == (3, 6)
    assert rewards == expected_rewards
    for name in weights:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("one_pass", [True, False])
def test_passes_over_parts_of_similar_length_train_the_same_student(base_model, monkeypatch, one_pass):
    monkeypatch.setattr(StudentConfig, "one_pass", one_pass)
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    schedule = constant_schedule(QUESTIONS, steps=3, batch_size=2, seed=1)
    positions = []

    def counting(*arguments, **options):
        counted = policy.model.register_forward_pre_hook(
            lambda _, args, options: positions.append(options["input_ids"].numel()), with_kwargs=True
        )
        found = passed(*arguments, **options)
        counted.remove()
        return found

    passed = ResettableTrainer._get_per_token_logps_and_entropies
    monkeypatch.setattr(ResettableTrainer, "_get_per_token_logps_and_entropies", counting)

    def trained(**settings: int) -> tuple[dict[str, torch.Tensor], list[tuple[float, float]], int]:
        positions.clear()
        with Grader(GradingConfig()) as grader:
            metrics = student_trainer(policy, grader, **settings).train(schedule, 7, start=base, reference=base)
        return copy_weights(policy.model), [(step.reward, step.kl) for step in metrics], sum(positions)

    expected, seen, padded = trained()
    weights, seen_in_parts, trimmed = trained(length_parts=3)
    assert trimmed < 0.7 * padded
    assert [reward for reward, _ in seen_in_parts] == [reward for reward, _ in seen]
    torch.testing.assert_close(torch.tensor(seen_in_parts), torch.tensor(seen), rtol=1e-3, atol=1e-5)
    # AdamW makes a whole step of a gradient that is nearly nought, whose sign is rounding.
    assert distance(weights, expected) < 0.01 * distance(expected, base)


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return float(sum((first[name] - second[name]).square().sum() for name in first).sqrt())
