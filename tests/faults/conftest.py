"""The smallest configuration with four problems: trainings of seconds."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from small_runs import RUN, StudentRun

from soar_pipeline.config import Settings, TrackingConfig
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.write_schedule import write_schedule

# The same examples in every run of the tests; others in every round of fuzz.py.
settings.register_profile("quick", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")), deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def made_student(smoke, base_model, hard_problems, tmp_path_factory) -> Callable[[Path], StudentRun]:
    schedule = tmp_path_factory.mktemp("schedule") / "schedule.parquet"
    settings = Settings.of(smoke, "write_schedule", RUN)
    call_stage(write_schedule, settings, RUN, train=hard_problems, questions=[], schedule=schedule)
    config = smoke.model_copy(update={"tracking": TrackingConfig(report_to=())})
    return lambda folder: StudentRun(config, base_model, schedule, hard_problems, folder)


@pytest.fixture(scope="session")
def whole(made_student, tmp_path_factory) -> StudentRun:
    """An undisturbed training."""
    return made_student(tmp_path_factory.mktemp("whole")).run()
