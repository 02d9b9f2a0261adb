"""When a training stops by itself."""

import signal
import subprocess
import sys

import pytest

from soar_pipeline.rl import time_limit
from soar_pipeline.rl.time_limit import MARGIN_SECONDS, OutOfTimeError, TimeLimit


class Clock:
    """A monotonic clock that is set by hand."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    for name in ("SLURM_JOB_ID", "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME"):
        monkeypatch.delenv(name, raising=False)
    clock = Clock()
    monkeypatch.setattr(time_limit, "time", clock)
    handler = signal.getsignal(signal.SIGTERM)
    yield clock
    signal.signal(signal.SIGTERM, handler)


def over_after(limit: TimeLimit, clock: Clock, *units: float) -> list[bool]:
    """What the limit says after units of so many seconds."""
    said = []
    for seconds in units:
        clock.seconds += seconds
        said.append(limit.is_over())
    return said


def test_a_job_of_slurm_stops_before_its_last_unit_would_not_end_in_time(clock, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    limit = TimeLimit(runtime_minutes=60)
    assert limit.seconds == 3600
    # 3600 less a margin of 300, and units of up to 1000: after 2400 there is time for none.
    assert MARGIN_SECONDS == 300
    assert over_after(limit, clock, 1000, 500, 700, 200) == [False, False, False, True]
    error = limit.stop("outer step 4 of 9")
    assert isinstance(error, OutOfTimeError)
    assert str(error) == (
        "stopped after outer step 4 of 9, because its job may run for 1 hours: the same command goes on from there"
    )


def test_the_limit_that_slurm_gave_counts_more_than_the_configurations(clock, monkeypatch):
    for name, value in (("JOB_ID", 7), ("JOB_START_TIME", 1_800_000_000), ("JOB_END_TIME", 1_800_000_000 + 7200)):
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    assert TimeLimit(runtime_minutes=60).seconds == 7200


def test_nobody_but_slurm_limits_a_job(clock):
    assert over_after(TimeLimit(runtime_minutes=1), clock, 1e6, 1e6) == [False, False]


PROGRAM = """
import sys, time
from soar_pipeline.rl.time_limit import TimeLimit

limit = TimeLimit(60)
print("before", limit.is_over(), flush=True)
while not limit.is_over():
    time.sleep(0.01)
print(limit.stop("step 1 of 2"), flush=True)
time.sleep(60)
"""


def test_a_sigterm_lets_a_unit_end_and_a_second_one_ends_the_process():
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "before False\n"
        process.send_signal(signal.SIGTERM)
        assert "stopped after step 1 of 2, because of a SIGTERM" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
