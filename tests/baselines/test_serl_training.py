"""SeRL's sampling, update and loop: against references of a few lines, and for real on the toy model."""

import math
import random
import shutil
from dataclasses import replace
from statistics import fmean, pstdev

import pytest
import torch
from gradients import GradientCatcher, sequence_log_probability
from hard_problems import write_hard_problems
from transformers import get_cosine_with_min_lr_schedule_with_warmup

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.baselines.serl.questions import SelfPlayError
from soar_pipeline.baselines.serl.training import Sample, SerlTrainer, whitened_advantages
from soar_pipeline.config import ConfigError, GenerationConfig, Prompts, SerlConfig, SerlRun, Settings, validate
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import SamplingParams
from soar_pipeline.policy.transformers_engine import TransformersGenerator
from soar_pipeline.policy.weights import copy_weights, set_weights
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.train_serl import train_serl

PROMPTS = ["<student>482917aLbR<answer_here>", "<student>123456aV<answer_here>"]


def reference_draw(policy, prompt: str, tokens: int, temperature: float, top_p: float, penalty: float) -> list[int]:
    """Token by token: presence penalty on what was written, then temperature, then the nucleus."""
    ids, written = policy.tokenizer(prompt)["input_ids"], []
    while len(written) < tokens and (not written or written[-1] not in policy.eos_token_ids):
        with torch.no_grad():
            logits = policy.model(torch.tensor([ids + written])).logits[0, -1]
        for token in set(written):
            logits[token] -= penalty
        probabilities = torch.softmax(logits / temperature, dim=-1)
        order = probabilities.argsort(descending=True).tolist()
        kept, mass = [], 0.0
        while mass < top_p and len(kept) < len(order):
            kept.append(order[len(kept)])
            mass += float(probabilities[kept[-1]])
        nucleus = torch.zeros_like(probabilities)
        nucleus[kept] = probabilities[kept]
        written.append(int(torch.multinomial(nucleus / nucleus.sum(), 1)))
    return written


@pytest.mark.parametrize(("top_p", "penalty"), [(1.0, 2.0), (0.7, 0.0), (0.95, 1.0)])
def test_nucleus_and_presence_penalty_sample_as_a_plain_loop_does(base_model, top_p, penalty):
    policy = load_policy(base_model, "float32")
    for seed in range(5):
        [[drawn]] = TransformersGenerator(policy, 8).sample(
            PROMPTS[:1], 1, SamplingParams(40, temperature=0.8, seed=seed, top_p=top_p, presence_penalty=penalty)
        )
        torch.manual_seed(seed)
        assert list(drawn.token_ids) == reference_draw(policy, PROMPTS[0], 40, 0.8, top_p, penalty)


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_what_has_ended_leaves_its_batch_and_nothing_else_changes(base_model, penalty):
    policy = load_policy(base_model, "float32")
    # Worked examples: the more operations, the longer the completion.
    prompts = PROMPTS + [f"<worked>482917{operations}<answer_here>" for operations in ("aL", "aLbRcV", "aLbRcVdHeSfT")]
    rows = []
    policy.model.register_forward_pre_hook(
        lambda _, args, options: rows.append(len(options["input_ids"])), with_kwargs=True
    )

    def decoded(segment_tokens: int | None) -> tuple[list, int]:
        rows.clear()
        generator = TransformersGenerator(policy, 64, segment_tokens)
        encoded = [ids for ids in generator._encoded(prompts) for _ in range(4)]
        # The most likely token every time: sampling with another number of rows draws other numbers.
        drawn = generator.complete(encoded, SamplingParams(60, temperature=0.0, presence_penalty=penalty))
        return drawn, sum(rows)

    expected, waiting = decoded(None)
    assert len({completion.tokens for completion in expected}) > 1
    for segment_tokens in (1, 5, 60):
        drawn, computed = decoded(segment_tokens)
        assert drawn == expected
        assert computed < waiting or segment_tokens == 60


