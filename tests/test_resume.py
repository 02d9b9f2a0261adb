"""A training killed with SIGKILL and started again ends as the uninterrupted one did, bit for bit."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from several_processes import in_processes

from soar_pipeline.artifacts import (
    CURVE,
    EVALUATION,
    HARD,
    SCHEDULE,
    SERL_QUESTIONS,
    STUDENTS,
    Provenance,
    digest,
    read_rows,
    table,
    write_parquet,
)
from soar_pipeline.config import ObjectiveConfig, load
from soar_pipeline.located import located
from soar_pipeline.models.policy import copy_weights, load_policy
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.slices import FreshStudentSlice, Lora, ScheduleSlice, SerlSlice, SoarSlice
from soar_pipeline.training.checkpoints import CheckpointFolder


@pytest.fixture(scope="module")
def config(project):
    """The smoke configuration, long enough to be killed half-way."""
    found = located(load(project / "config" / "smoke.yaml"), "smoke.yaml", project)
    soar = found.soar.model_copy(update={"outer_steps": 3})
    fresh = found.fresh_student.model_copy(update={"steps": 6})
    # Grounded rewards of so few questions are all equal: these are not, so the teacher moves.
    two_turns = ObjectiveConfig(reward="learnability", promotion=False, turns=2)
    return found.model_copy(
        update={"soar": soar, "fresh_student": fresh, "objectives": {**found.objectives, "two_turns": two_turns}}
    )


@pytest.fixture(scope="module")
def hard_problems(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "hard.parquet"
    rows = [
        {
            "problem_id": f"p{i}",
            "dataset": "shuffles",
            "question": problem.question,
            "answer": problem.answer,
            "subject": None,
            "level": None,
            "attempts_drawn": 2,
        }
        for i, problem in enumerate(digit_shuffles.sample_distinct(random.Random(0), [3, 4, 5, 6]))
    ]
    write_parquet(path, table(rows, HARD), Provenance("test", {}))
    return path


SOAR_OUTPUTS = ["steps.parquet", "questions.parquet", "students.parquet", "promotions.parquet", "teacher", "student"]


def stage(name: str, config_json: str, options: dict[str, object]) -> list[str]:
    command = [sys.executable, "-m", f"soar_pipeline.stages.{name}"]
    if config_json:
        command += ["--config", config_json]
    for option, value in options.items():
        command += [f"--{option}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return command


def run_killed_at(marker: Path, checkpoint: str, command: list[str]) -> None:
    """Start the command and kill it as soon as `marker` names the checkpoint."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while not (marker.exists() and marker.read_text() == checkpoint):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def digests(folder: Path, names: list[str]) -> dict[str, str]:
    return {name: digest(folder / name) for name in names}


def soar_command(
    config, objective: str, base_model: Path, hard_problems: Path, folder: Path, workers: int = 1, ray_nodes: int = 0
) -> list[str]:
    files = {name: folder / f"{name}.parquet" for name in ("steps", "questions", "students", "promotions")}
    return stage(
        "train_soar",
        SoarSlice.of(config, "shuffles", objective).model_dump_json(),
        {
            "base-model": base_model,
            "train": hard_problems,
            "teacher-seed": 1,
            "workers": workers,
            "ray-nodes": ray_nodes,
            "gpus": 0,
            "report-to": "none",
            "state": folder / "state",
            **files,
            "teacher": folder / "teacher",
            "student": folder / "student",
        },
    )


@pytest.mark.parametrize("objective", ["grounded", "two_turns"])
def test_a_killed_soar_run_resumes_bit_identically(objective, config, base_model, hard_problems, tmp_path):
    def command(folder: Path) -> list[str]:
        return soar_command(config, objective, base_model, hard_problems, folder)

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    killed = tmp_path / "killed"
    run_killed_at(killed / "state" / "current", "step-000002", command(killed))
    assert not (killed / "steps.parquet").exists()
    again = subprocess.run(command(killed), check=True, capture_output=True, text=True)
    assert "resuming after step 2" in again.stderr
    assert digests(killed, SOAR_OUTPUTS) == digests(tmp_path / "whole", SOAR_OUTPUTS)
    assert not list((killed / "state").glob("step-*"))
    if objective == "two_turns":
        assert digest(killed / "teacher") != digest(base_model)


def test_ray_changes_nothing_in_a_soar_run(config, base_model, hard_problems, tmp_path):
    one, on_ray = tmp_path / "one", tmp_path / "on ray"
    subprocess.run(soar_command(config, "grounded", base_model, hard_problems, one), check=True, capture_output=True)
    command = soar_command(config, "grounded", base_model, hard_problems, on_ray, workers=2, ray_nodes=1)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "student worker on" in done.stderr
    assert digests(on_ray, SOAR_OUTPUTS) == digests(one, SOAR_OUTPUTS)
    # Not all the same by default: what a student writes depends on what it has learnt.
    assert len({row["tokens"] for row in read_rows(on_ray / "students.parquet", STUDENTS)}) > 1


