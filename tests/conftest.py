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


def pytest_collection_finish() -> None:
    """What was imported is not looked through again by every collection of garbage."""
    gc.collect()
    gc.freeze()