def test_what_leaves_its_batch_is_sampled_from_the_same_distribution(base_model):
    """Solved shares of two samples of 800, by their normal approximation."""
    policy = load_policy(base_model, "float32")
    prompt, answer = "<student>482917aLbR<answer_here>", "482917"
    shares = []
    for segment_tokens in (None, 4):
        generator = TransformersGenerator(policy, 400, segment_tokens)
        [drawn] = generator.sample([prompt], 800, SamplingParams(60, seed=1))
        assert not any(completion.truncated for completion in drawn)
        shares.append(sum(f"boxed{{{answer}}}" in completion.text for completion in drawn) / len(drawn))
    spread = (shares[0] * (1 - shares[0]) * 2 / 800) ** 0.5
    assert 0.1 < shares[0] < 0.9
    assert abs(shares[0] - shares[1]) < 4 * spread


def test_presence_penalty_counts_every_row_of_a_padded_batch_for_itself(base_model):
    policy = load_policy(base_model, "float32")
    drawn = TransformersGenerator(policy, 8).sample(PROMPTS, 3, SamplingParams(20, seed=0, presence_penalty=1e4))
    for group in drawn:
        for completion in group:
            assert len(set(completion.token_ids)) == completion.tokens
    # What the prompt holds is not penalised: digits of the prompt can be written once.
    digits = {token for prompt in PROMPTS for token in policy.tokenizer(prompt)["input_ids"]}
    assert any(digits & set(completion.token_ids) for group in drawn for completion in group)


def reference_advantages(rewards: list[list[float | None]], kl: list[list[float]], coefficient: float):
    """Leave-one-out over the scorable completions of a group, then whitened over those of all groups."""
    raw = {}
    for g, group in enumerate(rewards):
        scores = {i: reward - coefficient * kl[g][i] for i, reward in enumerate(group) if reward is not None}
        for i, score in scores.items():
            others = [other for j, other in scores.items() if j != i]
            if others:
                raw[g, i] = score - fmean(others)
    mean, deviation = fmean(raw.values()), max(pstdev(raw.values()), 1e-4)
    return [
        [(raw[g, i] - mean) / deviation if (g, i) in raw else 0.0 for i in range(len(rewards[0]))]
        for g in range(len(rewards))
    ]


