"""Shared by all tests: one thread, the shipped model, and where real benchmark problems may lie."""

import os
from pathlib import Path

import pytest

import soar_pipeline  # noqa: F401  (sets one thread per process before torch is imported)

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def base_model() -> Path:
    """The embedded world's base model, as shipped."""
    return PROJECT / "resources" / "models" / "digit-shuffles"


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """Folder with the real MATH rows; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SOAR_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "math_test.jsonl").exists():
        pytest.skip(f"no MATH rows in {folder}; set SOAR_TEST_DATA to a folder with math_test.jsonl")
    return folder
