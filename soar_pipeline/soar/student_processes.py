"""Students in several processes of one machine, each with a model of its own."""

import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, forkserver, get_context, parent_process
from multiprocessing.context import BaseContext
from pathlib import Path

import torch

from soar_pipeline.soar.students import Done, Student, StudentJob, StudentResult, StudentWorker, place

SECONDS_TO_DIE = 0.5


class WorkerProcesses:
    """Several worker processes on this machine, each with a model of its own.

    `build` makes a worker and is called once in each process. When a process dies, the student that it had not finished
    is trained again by a new one, `attempts` times at most.
    """

    def __init__(self, build: Callable[[], StudentWorker], workers: int, attempts: int = 3):
        self.build, self.attempts = build, attempts
        # A pool of one process for each worker: each can be asked for what it keeps.
        self.processes: list[ProcessPoolExecutor | None] = [None] * workers
        self.holders: dict[Student, int] = {}

    # All share one device with the process that made them.
    has_device = False

    def run(self, jobs: list[StudentJob], done: Done) -> None:
        waiting, idle, losses = list(jobs), list(range(len(self.processes))), Counter()
        training: dict[Future, tuple[int, StudentJob]] = {}
        while waiting or training:
            while waiting and idle:
                number, job = idle.pop(0), waiting.pop(0)
                training[self._submit(number, job)] = (number, job)
            finished, _ = wait(training, return_when=FIRST_COMPLETED)
            for future in finished:
                number, job = training.pop(future)
                idle.append(number)
                try:
                    result, worker = future.result()
                except BrokenProcessPool:
                    self._lost(number)
                    losses[job.student] += 1
                    if losses[job.student] == self.attempts:
                        raise
                    waiting.insert(0, job)
                else:
                    self.holders[job.student] = number
                    done(result, worker)

    def write(self, job: StudentJob, path: Path) -> bool:
        number = self.holders.get(job.student)
        if number is None:
            return False
        try:
            self._process(number).submit(_write_student, job, path).result()
        except BrokenProcessPool:
            self._lost(number)
            return False
        return True

    def close(self) -> None:
        for number, process in enumerate(self.processes):
            if process is not None:
                process.shutdown(cancel_futures=True)
                self.processes[number] = None

    def _submit(self, number: int, job: StudentJob) -> Future:
        for tried in itertools.count(1):
            try:
                return self._process(number).submit(_run_job, job)
            except (BrokenProcessPool, ConnectionError, EOFError):
                # It died while it had nothing to do; or else what makes it did, and may seem alive for a moment.
                self._lost(number)
                if tried == self.attempts:
                    raise
                time.sleep(SECONDS_TO_DIE)

    def _process(self, number: int) -> ProcessPoolExecutor:
        process = self.processes[number]
        if process is None:
            process = self.processes[number] = ProcessPoolExecutor(
                1, mp_context=_context(), initializer=_start_worker, initargs=(self.build,)
            )
        return process

    def _lost(self, number: int) -> None:
        """The process of this number is dead, and what it kept is gone."""
        self.processes[number].shutdown()
        self.processes[number] = None
        self.holders = {student: holder for student, holder in self.holders.items() if holder != number}


def _context() -> BaseContext:
    """How workers start: never as forks of this process, whose torch has threads by now and may have a GPU.

    On Linux they are forks of a process that does nothing else. Without a GPU it has imported for them, which takes
    seconds; with one it may not, for imports that look for GPUs would leave its forks none.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    if not torch.cuda.is_available():
        forkserver.set_forkserver_preload([StudentWorker.__module__])
    # It must outlive a signal to all processes of the run, as workers do.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return get_context("forkserver")


_worker: StudentWorker


def _start_worker(build: Callable[[], StudentWorker]) -> None:
    global _worker
    # The run decides when it stops: a signal to all its processes must not cost the students in work.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = build()


def _end_with_parent() -> None:
    """Workers of a killed run must not train on, beside those of the run that takes its place."""
    connection.wait([parent_process().sentinel])
    os._exit(1)


def _run_job(job: StudentJob) -> tuple[StudentResult, str]:
    return _worker.run(job), place()


def _write_student(job: StudentJob, path: Path) -> None:
    _worker.write(job, path)
