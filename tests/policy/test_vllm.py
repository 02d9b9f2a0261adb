"""The vLLM engine, for real, on the toy base model; `make vllm` installs what it needs."""

import json
import random
import subprocess
import sys
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import pytest
import torch
from padded_heads import with_padded_heads
from scipy.stats import chisquare
from several_processes import in_processes
from stage_commands import SOAR_OUTPUTS, digests, soar_command
from workflow_runs import ROOT

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import PROMOTIONS, STUDENTS
from soar_pipeline.config import ConfigError, GenerationConfig, Prompts, StudentConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.engines import generator_of
from soar_pipeline.policy.loading import DivergedError, Policy, load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import SamplingParams
from soar_pipeline.policy.transformers_engine import TransformersGenerator
from soar_pipeline.policy.weights import copy_weights, set_weights
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer

vllm_engine = pytest.importorskip(
    "soar_pipeline.policy.vllm_engine", reason="vLLM is not installed; `make vllm` installs it and runs these tests"
)

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(engine="vllm", batch_size=256, student_max_new_tokens=40)
# Of two operations: the base model solves about half of its attempts, so groups have a signal.
QUESTIONS = [
    Question(problem.question, problem.question, problem.answer)
    for problem in digit_shuffles.sample_distinct(random.Random(0), [2] * 8)
]


@pytest.fixture(scope="module")
def base_model(base_model, tmp_path_factory) -> Path:
    """The toy task's base model, with heads that vLLM has a kernel for on a CPU."""
    folder = tmp_path_factory.mktemp("padded") / "model"
    with_padded_heads(base_model, folder)
    return folder


@pytest.fixture
def policy(base_model) -> Policy:
    return load_policy(base_model, "float32")


def student_prompts(count: int) -> list[str]:
    """Of two to nine operations: of many lengths, with answers of many lengths."""
    problems = digit_shuffles.sample_distinct(random.Random(1), [2 + i % 8 for i in range(count)])
    return [f"<student>{problem.question}<answer_here>" for problem in problems]


def moved(weights: dict[str, torch.Tensor], by: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: value * (1 + by * torch.randn(value.shape, generator=generator)) for name, value in weights.items()}


def test_heads_that_vllm_has_no_kernel_for_are_refused(project):
    shipped = load_policy(project / "resources" / "models" / "digit-shuffles", "float32")
    with pytest.raises(ConfigError, match="has heads of 24"):
        vllm_engine._Engine(shipped, GENERATION)


def test_padded_heads_change_nothing(project, policy):
    shipped = load_policy(project / "resources" / "models" / "digit-shuffles", "float32")
    ids = torch.randint(40, (8, 60), generator=torch.Generator().manual_seed(0))
    expected, found = (vllm_engine.log_probabilities(each, ids) for each in (shipped, policy))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_greedy_completions_are_those_of_transformers(policy):
    prompts = [*student_prompts(64), "<teacher>"]
    expected = TransformersGenerator(policy, 64).greedy(prompts, max_new_tokens=100)
    assert generator_of(policy, GENERATION).greedy(prompts, max_new_tokens=100) == expected
    assert sum(completion.tokens for completion in expected) > 500


@pytest.mark.parametrize("max_new_tokens", [1, 7])
def test_completions_stop_and_are_truncated_as_with_transformers(policy, max_new_tokens):
    policy.model.generation_config.eos_token_id = [1, policy.tokenizer("7")["input_ids"][0]]
    prompts = student_prompts(64)
    expected = TransformersGenerator(policy, 64).greedy(prompts, max_new_tokens=max_new_tokens)
    assert generator_of(policy, GENERATION).greedy(prompts, max_new_tokens=max_new_tokens) == expected
    if max_new_tokens > 1:
        assert {completion.truncated for completion in expected} == {True, False}


def test_a_stop_ends_a_completion_as_with_transformers(policy):
    engines = (TransformersGenerator(policy, 64), generator_of(policy, GENERATION))
    expected, found = (engine.greedy(student_prompts(64), 40, stop="7") for engine in engines)
    assert found == expected
    assert {"7" in policy.tokenizer.decode(completion.token_ids) for completion in found} == {True, False}
    assert not any("7" in completion.text for completion in found)