@pytest.mark.parametrize("missing", [[], [(0, 1)], [(0, 1), (0, 2), (0, 3)], [(2, 0), (2, 1), (2, 2), (2, 3)]])
def test_advantages_are_leave_one_out_with_the_kl_in_the_reward_and_whitened_over_the_rollout(missing):
    rng = random.Random(1)
    rewards = [[None if (g, i) in missing else float(rng.random() < 0.5) for i in range(4)] for g in range(3)]
    kl = [[rng.gauss(0.5, 1.0) for _ in range(4)] for _ in range(3)]
    scores = torch.tensor([[math.nan if reward is None else reward for reward in group] for group in rewards])
    found = whitened_advantages(scores, torch.tensor(kl), 0.3)
    torch.testing.assert_close(found, torch.tensor(reference_advantages(rewards, kl, 0.3)))
    scorable = found[~scores.isnan()]
    assert not torch.allclose(found, whitened_advantages(scores, torch.tensor(kl), 0.0))
    if len(missing) < 2:
        assert float(scorable.mean()) == pytest.approx(0, abs=1e-6)
        assert float(scorable.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_without_any_difference_or_reward_there_is_no_advantage():
    nothing = torch.full((2, 3), math.nan)
    assert whitened_advantages(nothing, torch.zeros(2, 3), 0.1).tolist() == [[0.0] * 3] * 2
    assert whitened_advantages(torch.ones(2, 3), torch.zeros(2, 3), 0.1).tolist() == [[0.0] * 3] * 2


def trainer_with(policy, **settings) -> SerlTrainer:
    config = SerlConfig(**{"questions": 2, "samples": 4, "batch_size": 8, "max_grad_norm": 1e9, **settings})
    generation = GenerationConfig(student_max_new_tokens=30)
    return SerlTrainer(OpenPolicy.around(policy, Prompts(student="{question}", teacher="?"), generation, None), config)


def perturbed(weights, scale: float):
    generator = torch.Generator().manual_seed(0)
    return {name: value + scale * torch.randn(value.shape, generator=generator) for name, value in weights.items()}


REWARDS = [[1.0, 0.0, 0.0, 1.0], [0.0, None, 1.0, 0.0]]


@pytest.fixture(scope="module")
def moved_away(base_model):
    """A policy that is no longer its base model, the trainer that keeps the base, and completions of the policy."""
    policy = load_policy(base_model, "float32")
    trainer = trainer_with(policy, kl_coefficient=0.2, micro_batch_size=4)
    set_weights(
        policy.model,
        perturbed(trainer.base, 0.02) | {"lm_head.weight": perturbed(trainer.base, 0.02)["model.embed_tokens.weight"]},
    )
    drawn = TransformersGenerator(policy, 8).sample(PROMPTS, 4, SamplingParams(30, seed=3))
    return policy, trainer, [[list(completion.token_ids) for completion in group] for group in drawn]


def test_samples_carry_log_probability_and_kl_of_the_whole_completion(moved_away):
    policy, trainer, drawn = moved_away
    now = copy_weights(policy.model)
    samples = trainer.samples(PROMPTS, drawn, REWARDS)
    assert [[sample.completion_ids for sample in group] for group in samples] == drawn

    def log_probabilities() -> torch.Tensor:
        with torch.no_grad():
            return torch.tensor(
                [
                    [float(sequence_log_probability(policy, p, ids)) for ids in group]
                    for p, group in zip(PROMPTS, drawn, strict=True)
                ]
            )

    mine = log_probabilities()
    set_weights(policy.model, trainer.base)
    kl = mine - log_probabilities()
    set_weights(policy.model, now)
    assert kl.abs().max() > 0.1
    found = torch.tensor([[[s.log_probability, s.kl, s.advantage] for s in group] for group in samples])
    torch.testing.assert_close(found[..., 0], mine, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found[..., 1], kl, rtol=1e-3, atol=1e-3)
    for group in samples:
        for sample in group:
            assert len(sample.token_log_probabilities) == len(sample.completion_ids)
            assert sum(sample.token_log_probabilities) == pytest.approx(sample.log_probability, abs=1e-4)
    expected = torch.tensor(reference_advantages(REWARDS, kl.tolist(), 0.2))
    torch.testing.assert_close(found[..., 2], expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("faithful", [True, False])
def test_gradient_is_that_of_the_clipped_ratio_times_the_advantage(faithful, moved_away, monkeypatch):
    """One ratio per token, as the released code has it, or per completion, as TRL has it."""
    policy, trainer, drawn = moved_away
    monkeypatch.setattr(trainer.trainer, "per_token", faithful)
    samples = [sample for group in trainer.samples(PROMPTS, drawn, REWARDS) for sample in group]
    # Drawn, as it were, by policies near and far: some ratios are clipped, some are not.
    shifts = [0.0, 0.1, -0.1, 0.5, -0.5, 0.15, 0.3, -0.3]
    samples = [
        replace(
            s,
            log_probability=s.log_probability + shift,
            token_log_probabilities=[
                # Every other token.
                value + shift * (i % 2)
                for i, value in enumerate(s.token_log_probabilities)
            ],
        )
        for s, shift in zip(samples, shifts, strict=True)
    ]
    catcher, before = GradientCatcher(), copy_weights(policy.model)
    trainer.trainer.add_callback(catcher)
    trainer.update(1, samples, seed=0)
    set_weights(policy.model, before)
    policy.model.zero_grad()
    losses = []
    for sample, prompt in zip(samples, [prompt for prompt in PROMPTS for _ in range(4)], strict=True):
        if faithful:
            now, before = token_log_probabilities(policy, prompt, sample), torch.tensor(sample.token_log_probabilities)
        else:
            now, before = sequence_log_probability(policy, prompt, sample.completion_ids), sample.log_probability
        ratio = (now - before).exp()
        losses.append(-torch.min(ratio * sample.advantage, ratio.clamp(0.8, 1.2) * sample.advantage).mean())
    torch.stack(losses).mean().backward()
    assert max(float(parameter.grad.abs().max()) for parameter in policy.model.parameters()) > 1e-2
    for name, parameter in policy.model.named_parameters():
        torch.testing.assert_close(catcher.gradients[name], parameter.grad, rtol=2e-3, atol=1e-5, msg=name)


def token_log_probabilities(policy, prompt: str, sample: Sample) -> torch.Tensor:
    """Token by token, each by a pass of its own."""
    ids = policy.tokenizer(prompt)["input_ids"]
    written = sample.completion_ids
    return torch.stack(
        [
            policy.model(torch.tensor([ids + written[:i]])).logits[0, -1].log_softmax(-1)[written[i]]
            for i in range(len(written))
        ]
    )


def test_an_update_is_one_epoch_in_steps_of_the_batch_size_along_one_schedule(base_model):
    policy = load_policy(base_model, "float32")
    settings = {"learning_rate": 1e-3, "warmup_steps": 3, "schedule_steps": 20, "final_learning_rate": 0.1}
    trainer = trainer_with(policy, batch_size=2, micro_batch_size=1, **settings)
    drawn = TransformersGenerator(policy, 8).sample(PROMPTS, 4, SamplingParams(30, seed=3))
    token_ids = [[list(completion.token_ids) for completion in group] for group in drawn]
    samples = [sample for group in trainer.samples(PROMPTS, token_ids, REWARDS) for sample in group]
    seen, loss = [], trainer.trainer._compute_loss

    def watched(model, inputs):
        seen.extend(inputs["old_logps"].tolist())
        return loss(model, inputs)

    trainer.trainer._compute_loss = watched
    rates = []
    for step in (1, 2):
        trainer.update(step, samples, seed=step)
        rates += [entry["learning_rate"] for entry in trainer.trainer.state.log_history if "learning_rate" in entry]
    everything = [sample.log_probability for sample in samples]
    assert sorted(seen[:8]) == sorted(seen[8:]) == pytest.approx(sorted(everything))
    assert seen[:8] != seen[8:]
    assert float(trainer.optimizer_state["model.norm.weight/step"]) == 8
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    theirs = get_cosine_with_min_lr_schedule_with_warmup(optimizer, 3, 20, min_lr_rate=0.1)
    expected = [rate * 1e-3 for rate in (1 / 3, 2 / 3, 1)] + [1e-3 * theirs.lr_lambdas[0](step) for step in range(3, 8)]
    torch.testing.assert_close(torch.tensor(rates), torch.tensor(expected))
    assert any(not torch.equal(trainer.base[name], value) for name, value in copy_weights(policy.model).items())


def train(config, base_model, train_file, folder, **changes) -> None:
    serl = config.serl.model_copy(update=changes)
    files = {name: folder / f"{name}.parquet" for name in ("training", "questions")}
    run = SerlRun("shuffles", 1)
    call_stage(
        train_serl,
        Settings.of(config.model_copy(update={"serl": serl}), "train_serl", run),
        run,
        base_model=base_model,
        train=train_file,
        test=train_file,
        model=folder / "model",
        evaluated=folder / "evaluated",
        **files,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"style": "numbered_list"}, r"serl.chat_template: true, but the tokenizer has no chat template"),
        (
            {"style": "numbered_list", "chat_template": False},
            r"prompts.serl with its examples: a prompt of \d+ tokens and 120 new tokens exceed",
        ),
        ({"max_new_tokens": 256}, r"teacher prompt: a prompt of 1 tokens and 256 new tokens exceed"),
        (
            {"min_words": 4, "max_rounds": 2},
            r"0 usable questions in 2 rounds of 8 prompts(.|\n)*The last outputs are:\n  '",
        ),
        (
            {"min_agreement": 0.99, "max_agreement": 0.995, "max_rollouts": 2},
            r"step 1: 0 of 8 questions had a majority(.|\n)*serl.max_rollouts(.|\n)*\n  \d\.\d\d '\d{6}",
        ),
    ],
)
def test_a_run_that_cannot_go_on_says_why(smoke, base_model, hard_problems, tmp_path, changes, reason):
    with pytest.raises((ConfigError, ArtifactError), match=reason):
        train(smoke, base_model, hard_problems, tmp_path, **changes)


