"""The benchmarks run, in a small shape; what they measure is no test's business."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def printed(project: Path, *command: str) -> list[list[str]]:
    """The words of each line that a benchmark prints."""
    done = subprocess.run(
        [sys.executable, *command], cwd=project, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_a_student_step_of_a_known_shape_is_taken_apart(project: Path):
    shape = project / "resources" / "models" / "digit-shuffles" / "config.json"
    size = ["--questions", "2", "--group-size", "4", "--new-tokens", "24", "--prompt-tokens", "12", "--steps", "1"]
    command = [sys.executable, "benchmarks/gpu_student_step.py", "--shape", shape, "--dtype", "float32", *size]
    done = subprocess.run(
        [*command, "--device", "h200"], cwd=project, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    result = yaml.safe_load(done.stdout.rpartition("The students of a SOAR run")[0])
    assert result["parameters"] == 336288
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert result["step_seconds"] == pytest.approx(sum(result["seconds"].values()))
    # 200 outer steps, 16 students each, 10 or 15 steps.
    assert result["soar_run_gpu_hours"][0] == pytest.approx(200 * 16 * 10 * result["step_seconds"] / 3600)
    assert result["soar_run_gpu_hours"][1] == pytest.approx(1.5 * result["soar_run_gpu_hours"][0])
    # One policy pass, one reference pass, and a backward pass counted twice: 2 FLOPs per parameter and position each.
    # With forty tokens to choose from, the last of the eight completions may end early.
    training = result["seconds"]["log-probabilities"] + result["seconds"]["backward"]
    positions = result["training_flops_per_second"] * training / (2 * 336288 * 4)
    assert 8 * (12 + 12) < positions <= 8 * (12 + 24)
    assert positions == pytest.approx(round(positions))


def test_an_unknown_shape_is_refused_with_the_known_ones(project: Path):
    command = [sys.executable, "benchmarks/gpu_student_step.py", "--shape", "nowhere"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "meta-llama/Llama-3.2-3B-Instruct" in done.stderr


def test_ways_to_train_a_student_are_compared(project: Path):
    size = ["--steps", "2", "--rounds", "1"]
    lines = printed(project, "benchmarks/student_training.py", "--configfile", "config/smoke.yaml", *size)
    seconds = {name: float(value) for name, value, *_ in lines[:4]}
    assert list(seconds) == ["obvious", "parts", "ours", "floor"]
    assert float(lines[4][-1]) == pytest.approx(seconds["obvious"] / seconds["parts"], abs=0.2)
    assert float(lines[5][-1]) == pytest.approx(seconds["obvious"] / seconds["ours"], abs=0.2)
    assert float(lines[6][-1]) == pytest.approx(seconds["ours"] / seconds["floor"], abs=0.2)


def test_a_population_on_several_workers_is_compared_with_one(project: Path):
    size = ["--workers", "2", "--steps", "1", "--rounds", "1", "--sizes", "2"]
    lines = printed(project, "benchmarks/population.py", "--configfile", "config/smoke.yaml", *size)
    one, several, ratio = (float(line[-1 if line[-1] != "s" else -2]) for line in lines[:3])
    assert ratio == pytest.approx(one / several, abs=0.1)
    students, seconds, overhead = lines[4]
    assert students == "2" and float(seconds) > 0
    assert 0 < float(overhead.rstrip("%")) < 100


def test_the_early_stopping_filter_is_compared_with_drawing_every_sample(project: Path):
    size = ["--pools", "2", "--size", "8", "--sizes", "16"]
    lines = printed(project, "benchmarks/filter.py", "--configfile", "config/config.yaml", *size)
    operations, rate, tokens, *_ = lines[1]
    # Two operations: nearly every problem leaves after the first round of 8 of 128.
    assert operations == "2" and float(rate.rstrip("%")) > 20
    assert 3 < float(tokens) < 32
    problems, attempts, peak, unit, _ = lines[3]
    assert (problems, attempts, unit) == ("16", str(16 * 128), "GiB")
    assert 0.1 < float(peak) < 4


@pytest.fixture(params=["made up", "MATH"])
def pairs(request: pytest.FixtureRequest) -> list[str | Path]:
    """Options of benchmarks/grading.py."""
    if request.param == "made up":
        return []
    return ["--data", request.getfixturevalue("benchmark_data") / "math_test.jsonl"]


def test_the_pool_of_grading_workers_agrees_with_math_verify_alone(project: Path, pairs: list[str | Path]):
    command = [sys.executable, "benchmarks/grading.py", *pairs, "--pairs", "200", "--workers", "2", "--rounds", "1"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    seconds = {line.split()[0]: float(line.split()[1]) for line in lines[1:4]}
    assert list(seconds) == ["serial", "pool", "grader"]
    # A hundred own solutions, and perhaps another problem's with the same answer, written otherwise.
    assert {line.split()[-2] for line in lines[1:4]} <= {"100", "101", "102"}
    assert lines[-1] == "pairs with differing verdicts: 0"


def test_large_files_go_through_the_stages_in_little_memory(project: Path):
    command = [sys.executable, "benchmarks/large_files.py", "--rows", "40000", "--limit-mb", "600"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()[2:]}
    assert rows == {"filter_hard": 39936, "split_hard": 156, "select_evaluation": 39936, "estimate_passk": 39936}
