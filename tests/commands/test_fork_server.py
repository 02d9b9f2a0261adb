"""A job that starts as a fork is the job that it would have been: files, errors, signals, and what is left of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest
from forks import forked, run_python
from small_runs import RUN, StudentRun
from stage_commands import command, settings_beside

from soar_pipeline.fork_server import SOCKET, fork_server
from soar_pipeline.reporting.record import rule_costs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only")


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, str]]:
    """The environment of commands that have a server."""
    with fork_server() as environment:
        yield os.environ | environment


@pytest.fixture(scope="module")
def training(smoke, base_model, hard_problems, tmp_path_factory) -> StudentRun:
    """A student's training of 20 steps whose schedule is written."""
    folder = tmp_path_factory.mktemp("training")
    fresh = smoke.fresh_student.model_copy(update={"steps": 20, "evaluate_every": 10})
    smoke = smoke.model_copy(update={"fresh_student": fresh})
    schedule = folder / "schedule.parquet"
    files = {"train": hard_problems, "questions": [], "schedule": schedule}
    _, *words = command(folder / "settings", smoke, "write_schedule", RUN, **files)
    run_python(*words, check=True)
    return StudentRun(smoke, base_model, schedule, hard_problems, folder / "direct")


def forks_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The forks of a server that this process has started."""
    servers = [one for one in psutil.Process().children() if "--serve" in one.cmdline()]
    assert process.poll() is None
    return [fork for server in servers for fork in server.children()]


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def running(training, served, tmp_path) -> Iterator[tuple[subprocess.Popen, psutil.Process]]:
    """The command of a training that has begun, and the fork that it stands for."""
    begun = training.at(tmp_path / "begun")
    started = subprocess.Popen(forked(begun.command()), env=served, stderr=subprocess.PIPE, text=True)
    log = begun.folder / "log"
    wait_until(lambda: log.exists() and "student steps" in log.read_text())
    [fork] = forks_of(started)
    yield started, fork
    started.kill()
    started.communicate()


def test_a_forked_job_makes_the_same_files(training, served, tmp_path):
    # Without a server, the same command runs the module.
    absent = os.environ | {SOCKET: str(tmp_path / "absent")}
    subprocess.run(forked(training.command()), env=absent, check=True, capture_output=True)
    fork = training.at(tmp_path / "fork")
    # Its working directory and its threads are those of the command, not of the server.
    done = subprocess.run(forked(fork.command()), env=served, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "student steps: 20/20" in done.stderr
    assert fork.digests() == training.digests()
    [direct] = rule_costs(settings_beside(training.folder) / "benchmarks").itertuples()
    [forked_costs] = rule_costs(settings_beside(fork.folder) / "benchmarks").itertuples()
    assert direct.peak_mb == pytest.approx(forked_costs.peak_mb, rel=0.3)


def test_an_error_of_a_forked_job_is_one_line_and_its_status(training, served, tmp_path):
    broken = replace(training, schedule=tmp_path / "absent.parquet", folder=tmp_path / "broken")

    done = subprocess.run(forked(broken.command()), env=served, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    [line] = (broken.folder / "log").read_text(encoding="utf-8").splitlines()
    assert "absent.parquet" in line


def test_a_signal_reaches_the_job(running):
    started, _ = running
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=120)

    # The job ends as it would without a server, by itself.
    assert started.returncode == 1, said
    assert "SIGTERM: the training stops after the step" in said


def test_a_job_ends_as_its_command_is_killed(running):
    started, fork = running
    started.kill()
    started.wait()

    wait_until(lambda: not fork.is_running())


def test_a_job_that_is_killed_ends_its_command_likewise(running):
    started, fork = running
    fork.kill()

    _, said = started.communicate(timeout=120)
    assert started.returncode == -signal.SIGKILL, said


def test_a_job_outlives_its_server_as_one_outlives_its_snakemake(training, tmp_path):
    outlives = training.at(tmp_path / "outlives")
    with fork_server() as environment:
        started = subprocess.Popen(forked(outlives.command()), env=os.environ | environment, stderr=subprocess.DEVNULL)
        wait_until(outlives.state.exists)
    started.wait()

    wait_until((outlives.folder / "training.parquet").exists)