@pytest.mark.parametrize(
    ("processes", "sharding", "lora"),
    [(1, "none", None), (2, "none", None), (2, "full", None), (1, "none", Lora(rank=4, alpha=8))],
)
def test_a_killed_student_resumes_bit_identically(
    processes, sharding, lora, config, base_model, hard_problems, tmp_path
):
    schedule = tmp_path / "schedule.parquet"
    options = {"train": hard_problems, "questions": [], "student-seed": 1, "teacher-seed": 0, "schedule": schedule}
    slice_json = ScheduleSlice.of(config, "shuffles", "hard_only").model_dump_json()
    subprocess.run(stage("write_schedule", slice_json, options), check=True, capture_output=True)

    if sharding == "full":
        # Processes that share a model decode in step with each other.
        generation = config.generation.model_copy(update={"segment_tokens": None})
        config = config.model_copy(update={"generation": generation})

    def command(folder: Path) -> list[str]:
        alone = stage(
            "train_fresh_student",
            FreshStudentSlice.of(config, "shuffles", "hard_only").model_copy(update={"lora": lora}).model_dump_json(),
            {
                "base-model": base_model,
                "schedule": schedule,
                "test": hard_problems,
                "teacher-seed": 0,
                "student-seed": 1,
                "sharding": sharding,
                "report-to": "none",
                "state": folder / "state",
                "curve": folder / "curve.parquet",
                "attempts": folder / "attempts.parquet",
                "model": folder / "model",
            },
        )
        if sharding == "full":
            alone[1:3] = [str(Path(__file__).parent / "sharded_student.py")]
        return in_processes(processes, alone)

    names = ["curve.parquet", "attempts.parquet", "model"]
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    killed = tmp_path / "killed"
    run_killed_at(killed / "state" / "current", "step-000002", command(killed))
    again = subprocess.run(command(killed), check=True, capture_output=True, text=True)
    # In the log of one of them.
    assert again.stderr.count("resuming after step 2") == 1
    assert digests(killed, names) == digests(tmp_path / "whole", names)
    # A plain model, like the one it started as.
    trained, base = (copy_weights(load_policy(path, "float32").model) for path in (killed / "model", base_model))
    assert trained.keys() == base.keys()
    assert digest(killed / "model") != digest(base_model)

    curve = read_rows(tmp_path / "whole" / "curve.parquet", CURVE)
    assert [(row["step"], row["pass_at_1"] is not None) for row in curve] == [
        (step, step % 2 == 0) for step in range(1, 7)
    ]
    attempts = read_rows(tmp_path / "whole" / "attempts.parquet", EVALUATION)
    assert [(row["step"], row["problem_id"], row["sample"]) for row in attempts] == [
        (step, f"p{i}", sample) for step in (2, 4, 6) for i in range(4) for sample in range(8)
    ]


def test_two_processes_refuse_as_one_where_another_job_trains(config, base_model, hard_problems, tmp_path):
    write_parquet(tmp_path / "schedule.parquet", table([], SCHEDULE), Provenance("test", {}))
    command = stage(
        "train_fresh_student",
        FreshStudentSlice.of(config, "shuffles", "hard_only").model_dump_json(),
        {
            "log": tmp_path / "log",
            "base-model": base_model,
            "schedule": tmp_path / "schedule.parquet",
            "test": hard_problems,
            "teacher-seed": 0,
            "student-seed": 1,
            "sharding": "none",
            "report-to": "none",
            "state": tmp_path,
            "curve": tmp_path / "curve.parquet",
            "attempts": tmp_path / "attempts.parquet",
            "model": tmp_path / "model",
        },
    )
    with CheckpointFolder(tmp_path).locked():
        done = subprocess.run(in_processes(2, command), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert "another job is writing this run" in line


def serl_command(config, base_model: Path, hard_problems: Path, folder: Path) -> list[str]:
    return stage(
        "train_serl",
        SerlSlice.of(config, "shuffles").model_dump_json(),
        {
            "base-model": base_model,
            "train": hard_problems,
            "test": hard_problems,
            "student-seed": 1,
            "report-to": "none",
            "state": folder / "state",
            "curve": folder / "curve.parquet",
            "attempts": folder / "attempts.parquet",
            "questions": folder / "questions.parquet",
            "model": folder / "model",
        },
    )


def test_a_killed_serl_run_resumes_bit_identically(config, base_model, hard_problems, tmp_path):
    serl = config.serl.model_copy(update={"steps": 3, "evaluate_at": (1, 3)})
    config = config.model_copy(update={"serl": serl})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(serl_command(config, base_model, hard_problems, whole), check=True, capture_output=True)
    run_killed_at(killed / "state" / "current", "step-000001", serl_command(config, base_model, hard_problems, killed))
    assert not (killed / "curve.parquet").exists()
    command = serl_command(config, base_model, hard_problems, killed)
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "resuming after step" in again.stderr
    names = ["curve.parquet", "attempts.parquet", "questions.parquet", "model"]
    assert digests(killed, names) == digests(whole, names)
    assert [path.name for path in (killed / "state").iterdir()] == ["lock"]

    curve = read_rows(whole / "curve.parquet", CURVE)
    assert [row["step"] for row in curve] == [1, 2, 3]
    assert [row["pass_at_8"] is not None for row in curve] == [True, False, True]
    # One rollout's KL is that of the base model to itself; from then on the policy has moved.
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert curve[2]["kl"] != pytest.approx(0, abs=1e-5)
    attempts = Counter(row["step"] for row in read_rows(whole / "attempts.parquet", EVALUATION))
    assert attempts == {1: 4 * 8, 3: 4 * 8}
    questions = read_rows(whole / "questions.parquet", SERL_QUESTIONS)
    assert Counter(row["step"] for row in questions if row["trained"]) == {1: 4, 2: 4, 3: 4}
    assert all(row["kept"] == (0.2 <= row["agreement"] <= 0.8) for row in questions)
    assert all(row["kept"] for row in questions if row["trained"])
    assert len({row["question_id"] for row in questions}) == len(questions)
    assert digest(whole / "model") != digest(base_model)
