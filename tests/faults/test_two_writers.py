"""Two jobs on one run directory: one writes, the other refuses; a dead job's lock is free."""

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress

import pytest


@pytest.fixture
def writer(made_student, tmp_path):
    """A training in its own process, stopped while it holds the run directory."""
    run = made_student(tmp_path / "run")
    process = subprocess.Popen(
        run.command(), stderr=subprocess.DEVNULL, env={**os.environ, "SLURM_JOB_ID": "4711"}, start_new_session=True
    )
    lock = run.state / "lock"
    deadline = time.monotonic() + 60
    while not (lock.exists() and lock.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield run, process
    finally:
        # Its grading workers, too, if any are left.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_second_writer_refuses_and_names_the_first_which_goes_on_undisturbed(writer, whole, monkeypatch, caplog):
    run, process = writer
    assert run.status(monkeypatch) == 1
    assert "Traceback" not in caplog.text
    assert f"another job is writing this run (host {socket.gethostname()}, process {process.pid}" in caplog.text
    assert "4711" in caplog.text
    assert not (run.folder / "training.parquet").exists()
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(timeout=120) == 0
    assert run.digests() == whole.digests()


def test_a_lock_file_that_nobody_holds_is_free_whatever_it_says(made_student, whole, tmp_path):
    run = made_student(tmp_path)
    run.state.mkdir()
    (run.state / "lock").write_text(f"host elsewhere, process {os.getpid()}, SLURM job 1\n" * 1000)
    assert run.run().digests() == whole.digests()