def test_the_same_seed_gives_the_same_completions(policy):
    generator = generator_of(policy, GENERATION)
    three, four = SamplingParams(40, seed=3), SamplingParams(40, seed=4)
    prompts = student_prompts(16)
    state = torch.get_rng_state()
    first = generator.sample(prompts, 8, three)
    assert torch.equal(torch.get_rng_state(), state)
    generator.sample(student_prompts(5), 8, SamplingParams(40, seed=9))
    assert generator.sample(prompts, 8, three) == first
    assert generator.sample(prompts, 8, four) != first
    assert [len(drawn) for drawn in first] == [8] * 16
    assert len({completion.text for completion in first[0]}) > 1


def next_token(
    policy: Policy, prompt: str, written: list[int], top_p: float, presence_penalty: float, temperature: float
):
    """The exact distribution of the token after `written`."""
    ids = policy.tokenizer(prompt)["input_ids"] + written
    with torch.no_grad():
        logits = policy.model(torch.tensor([ids])).logits[0, -1].double()
    logits[written] -= presence_penalty
    chances = (logits / temperature).softmax(0)
    likely, order = chances.sort(descending=True)
    outside = order[likely.cumsum(0) - likely >= top_p]
    chances[outside] = 0
    return chances / chances.sum()


@pytest.mark.parametrize(
    ("temperature", "top_p", "presence_penalty"), [(1.0, 1.0, 0.0), (1.7, 1.0, 0.0), (1.7, 0.8, 0.0), (1.0, 1.0, 2.0)]
)
def test_samples_follow_the_models_distribution(policy, temperature, top_p, presence_penalty):
    prompt = "<teacher>"
    settings = {"top_p": top_p, "presence_penalty": presence_penalty, "temperature": temperature}
    [drawn] = generator_of(policy, GENERATION).sample([prompt], 4000, SamplingParams(4, seed=1, **settings))
    rows = [completion.token_ids for completion in drawn if len(completion.token_ids) == 4]
    # The last of four tokens, after whatever most often stands before it.
    written = max(sorted({row[:3] for row in rows}), key=lambda before: sum(row[:3] == before for row in rows))
    vocabulary = policy.model.config.vocab_size
    seen = torch.bincount(torch.tensor([row[3] for row in rows if row[:3] == written]), minlength=vocabulary)
    expected = next_token(policy, prompt, list(written), **settings) * seen.sum()
    assert seen[expected == 0].sum() == 0
    rare = expected < 5
    observed = [*seen[~rare].tolist(), seen[rare].sum().item()]
    predicted = [*expected[~rare].tolist(), expected[rare].sum().item()]
    assert len(observed) > 2
    if predicted[-1] == 0:
        observed, predicted = observed[:-1], predicted[:-1]
    assert chisquare(observed, predicted).pvalue > 1e-3


def test_one_engine_draws_for_teacher_and_student(base_model, policy):
    other = load_policy(base_model, "float32")
    set_weights(other.model, moved(copy_weights(other.model), 0.3))
    prompts = student_prompts(32)
    expected = [TransformersGenerator(each, 64).greedy(prompts, max_new_tokens=40) for each in (policy, other)]
    assert expected[0] != expected[1]
    generators = [generator_of(each, GENERATION) for each in (policy, other)]
    for _ in range(2):
        assert [generator.greedy(prompts, max_new_tokens=40) for generator in generators] == expected
    assert generators[0].engine is generators[1].engine


def test_a_policy_of_another_architecture_is_refused(policy):
    generator_of(policy, GENERATION)
    policy.model.resize_token_embeddings(50)
    # Before it samples: the judge of a SOAR run is made before the first outer step.
    with pytest.raises(ConfigError, match=r"generation\.engine: .*another"):
        generator_of(policy, GENERATION)


def test_weights_that_are_no_numbers_are_told_as_a_diverged_training(policy):
    generator = generator_of(policy, GENERATION)
    with torch.no_grad():
        policy.model.model.norm.weight[0] = torch.nan
    with pytest.raises(DivergedError, match="learning_rate"):
        generator.greedy(["<teacher>"], max_new_tokens=1)


