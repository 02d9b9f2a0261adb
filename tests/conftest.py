"""Shared by all tests: one thread, the shipped model, and where real benchmark problems may lie."""

import gc
import os
from pathlib import Path

import pytest
from hard_problems import write_hard_problems

from soar_pipeline.config import Config, load
from soar_pipeline.config.paths import resolve_paths

# Before torch is imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def base_model() -> Path:
    """The toy task's base model, as shipped."""
    return PROJECT / "resources" / "models" / "digit-shuffles"


@pytest.fixture(scope="session")
def smoke(project) -> Config:
    """The smallest configuration: trainings of seconds."""
    return resolve_paths(load(project / "config" / "smoke.yaml"), "smoke.yaml", project)


@pytest.fixture(scope="session")
def hard_problems(tmp_path_factory) -> Path:
    """Four problems."""
    return write_hard_problems(tmp_path_factory.mktemp("problems") / "hard.parquet", [3, 4, 5, 6])


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """Folder with the real MATH rows; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SOAR_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "math_test.jsonl").exists():
        pytest.skip(f"no MATH rows in {folder}; set SOAR_TEST_DATA to a folder with math_test.jsonl")
    return folder


# By `--durations=0`. They come first, so that no process is left with one of them when the others have nothing to do.
LONGEST = (
    "soar/test_ray.py",
    "rl/test_resume.py",
    "workflow/test_pipeline.py",
    "benchmarks/test_benchmarks.py",
    "workflow/test_workflow.py",
    "faults/test_full_disk.py",
    "policy/test_base_model.py",
    "docs/test_tutorial.py",
    "soar/test_own_reward.py",
    "reporting/test_figures.py",
    "reporting/test_report.py",
    "commands/test_fork_server.py",
    "faults/test_hostile_text.py",
    "faults/test_properties.py",
    "soar/test_soar.py",
    "package/test_wheel.py",
    "faults/test_resources.py",
    "problems/test_gym_stages.py",
    "faults/test_fuzz.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {PROJECT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """What was imported is not looked through again by every collection of garbage."""
    gc.collect()
    gc.freeze()
