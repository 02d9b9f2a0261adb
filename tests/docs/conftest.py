"""What the examples of the pages read: the results of a toy task that was never run."""

from pathlib import Path

import pytest
from fake_results import FakeResults, fake_config


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """A working directory with `results/toy/`, its SOAR runs named as in the shipped configuration."""
    folder = tmp_path_factory.mktemp("docs")
    run = FakeResults(fake_config(), folder / "results" / "toy")
    run.write_inputs()
    run.summarise()
    (run.data / "soar" / "soar").rename(run.data / "soar" / "grounded")
    return folder
