"""TRL's RLOO as we use it, against references of a few lines."""

import random
import re
import weakref

import pytest
import torch
import trl
from gradients import GradientCatcher, sequence_log_probability
from trl import RLOOTrainer

from soar_pipeline.baselines.serl.training import PreparedTrainer
from soar_pipeline.config import GenerationConfig, Prompts, StudentConfig, TeacherConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import Rollout, SamplingParams, Turn
from soar_pipeline.policy.transformers_engine import TransformersGenerator
from soar_pipeline.policy.weights import copy_weights, set_weights
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.questions import Question
from soar_pipeline.rl import rloo
from soar_pipeline.rl.advantages import advantage_scale, leave_one_out_advantages, zero_std_fraction
from soar_pipeline.rl.checkpoints import CheckpointFolder
from soar_pipeline.rl.fresh_student import FreshStudent
from soar_pipeline.rl.on_policy import OnPolicyTrainer
from soar_pipeline.rl.rloo import ResettableTrainer, learning_rate_factor
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.rl.teacher import MultiTurnTrainer, RolloutTrainer
from soar_pipeline.rl.time_limit import TimeLimit
from soar_pipeline.soar.questions import TeacherQuestion, TwoTurnWriter
from soar_pipeline.soar.teacher import Teacher

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
TWO_TURNS = PROMPTS.model_copy(update={"teacher_answer": "<teacher><question>{question}</question>"})
GENERATION = GenerationConfig(student_max_new_tokens=30, teacher_max_new_tokens=40, batch_size=64)
# Of two operations: the base model solves about half of its attempts, so groups have a signal.
QUESTIONS = [
    Question(problem.question, problem.question, problem.answer)
    for problem in digit_shuffles.sample_distinct(random.Random(0), [2] * 8)
]


def leave_one_out(rewards: list[float]) -> list[float]:
    """Advantages of one group."""
    return leave_one_out_advantages(torch.tensor([rewards], dtype=torch.float64))[0].tolist()


def test_an_advantage_is_the_reward_less_the_mean_of_the_others():
    rewards = torch.tensor([[1.0, 2.0, 6.0], [0.0, torch.nan, 4.0], [torch.nan, 3.0, torch.nan]])
    advantages = leave_one_out_advantages(rewards)
    assert advantages[0].tolist() == [1 - 4, 2 - 3.5, 6 - 1.5]
    assert advantages[1, [0, 2]].tolist() == [-4, 4]
    # Neither what cannot be scored has an advantage, nor what is alone in its group.
    assert advantages[1:].isnan().tolist() == [[False, True, False], [True, True, True]]


def test_one_group_of_all_rollouts_has_the_advantages_of_the_datasets():
    rewards, n = [0.3, -0.1, 0.25, 0.0], 5
    scale = advantage_scale(len(rewards), n)
    grouped = leave_one_out([reward * scale for reward in rewards for _ in range(n)])
    expected = [advantage for advantage in leave_one_out(rewards) for _ in range(n)]
    torch.testing.assert_close(torch.tensor(grouped), torch.tensor(expected))


def test_no_trainer_is_reported_to_the_hub(base_model, monkeypatch):
    # TRL reports none of them where this is set.
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda *_, **__: pytest.fail("reported"))
    policy = load_policy(base_model, "float32")
    with Grader() as grader:
        student_trainer(policy, grader)