def student_trainer(policy: Policy, grader: Grader, engine: str = "vllm") -> StudentTrainer:
    config = StudentConfig(learning_rate=4e-4, kl_coefficient=0.1, batch_size=4, group_size=16)
    generation = GENERATION.model_copy(update={"engine": engine})
    return StudentTrainer(OpenPolicy.around(policy, PROMPTS, generation, grader), config)


def test_the_probe_stops_a_training_whose_weights_are_not_pushed(policy, monkeypatch):
    base = copy_weights(policy.model)
    schedule = constant_schedule(QUESTIONS, steps=3, batch_size=4, seed=1)
    pushes = []
    push = vllm_engine._Engine.push

    def push_once(engine, pushed):
        pushes.append(pushed)
        if len(pushes) == 1:
            push(engine, pushed)

    monkeypatch.setattr(vllm_engine._Engine, "push", push_once)
    with Grader() as grader, pytest.raises(vllm_engine.SyncError, match="does not have the weights"):
        student_trainer(policy, grader).train(schedule, 7, start=base, reference=base)
    # The first step's rollouts had the weights; its update did not reach the engine.
    assert len(pushes) == 2


def test_a_student_does_not_depend_on_those_before_it(policy):
    base = copy_weights(policy.model)
    schedule = constant_schedule(QUESTIONS, steps=2, batch_size=4, seed=1)
    with Grader() as grader:
        trainer = student_trainer(policy, grader)
        first = trainer.train(schedule, 7, start=base, reference=base)
        once = copy_weights(policy.model)
        trainer.train(schedule, 8, start=base, reference=base)
        assert trainer.train(schedule, 7, start=base, reference=base) == first
    again = copy_weights(policy.model)
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not any(torch.equal(once[name], base[name]) for name in once)


def solve_rate(policy: Policy, grader: Grader) -> float:
    drawn = TransformersGenerator(policy, 256).sample(
        [f"<student>{item.question}<answer_here>" for item in QUESTIONS],
        32,
        SamplingParams(40, seed=99),
    )
    pairs = [(item.answer, each.text) for item, group in zip(QUESTIONS, drawn, strict=True) for each in group]
    return fmean(grade.verdict == "right" for grade in grader.grade(pairs))


def test_students_learn_as_with_transformers(policy):
    """Their mean solve rate, over the same schedules, differs by less than its error."""
    base = copy_weights(policy.model)
    learned = {}
    with Grader() as grader:
        before = solve_rate(policy, grader)
        for engine in ("vllm", "transformers"):
            trainer = student_trainer(policy, grader, engine)
            learned[engine] = []
            for seed in range(1, 5):
                schedule = constant_schedule(QUESTIONS, steps=12, batch_size=4, seed=seed)
                trainer.train(schedule, seed, start=base, reference=base)
                learned[engine].append(solve_rate(policy, grader))
    error = sqrt(sum(stdev(rates) ** 2 / len(rates) for rates in learned.values()))
    assert min(fmean(rates) for rates in learned.values()) > before + 0.2
    assert abs(fmean(learned["vllm"]) - fmean(learned["transformers"])) < 3 * error


def test_processes_that_train_together_have_an_engine_each(base_model, tmp_path):
    program = ROOT / "tests" / "support" / "vllm_in_processes.py"
    done = subprocess.run(
        in_processes(2, [sys.executable, program, base_model, tmp_path]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = [json.loads((tmp_path / f"{index}.json").read_text(encoding="utf-8")) for index in range(2)]
    assert [same for same, _ in written] == [True, True]
    assert all(text for _, texts in written for text in texts)


@pytest.fixture(scope="module")
def config(smoke):
    """The smoke configuration, drawn by vLLM."""
    generation = smoke.generation.model_copy(update={"engine": "vllm"})
    return smoke.model_copy(update={"generation": generation})


def test_a_soar_run_is_the_same_again_and_with_workers(config, base_model, hard_problems, tmp_path):
    """Two outer steps, a promotion after each: in one process, then with students in two processes of their own."""
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        command = soar_command(config, "grounded", base_model, hard_problems, folder, workers=workers)
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert len(read_rows(tmp_path / "1" / "students.parquet", STUDENTS)) == 4
    assert len(read_rows(tmp_path / "1" / "promotions.parquet", PROMOTIONS)) == 2
    assert digests(tmp_path / "2", SOAR_OUTPUTS) == digests(tmp_path / "1", SOAR_OUTPUTS)
