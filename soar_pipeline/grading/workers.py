"""A data set's verifier in worker processes that can be killed.

A worker ends if a request takes too long or too much memory; one that does not even do that is killed. It is
replaced, and only the request it worked on is lost. One that somebody else killed says nothing about its request, which
is made again, once.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path

from soar_pipeline.config.section import ConfigError
from soar_pipeline.config.verifiers import Verifier

Request = tuple[str, ...]

START_SECONDS = 120.0
# Somebody may kill a worker while it starts, too.
STARTS = 3
# A worker counts its own CPU seconds. One that waits instead of computing, or gets no CPU, is killed after so many
# times its timeout on the wall, and the grace.
WALL_SECONDS_PER_CPU_SECOND = 5
GRACE_SECONDS = 1.0
# What a worker sees of the environment: it reads hostile text, and keys are none of its business.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")
_PROGRAM = "soar_pipeline.grading.worker"
# Where this very package lies, which another one that is installed must not replace.
_PACKAGES = str(Path(__file__).resolve().parents[2])


class _Worker:
    """A running worker.py; after `send`, `deadline` is when its reply is due (`time.monotonic`)."""

    def __init__(self, timeout_seconds: int, memory_mb: int, verifier: Verifier):
        self.timeout_seconds = timeout_seconds
        named = verifier if isinstance(verifier, str) else verifier.model_dump(mode="json")
        # -P: what lies in the working folder must not shadow installed modules.
        command = [sys.executable, "-P", "-m", _PROGRAM, str(timeout_seconds), str(memory_mb), json.dumps(named)]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        path = os.pathsep.join(filter(None, (_PACKAGES, environment.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # SymPy orders some terms by hash: equal runs must compare alike.
            env=environment | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        )

    def fileno(self) -> int:
        return self.process.stdout.fileno()

    def wait_until_ready(self) -> None:
        """Raises RuntimeError if it does not start, ConfigError if it cannot use the user's own verifier."""
        line = self.process.stdout.readline() if wait([self], START_SECONDS) else b""
        if not line:
            self.kill()
            raise RuntimeError(f"{_PROGRAM} does not start; its own error, if any, stands above")
        _reply(line)

    def send(self, request: Request) -> None:
        """Raises BrokenPipeError if the worker has died since its last reply."""
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        self.deadline = time.monotonic() + WALL_SECONDS_PER_CPU_SECOND * self.timeout_seconds + GRACE_SECONDS

    def receive(self) -> bytes:
        """The reply's line, empty if the worker has died."""
        return self.process.stdout.readline()

    def end(self) -> int | None:
        """How a worker ended that has sent nothing: its exit status, or the negative signal."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        status = self.process.returncode
        self.kill()
        return status

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        # A failed `send` leaves its request in the buffer, and closing tries to write it again.
        with suppress(BrokenPipeError):
            self.process.stdin.close()


def _reply(line: bytes) -> bool:
    """Raises ConfigError if the line says that the user's own verifier gave no verdict."""
    reply = json.loads(line)
    if isinstance(reply, dict):
        raise ConfigError(reply["error"])
    return reply


class Workers:
    """Up to `workers` of them, started when first needed and kept until `close`."""

    def __init__(self, workers: int, timeout_seconds: int, memory_mb: int, verifier: Verifier = "math_verify"):
        self.workers = workers
        self.program = timeout_seconds, memory_mb, verifier
        self.idle: list[_Worker] = []

    def replies(self, requests: Sequence[Request]) -> list[bool | None]:
        """One reply per request, in order: None if its worker ended or was killed.

        Raises RuntimeError if workers cannot start, ConfigError if the user's own verifier gives no verdict.
        """
        replies: list[bool | None] = [None] * len(requests)
        waiting = deque(range(len(requests)))
        busy: dict[_Worker, int] = {}
        again: set[int] = set()
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    index = waiting.popleft()
                    busy[self._given(requests[index])] = index
                nearest = min(worker.deadline for worker in busy) - time.monotonic()
                answering = wait(list(busy), max(0.0, nearest))
                for worker in answering:
                    line, index = worker.receive(), busy.pop(worker)
                    if line:
                        self.idle.append(worker)
                        replies[index] = _reply(line)
                    elif worker.end() == -signal.SIGKILL and index not in again:
                        again.add(index)
                        waiting.append(index)
                for worker in [worker for worker in busy if worker.deadline < time.monotonic()]:
                    worker.kill()
                    del busy[worker]
        finally:
            # Interrupted: what these would still reply belongs to no later request.
            for worker in busy:
                worker.kill()
        return replies

    def _given(self, request: Request) -> _Worker:
        """A worker that has received the request: an idle one that still lives, or a new one."""
        while self.idle:
            worker = self.idle.pop()
            try:
                worker.send(request)
                return worker
            except BrokenPipeError:
                worker.kill()
        for left in reversed(range(STARTS)):
            worker = _Worker(*self.program)
            try:
                worker.wait_until_ready()
                worker.send(request)
                return worker
            except ConfigError:
                worker.kill()
                raise
            except (RuntimeError, BrokenPipeError):
                worker.kill()
                if not left:
                    raise

    def close(self) -> None:
        for worker in self.idle:
            worker.kill()
        self.idle.clear()