def test_trls_advantages_are_ours(base_model, monkeypatch):
    """With the KL in the reward, and a completion that cannot be scored."""
    by_trl(monkeypatch)
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    scripted = [120.0, 10.0, 0.0, 10.0, 120.0, None, 0.0, 0.0]
    with Grader() as grader:
        student = student_trainer(policy, grader)
        trainer = student.trainer
        trainer.reward_funcs[0] = lambda completions, **_: scripted
        scored = {}
        score = trainer._generate_and_score_completions
        trainer._generate_and_score_completions = lambda inputs: scored.update(score(inputs)) or scored
        # Away from the reference, so that there is a KL.
        start = moved(base, 0.02)
        student.train(constant_schedule(QUESTIONS, steps=1, batch_size=2, seed=1), 7, start=start, reference=base)
        set_weights(policy.model, base)
        rows = [scored[name] for name in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")]
        prompts, prompt_mask, completions, mask = rows
        ids, everything = torch.cat([prompts, completions], dim=1), torch.cat([prompt_mask, mask], dim=1)
        with torch.no_grad():
            reference, *_ = RLOOTrainer._get_per_token_logps_and_entropies(
                trainer, policy.model, ids, everything, completions.shape[1]
            )
    kl = scored["old_logps"] - (reference * mask).sum(1)
    assert kl.abs().min() > 1e-3
    rewards = torch.tensor([torch.nan if reward is None else reward for reward in scripted]) - 0.1 * kl
    expected = leave_one_out_advantages(rewards.view(2, 4)).flatten().nan_to_num(0.0)
    torch.testing.assert_close(scored["advantages"], expected, rtol=1e-4, atol=1e-3)


def test_equal_task_rewards_are_no_signal_whatever_the_kl(base_model):
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    with Grader() as grader:
        student = student_trainer(policy, grader)
        student.trainer.reward_funcs[0] = lambda completions, **_: [10.0] * 3 + [None] + [120.0, 10.0, 10.0, 10.0]
        schedule = constant_schedule(QUESTIONS, steps=1, batch_size=2, seed=1)
        [step] = student.train(schedule, 7, start=moved(base, 0.02), reference=base)
    assert step.kl != 0
    assert step.zero_std_fraction == 0.5


@pytest.mark.parametrize(
    ("group", "fraction"),
    [
        ([1.0, 1.0, 1.0], 1),
        ([1.0, 1.0, 2.0], 0),
        ([1.0, torch.nan, 1.0], 1),
        ([torch.nan] * 3, 1),
        ([0, torch.nan, 1], 0),
    ],
)
def test_a_group_without_two_different_rewards_teaches_nothing(group, fraction):
    assert zero_std_fraction(torch.tensor([group])) == fraction


def drawn_by_teacher(policy, count: int) -> list[Rollout]:
    generator = TransformersGenerator(policy, 64)
    [drawn] = generator.sample(["<teacher>"], count, SamplingParams(40, seed=3))
    return [(Turn("<teacher>", completion),) for completion in drawn]


def drawn_in_two_turns(policy, count: int) -> list[Rollout]:
    teacher = OpenPolicy.around(policy, TWO_TURNS, GENERATION, None)
    return [item.turns for item in TwoTurnWriter(teacher).write([""] * count, 3)]


def rollout_log_probability(policy, rollout: Rollout) -> torch.Tensor:
    return sum(sequence_log_probability(policy, turn.prompt, turn.completion.token_ids) for turn in rollout)


@pytest.mark.parametrize(("prompts", "drawn"), [(PROMPTS, drawn_by_teacher), (TWO_TURNS, drawn_in_two_turns)])
@pytest.mark.parametrize(("kl_coefficient", "groups"), [(0.0, 1), (0.3, 1), (0.0, 2), (0.3, 2)])
def test_teacher_gradient_is_that_of_rloo_over_datasets(base_model, prompts, drawn, kl_coefficient, groups):
    policy = load_policy(base_model, "float32")
    # R_k of three datasets, or of three in each of two groups.
    rewards, g, n = [0.5, -0.2, 0.1, 1.1, 0.7, 1.2][: 3 * groups], 3, 4
    rollouts = drawn(policy, len(rewards) * n)
    teacher = Teacher(
        OpenPolicy.around(policy, prompts, GENERATION, None),
        TeacherConfig(learning_rate=1e-4, kl_coefficient=kl_coefficient, max_grad_norm=1e9, micro_batch_size=6),
        datasets=g,
        questions_per_dataset=n,
        total_steps=1,
        seed=0,
        groups=groups,
    )
    catcher = GradientCatcher()
    teacher.trainer.add_callback(catcher)
    # Away from where the teacher started, so that there is a KL.
    set_weights(policy.model, moved(teacher.start, 0.02))
    before = copy_weights(policy.model)
    kl = teacher.update(1, [TeacherQuestion(Question("", "", ""), rollout) for rollout in rollouts], rewards)

    with torch.no_grad():
        set_weights(policy.model, teacher.start)
        reference = [rollout_log_probability(policy, rollout) for rollout in rollouts]
    set_weights(policy.model, before)
    policy.model.zero_grad()
    log_probabilities = [rollout_log_probability(policy, rollout) for rollout in rollouts]
    log_ratios = [(now - then).item() for now, then in zip(log_probabilities, reference, strict=True)]
    # In a group: R_k less the mean of the other datasets' R; and the KL's share less that of all other rollouts.
    advantages = []
    for first in range(0, len(rewards), g):
        of_datasets = leave_one_out(rewards[first : first + g])
        of_kl = leave_one_out([-kl_coefficient * ratio for ratio in log_ratios[first * n : (first + g) * n]])
        advantages += [of_datasets[i // n] + penalty for i, penalty in enumerate(of_kl)]
    (-sum(a * logp for a, logp in zip(advantages, log_probabilities, strict=True)) / len(rollouts)).backward()
    for name, parameter in policy.model.named_parameters():
        torch.testing.assert_close(catcher.gradients[name], parameter.grad, rtol=1e-3, atol=1e-5, msg=name)
    tokens = sum(len(turn.completion.token_ids) for rollout in rollouts for turn in rollout)
    assert kl == (pytest.approx(sum(log_ratios) / tokens, rel=2e-4) if kl_coefficient else None)


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


def by_trl(monkeypatch) -> None:
    """Student's steps are TRL's own."""
    monkeypatch.setattr(StudentConfig, "on_policy", lambda config, share: False)


def student_trainer(policy, grader, **settings) -> StudentTrainer:
    config = StudentConfig(learning_rate=1e-3, kl_coefficient=0.1, batch_size=2, group_size=4, **settings)
    return StudentTrainer(OpenPolicy.around(policy, PROMPTS, GENERATION, grader), config)


def test_the_optimizer_state_is_let_go_after_a_training(base_model):
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    with Grader() as grader:
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
    with Grader() as grader:
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


def test_segments_hand_over_schedule_and_optimizer_state(base_model):
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    schedule = constant_schedule(QUESTIONS, steps=4, batch_size=2, seed=1)
    with Grader() as grader:
        trainer = student_trainer(policy, grader)
        trainer.train(schedule[:4], 1, start=base, reference=base, total_steps=4)
        middle, state = copy_weights(policy.model), trainer.optimizer_state()
        assert float(state["model.norm.weight/step"]) == 2
        second = trainer.train(schedule[4:], 2, start=middle, reference=base, total_steps=4, optimizer_state=state)
        assert [step.step for step in second] == [3, 4]
        assert float(trainer.optimizer_state()["model.norm.weight/step"]) == 4
        rates = [entry["learning_rate"] for entry in trainer.trainer.state.log_history if "learning_rate" in entry]
    expected = [1e-3 * learning_rate_factor(step, 4, 0) for step in (3, 4)]
    torch.testing.assert_close(torch.tensor(rates), torch.tensor(expected))


def test_offloaded_moments_train_the_same_student_to_the_last_bit(base_model):
    """Over two segments, the second of which goes on from the moments of the first."""
    trained = []
    for offload in (False, True):
        policy = load_policy(base_model, "float32")
        base = copy_weights(policy.model)
        schedule = constant_schedule(QUESTIONS, steps=4, batch_size=2, seed=1)
        with Grader() as grader:
            trainer = student_trainer(policy, grader, offload_moments=offload)
            trainer.train(schedule[:4], 1, start=base, reference=base, total_steps=4)
            state = trainer.optimizer_state()
            trainer.release()
            trainer.train(schedule[4:], 2, reference=base, total_steps=4, optimizer_state=state)
            assert bool(trainer.trainer.optimizer.state) != offload
        trained.append((copy_weights(policy.model), trainer.optimizer_state()))
    (weights, state), (offloaded_weights, offloaded_state) = trained
    assert equal(offloaded_weights, weights)
    assert offloaded_state.keys() == state.keys() and equal(offloaded_state, state)


@pytest.mark.parametrize(("schedule_steps", "total"), [(None, 2), (30, 30)])
def test_a_fresh_student_may_stop_early_on_a_longer_schedule(base_model, tmp_path, schedule_steps, total):
    policy = load_policy(base_model, "float32")
    rates = {}

    def keep(step: int) -> None:
        history = trainer.trainer.state.log_history
        rates[step] = next(entry["learning_rate"] for entry in history if "learning_rate" in entry)

    with Grader() as grader:
        trainer = student_trainer(policy, grader)
        student = FreshStudent(
            trainer=trainer,
            base=copy_weights(policy.model),
            schedule=constant_schedule(QUESTIONS, steps=2, batch_size=2, seed=1),
            schedule_steps=schedule_steps,
            evaluate_every=1,
            keep=keep,
            all_kept=lambda steps: True,
            folder=CheckpointFolder(tmp_path),
            seed=0,
            after_step=lambda step: None,
            limit=TimeLimit(60),
        )
        assert [row["step"] for row in student.train()] == [1, 2]
    assert rates == {step: pytest.approx(1e-3 * learning_rate_factor(step, total, 0)) for step in (1, 2)}


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
        with Grader() as grader:
            # Epsilon: at its default, AdamW makes steps of the last digits of gradients that are nearly 0.
            trainer = student_trainer(policy, grader, adam_epsilon=1e-3)
            metrics = trainer.train(schedule, 7, start=base, reference=base)
        return copy_weights(policy.model), [step.reward for step in metrics], len(passes)

    weights, rewards, one_pass = trained()
    by_trl(monkeypatch)
    expected, expected_rewards, two_passes = trained()
    assert (one_pass, two_passes) == (3, 6)
    assert rewards == expected_rewards
    for name in weights:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)


# One that cannot be scored in the first group; in the second all rewards are equal, and only the KL tells them apart.
SCRIPTED = [120.0, 10.0, None, 0.0, 10.0, 10.0, 10.0, 10.0]


def first_gradient(base_model, grader, **settings) -> tuple[dict[str, torch.Tensor], list[tuple[int, bool]], float]:
    """Of a step away from the reference; tokens of each pass of the policy, and whether it had a gradient; the KL."""
    policy = load_policy(base_model, "float32")
    base = copy_weights(policy.model)
    student, catcher, passes = student_trainer(policy, grader, max_grad_norm=1e9, **settings), GradientCatcher(), []
    student.trainer.add_callback(catcher)
    student.trainer.reward_funcs[0] = lambda completions, **_: SCRIPTED
    score, scoring = student.trainer._get_per_token_logps_and_entropies, []

    def scored(*arguments, **options):
        scoring.append(True)
        found = score(*arguments, **options)
        scoring.clear()
        return found

    def count(layer, inputs) -> None:
        if scoring:
            passes.append((inputs[0].shape[0] * inputs[0].shape[1], torch.is_grad_enabled()))

    student.trainer._get_per_token_logps_and_entropies = scored
    policy.model.model.layers[0].register_forward_pre_hook(count)
    schedule = constant_schedule(QUESTIONS, steps=1, batch_size=2, seed=1)
    [metrics] = student.train(schedule, 7, start=moved(base, 0.02), reference=base)
    return catcher.gradients, passes, metrics.kl


@pytest.fixture(scope="module")
def trls_gradient(base_model):
    with pytest.MonkeyPatch.context() as patch, Grader() as grader:
        by_trl(patch)
        return first_gradient(base_model, grader)


@pytest.mark.parametrize(
    "settings",
    [
        {"gradient_checkpointing": True},
        {"micro_batch_size": 4},
        {"pass_tokens": 60},
        {"micro_batch_size": 4, "pass_tokens": 60, "gradient_checkpointing": True},
        {"micro_batch_size": 2, "pass_tokens": 60, "gradient_checkpointing": True},
        {"length_buckets": 3, "gradient_checkpointing": True},
    ],
    ids=lambda settings: ", ".join(settings),
)
def test_every_way_through_a_step_gives_the_gradient_of_trls_plain_one(base_model, trls_gradient, settings):
    expected, plain_passes, kl = trls_gradient
    with Grader() as grader:
        gradients, passes, found_kl = first_gradient(base_model, grader, **settings)
    for name, gradient in gradients.items():
        atol = 1e-5 * expected[name].abs().max().item() + 1e-8
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=atol, msg=name)
    assert found_kl == pytest.approx(kl, rel=1e-4)
    without_gradient = [tokens for tokens, graded in passes if not graded]
    # Only groups that are torn apart need their log-probabilities beforehand.
    assert bool(without_gradient) == (settings.get("micro_batch_size") == 2)
    if "pass_tokens" in settings:
        assert max(tokens for tokens, _ in passes) <= 60
        # The halves of a group that is torn apart read its prompt twice.
        most = 0.8 if without_gradient else 0.7
        assert sum(tokens for tokens, graded in passes if graded) < most * plain_passes[-1][0]


@pytest.mark.parametrize("on_policy", [True, False])
def test_passes_over_parts_of_similar_length_train_the_same_student(base_model, monkeypatch, on_policy):
    monkeypatch.setattr(StudentConfig, "on_policy", lambda config, share: on_policy)
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
        with Grader() as grader:
            metrics = student_trainer(policy, grader, **settings).train(schedule, 7, start=base, reference=base)
        return copy_weights(policy.model), [(step.reward, step.kl) for step in metrics], sum(positions)

    expected, seen, padded = trained()
    weights, seen_in_parts, trimmed = trained(length_buckets=3)
    assert trimmed < 0.7 * padded
    assert [reward for reward, _ in seen_in_parts] == [reward for reward, _ in seen]
    torch.testing.assert_close(torch.tensor(seen_in_parts), torch.tensor(seen), rtol=1e-3, atol=1e-5)
    # AdamW makes a whole step of a gradient that is nearly nought, whose sign is rounding.
    assert distance(weights, expected) < 0.01 * distance(expected, base)


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return float(sum((first[name] - second[name]).square().sum() for name in first).sqrt())


def test_private_names_of_trl_are_listed_with_the_version_they_were_read_in():
    """Another version: read these names there again, then change the number."""
    assert f"TRL {trl.__version__}." in rloo.__doc__
    for kind in (ResettableTrainer, OnPolicyTrainer, RolloutTrainer, MultiTurnTrainer, PreparedTrainer):
        extended = {name for name in vars(kind) if re.fullmatch("_[a-z].*", name) and hasattr(RLOOTrainer, name)}
        assert {name for name in extended if not re.search(rf"\b{name}\b", rloo.__doc__)} == set()
