"""The smallest configuration with four problems: trainings of seconds."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from small_runs import StudentRun

from soar_pipeline.artifacts import HARD, Provenance, table, write_parquet
from soar_pipeline.config import Config, load
from soar_pipeline.located import located
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.slices import FreshStudentSlice, ScheduleSlice
from soar_pipeline.stages.write_schedule import write_schedule

# The same examples in every run of the tests; others in every round of fuzz.py.
settings.register_profile("quick", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")), deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def smoke(project) -> Config:
    return located(load(project / "config" / "smoke.yaml"), "smoke.yaml", project)


@pytest.fixture(scope="session")
def hard_problems(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "hard.parquet"
    shuffles = digit_shuffles.sample_distinct(random.Random(0), [3, 4, 5, 6])
    rows = [
        {"problem_id": f"p{i}", "dataset": "shuffles", "question": one.question, "answer": one.answer}
        for i, one in enumerate(shuffles)
    ]
    write_parquet(path, table([{**row, "attempts_drawn": 2} for row in rows], HARD), Provenance("test", {}))
    return path


@pytest.fixture(scope="session")
def made_student(smoke, base_model, hard_problems, tmp_path_factory) -> Callable[[Path], StudentRun]:
    schedule = tmp_path_factory.mktemp("schedule") / "schedule.parquet"
    write_schedule(ScheduleSlice.of(smoke, "shuffles", "hard_only"), hard_problems, [], 1, 0, schedule)
    config = FreshStudentSlice.of(smoke, "shuffles", "hard_only")
    return lambda folder: StudentRun(config, base_model, schedule, hard_problems, folder)


@pytest.fixture(scope="session")
def whole(made_student, tmp_path_factory) -> StudentRun:
    """An undisturbed training."""
    return made_student(tmp_path_factory.mktemp("whole")).run()
