"""A training killed with SIGKILL and started again ends as the uninterrupted one did, bit for bit."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from soar_pipeline.artifacts import HARD, Provenance, digest, table, write_parquet
from soar_pipeline.config import ObjectiveConfig, load
from soar_pipeline.located import located
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.slices import FreshStudentSlice, ScheduleSlice, SoarSlice


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


@pytest.mark.parametrize("objective", ["grounded", "two_turns"])
def test_a_killed_soar_run_resumes_bit_identically(objective, config, base_model, hard_problems, tmp_path):
    def command(folder: Path) -> list[str]:
        files = {name: folder / f"{name}.parquet" for name in ("steps", "questions", "students", "promotions")}
        return stage(
            "train_soar",
            SoarSlice.of(config, "shuffles", objective).model_dump_json(),
            {
                "base-model": base_model,
                "train": hard_problems,
                "teacher-seed": 1,
                "workers": 1,
                "report-to": "none",
                "state": folder / "state",
                **files,
                "teacher": folder / "teacher",
                "student": folder / "student",
            },
        )

    names = [*(f"{name}.parquet" for name in ("steps", "questions", "students", "promotions")), "teacher", "student"]
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    killed = tmp_path / "killed"
    run_killed_at(killed / "state" / "current", "step-000002", command(killed))
    assert not (killed / "steps.parquet").exists()
    again = subprocess.run(command(killed), check=True, capture_output=True, text=True)
    assert "resuming after step 2" in again.stderr
    assert digests(killed, names) == digests(tmp_path / "whole", names)
    assert not list((killed / "state").glob("step-*"))
    if objective == "two_turns":
        assert digest(killed / "teacher") != digest(base_model)


def test_a_killed_student_resumes_bit_identically(config, base_model, hard_problems, tmp_path):
    schedule = tmp_path / "schedule.parquet"
    options = {"train": hard_problems, "questions": [], "student-seed": 1, "teacher-seed": 0, "schedule": schedule}
    slice_json = ScheduleSlice.of(config, "shuffles", "hard_only").model_dump_json()
    subprocess.run(stage("write_schedule", slice_json, options), check=True, capture_output=True)

    def command(folder: Path) -> list[str]:
        return stage(
            "train_fresh_student",
            FreshStudentSlice.of(config, "shuffles", "hard_only").model_dump_json(),
            {
                "base-model": base_model,
                "schedule": schedule,
                "test": hard_problems,
                "teacher-seed": 0,
                "student-seed": 1,
                "report-to": "none",
                "state": folder / "state",
                "curve": folder / "curve.parquet",
                "attempts": folder / "attempts.parquet",
                "model": folder / "model",
            },
        )

    names = ["curve.parquet", "attempts.parquet", "model"]
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    killed = tmp_path / "killed"
    run_killed_at(killed / "state" / "current", "step-000002", command(killed))
    subprocess.run(command(killed), check=True, capture_output=True)
    assert digests(killed, names) == digests(tmp_path / "whole", names)