def test_nothing_to_start_from_is_refused_by_file(smoke, base_model, tmp_path):
    with pytest.raises(ArtifactError, match=r"empty.parquet: holds no problem"):
        train(smoke, base_model, write_hard_problems(tmp_path / "empty.parquet", []), tmp_path)


def test_a_model_with_a_chat_template_is_asked_for_a_list_in_it(smoke, base_model, hard_problems, tmp_path):
    """The whole way of the released style; what this model makes of it is no question, and the error shows it."""
    folder = tmp_path / "with_template"
    shutil.copytree(base_model, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}[{{ m.content }}]{% endfor %}")
    prompt = tmp_path / "list.txt"
    prompt.write_text("{questions}")
    config = smoke.model_copy(update={"prompts": smoke.prompts.model_copy(update={"serl": str(prompt)})})
    settings = {"style": "numbered_list", "examples": 3, "max_new_tokens": 40, "max_rounds": 2, "min_words": 4}
    with pytest.raises(SelfPlayError, match="0 usable questions in 2 rounds of 8 prompts"):
        train(config, folder, hard_problems, tmp_path, **settings)


@pytest.mark.parametrize(
    ("role", "text"), [("serl", "no list"), ("serl_rollout", "no question"), ("serl", "{questions} {questions}")]
)
def test_a_prompt_without_its_placeholder_is_refused(smoke, tmp_path, role, text):
    file = tmp_path / "prompt.txt"
    file.write_text(text)
    config = smoke.model_copy(update={"prompts": smoke.prompts.model_copy(update={role: str(file)})})
    with pytest.raises(ConfigError, match=rf"prompts.{role}: .*prompt.txt must hold {{questions?}} exactly once"):
        Settings.of(config, "train_serl", SerlRun("shuffles", 1))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"evaluate_at": [50, 101]}, "`evaluate_at` must rise and end within `steps`"),
        ({"evaluate_at": [100, 50]}, "`evaluate_at` must rise"),
        ({"batch_size": 24}, "`batch_size` must divide"),
        ({"min_words": 9, "max_words": 8}, "`min_words` is more"),
        ({"min_agreement": 0.9}, "`min_agreement` is more"),
        ({"generated_examples": 9}, "`generated_examples` is more"),
        ({"micro_batch_size": 3}, "serl.micro_batch_size: 3 does not divide the 16 rollouts"),
    ],
)
def test_impossible_settings_are_refused_by_key(values, reason):
    whole = {
        "datasets": {"pool": {"adapter": "plain", "path": "pool.jsonl"}},
        "arms": {"hard_only": {"label": "Hard-Only"}, "serl": {"label": "SeRL", "policy": "serl", "step": 50}},
        "report": {"headline_arms": []},
    }
    assert validate(whole, "here").serl.optimizer_steps == 16
    with pytest.raises(ConfigError, match=reason):
        validate(whole | {"serl": values}, "here")
    whole["arms"]["serl"]["step"] = 60
    with pytest.raises(ConfigError, match=r"arms.serl.step: 60 is not in serl.evaluate_at"):
        validate(whole, "here")
