"""The benchmarks run, in a small shape; what they measure is no test's business."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from forks import run_python

from soar_pipeline.artifacts.files import table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import PASSK, PROMOTIONS, SOAR_QUESTIONS, STUDENTS
from soar_pipeline.config import SoarRun, StudentRun


def printed(project: Path, *command: str | Path) -> list[list[str]]:
    """The words of each line that a benchmark prints."""
    done = run_python(*command, cwd=project, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_a_student_step_of_a_known_shape_is_taken_apart(project: Path):
    shape = project / "resources" / "models" / "digit-shuffles" / "config.json"
    size = ["--questions", "2", "--group-size", "4", "--new-tokens", "24", "--prompt-tokens", "12", "--steps", "1"]
    command = ["benchmarks/gpu_student_step.py", "--shape", shape, "--dtype", "float32", *size]
    done = run_python(*command, "--device", "h200", cwd=project, timeout=300)
    assert done.returncode == 0, done.stderr
    result = yaml.safe_load(done.stdout.rpartition("The students of a SOAR run")[0])
    assert result["parameters"] == 336384
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert result["step_seconds"] == pytest.approx(sum(result["seconds"].values()))
    # 200 outer steps, 16 students each, 10 or 15 steps.
    assert result["soar_run_gpu_hours"][0] == pytest.approx(200 * 16 * 10 * result["step_seconds"] / 3600)
    assert result["soar_run_gpu_hours"][1] == pytest.approx(1.5 * result["soar_run_gpu_hours"][0])
    # One policy pass, one reference pass, and a backward pass counted twice: 2 FLOPs per parameter and position each.
    # With forty-one tokens to choose from, the last of the eight completions may end early.
    training = result["seconds"]["log-probabilities"] + result["seconds"]["backward"]
    positions = result["training_flops_per_second"] * training / (2 * 336384 * 4)
    # Computed back from seconds, so a whole number only up to rounding.
    assert 8 * (12 + 12) < round(positions, 6) <= 8 * (12 + 24)
    assert positions == pytest.approx(round(positions))


def test_an_unknown_shape_is_refused_with_the_known_ones(project: Path):
    done = run_python("benchmarks/gpu_student_step.py", "--shape", "nowhere", cwd=project, timeout=120)
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
    *ways, several = [[float(word) for word in line] for line in lines[1:4]]
    assert [way[:2] for way in (*ways, several)] == [[1, 2], [1, 1], [2, 1]]
    for *_, seconds, ratio in ways:
        # Of seconds that are printed with two digits: all of them are half a digit off at most.
        rounded = seconds / several[2] * (0.005 / seconds + 0.005 / several[2]) + 0.005
        assert ratio == pytest.approx(seconds / several[2], abs=1.1 * rounded)
    students, seconds, overhead = lines[5]
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
    size = ["--pairs", "200", "--workers", "2", "--rounds", "1"]
    lines = printed(project, "benchmarks/grading.py", *pairs, *size)
    assert [way for way, *_ in lines[1:4]] == ["serial", "pool", "grader"]
    # A hundred own solutions, and perhaps another problem's with the same answer, written otherwise.
    assert {words[-2] for words in lines[1:4]} <= {"100", "101", "102"}
    assert " ".join(lines[-1]) == "pairs with differing verdicts of pool and grader: 0"


def test_large_files_go_through_the_stages_in_little_memory(project: Path):
    lines = printed(project, "benchmarks/large_files.py", "--rows", "40000", "--limit-mb", "600")
    rows = {stage: int(count) for stage, count, *_ in lines[2:]}
    assert rows == {"filter_hard": 39936, "split_hard": 156, "select_evaluation": 39936, "estimate_passk": 39936}


# By outer step and dataset: the rewards of its two students.
REWARDS = {1: [[0.0, 0.2], [0.1, 0.5]], 2: [[0.5, 0.0], [0.2, 0.4]]}


def test_schemes_of_the_reward_are_compared_and_replayed(project: Path, tmp_path: Path):
    soar = tmp_path / "shuffles" / "soar" / "twice" / "t1"
    students = [
        {
            "outer_step": number,
            "dataset_index": k,
            "repeat": j,
            "baseline_accuracy": 0.0,
            "trained_accuracy": reward,
            "reward": reward,
            "seconds": 1.0,
            "tokens": 250_000,
        }
        for number, datasets in REWARDS.items()
        for k, repeats in enumerate(datasets)
        for j, reward in enumerate(repeats)
    ]
    promotion = {"outer_step": 1, "dataset_index": 1, "repeat": 0, "dataset_reward": 0.3, "student_reward": 0.1}
    promotion |= {"student_step": 1, "stage": 1, "baseline_train_accuracy": 0.0, "train_accuracy": 0.75}
    passk = [
        {**StudentRun("shuffles", arm, 1, 1).columns(), "k": k, "value": value}
        for arm, value in (("pq", 0.5), ("other", 0.9))
        for k in (1, 8, 32)
    ]
    arm = {"questions": {"source": "promotions", "objective": "twice"}, "transfer_from": None, "student": {}}
    arms = {"pq": {**arm, "fresh_student": {}}, "other": {**arm, "fresh_student": {"steps": 20}}}
    (tmp_path / "provenance.json").write_text(json.dumps({"config": {"arms": arms}}))
    run = SoarRun("shuffles", "twice", 1).columns()
    for path, rows, schema, columns in (
        (soar / "students.parquet", students, STUDENTS, run),
        (soar / "promotions.parquet", [promotion], PROMOTIONS, run),
        (tmp_path / "passk.parquet", passk, PASSK, {}),
    ):
        write_parquet(path, table(rows, schema, **columns), Provenance("made", {}, run=columns))
    lines = [" ".join(words) for words in printed(project, "benchmarks/reward_cost.py", tmp_path)]
    solved = "0.500 (0.500–0.500)"
    assert f"| twice | 1 | 2.00 | 0.500 | 1 | 1 | 0.750 | 1 | {solved} | {solved} | {solved} |" in lines
    # The first students of the second step name the wrong dataset.
    assert "| twice | 1 of 2 repeats | 0.50 | 0.50 | 0.08 |" in lines
    assert "| twice | racing | 0.75 | 0.50 | 0.92 |" in lines
    assert "| twice | before | 0.224 | 0.000 |" in lines


def test_the_toy_base_models_tables_are_computed(project: Path):
    size = ["--problems", "2", "--samples", "4", "--questions", "32"]
    lines = printed(project, "benchmarks/toy_base_model.py", *size)
    by_operations = {words[1]: words[3::2] for words in lines[2:14]}
    assert list(by_operations) == [str(difficulty) for difficulty in range(1, 13)]
    # One operation is solved, twelve are not, by a student that could work them out.
    assert (by_operations["1"][0], by_operations["12"][0]) == ("1.000", "0.000")
    assert float(by_operations["12"][2]) < 0.01 < float(by_operations["4"][2])
    assert sum(float(share) for share in lines[-1][1:13:2]) == pytest.approx(1, abs=0.01)


def test_the_signal_of_a_reward_is_measured(project: Path, tmp_path: Path, hard_problems: Path):
    run = SoarRun("shuffles", "grounded", 1).columns()
    questions = [
        {
            "question_id": f"q{i}", "outer_step": 1, "dataset_index": i, "question": "482917aL", "answer": "829174",
            "completion": "", "dataset_reward": 0.0, "rejected_before": 0,
        }
        for i in range(3)
    ]  # fmt: skip
    file = tmp_path / "soar" / "grounded" / "t1" / "questions.parquet"
    write_parquet(file, table(questions, SOAR_QUESTIONS, **run), Provenance("made", {}, run=run))
    shutil.copy(hard_problems, tmp_path / "train.parquet")
    size = ["--schemes", "1:1:1x4", "--datasets", "3"]
    greedy, rate = printed(project, "benchmarks/reward_signal.py", tmp_path, *size)[2:]
    assert " ".join(greedy).startswith("| 1 | 1 | 1 × 4 | greedy |")
    assert " ".join(rate).startswith("| 1 | 1 | 1 × 4 | pass rate |")
    tokens, between, within, reliable = (float(greedy[place]) for place in (11, 13, 15, 17))
    assert tokens > 0
    assert reliable == pytest.approx(between**2 / (between**2 + within**2) if between else 0, abs=0.05)
