"""What each job took: seconds and memory, one small file for each job in `<run>/benchmarks/<rule>/<job>.tsv`.

The columns are those of Snakemake's `benchmark:`, which measures the processes that Snakemake starts. A job that is
forked (`fork_server.py`) is none of them, so every job measures itself.
"""

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.records import job_of, run_of

SECONDS_BETWEEN_LOOKS = 5.0


def costs_file(settings: Path) -> Path:
    """Where the job that has these settings says what it took."""
    rule, job = job_of(settings)
    return run_of(settings) / "benchmarks" / rule / f"{job}.tsv"


@contextmanager
def measured(settings: Path) -> Iterator[None]:
    """Measure this process in the block; what it took is written down if the block succeeds.

    Of the processes of one job, the first writes for all.
    """
    process, ended, started = _first_process(), threading.Event(), time.monotonic()
    looks = [0]

    def look() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            looks.append(_memory(process))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
    if os.environ.get("RANK", "0") != "0":
        return
    seconds = time.monotonic() - started
    peak = max(*looks, _memory(process), _own_peak())
    write_text(costs_file(settings), f"s\tmax_rss\n{seconds:.2f}\t{peak / 2**20:.2f}\n")


def _first_process() -> psutil.Process:
    """The job's first process: this one, or torchrun, which started several like it."""
    process = psutil.Process()
    return process.parent() or process if "TORCHELASTIC_RUN_ID" in os.environ else process


def _memory(process: psutil.Process) -> int:
    """Bytes that a process and those it started hold now; pages that they share count for each."""
    total = 0
    with suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def _own_peak() -> int:
    """The most bytes that this process alone has held."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts there what the program held that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
