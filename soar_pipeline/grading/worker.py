"""One grading worker: `python worker.py TIMEOUT_SECONDS MEMORY_MB`, a line of JSON for each request and reply.

A request is `["verifies", gold, answer]` or `["parses", answer]`, the reply true or false. The first line it writes,
`true`, says that it is ready. It ends with its standard input, and in place of a reply where a request takes too long
or too much memory: what SymPy keeps of it is then gone too.

It is a program, not a `multiprocessing` child: those import the parent's main module again, and with it torch. It
imports nothing of this package for the same reason.
"""

import json
import logging
import os
import re
import resource
import signal
import sys
from functools import lru_cache
from pathlib import Path

from math_verify import parse, verify

# Texts of which a worker remembers what it read, and the characters that such a text has at most: one gold answer is
# compared with many. Of hostile texts this is 80 MB.
REMEMBERED, SHORT = 4096, 200


def verifies(gold: str, answer: str) -> bool:
    """Whether Math-Verify takes `answer` for `gold`.

    Both stand in a box: Math-Verify misreads 21 % of MATH's answers without. Gold comes first, as the comparison is
    not symmetric. A gold in which it reads no expression is met by its own text alone, white space apart.
    """
    expected = parsed(gold, "first_match")
    if all(isinstance(part, str) for part in expected):
        # Its own comparison would not do: of such a text it keeps what it could read, of `a + b + c` only `a +`.
        return bool(expected) and "".join(gold.split()) == "".join(answer.split())
    return verify(expected, parsed(answer, "first_match"), timeout_seconds=None)


def parses(answer: str) -> bool:
    """Whether Math-Verify reads `answer` as an expression, not merely as a string."""
    return bool(parsed(answer, "no_fallback"))


def parsed(answer: str, fallback_mode: str) -> list:
    """What Math-Verify reads in a box; `verify` leaves it as it is. Most of a comparison is reading."""
    return (remembered if len(answer) <= SHORT else read)(answer, fallback_mode)


def read(answer: str, fallback_mode: str) -> list:
    return parse(rf"\boxed{{{answer}}}", fallback_mode=fallback_mode, parsing_timeout=None)


remembered = lru_cache(maxsize=REMEMBERED)(read)


class MemoryLimit:
    """Lets the address space grow by `megabytes` from here; without effect where it cannot be measured (not Linux)."""

    def __init__(self, megabytes: int):
        allowance = megabytes * 2**20
        self.half = self._peak() + allowance // 2
        if sys.platform == "linux":
            limit = self._peak() + allowance
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    @property
    def half_used(self) -> bool:
        """Whether half of it was ever used: SymPy may then have swallowed a MemoryError, and the reply mean nothing."""
        return self._peak() > self.half

    @staticmethod
    def _peak() -> int:
        """Bytes."""
        if sys.platform != "linux":
            return 0
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmPeak:\s+(\d+) kB", status).group(1)) * 1024


def main(timeout_seconds: int, memory_mb: int) -> None:
    logging.disable()
    # An interrupt at the terminal reaches the whole process group: the parent decides what becomes of a worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The first parse compiles patterns and loads the grammar: paid before the memory limit and before any request.
    verifies(r"\frac{1}{2}", "x+1")
    memory = MemoryLimit(memory_mb)
    replies = os.fdopen(os.dup(1), "w")
    print("true", file=replies, flush=True)
    # From here on nothing that a library prints may reach the replies or the job's log.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    answers = {"verifies": verifies, "parses": parses}
    for line in sys.stdin:
        kind, *texts = json.loads(line)
        # One timer over parsing and comparison in place of Math-Verify's own, of CPU time: a busy machine changes no
        # verdict. Without a handler it ends the process, even out of C code; an exception would wait for the
        # interpreter, and may be swallowed.
        signal.setitimer(signal.ITIMER_PROF, timeout_seconds)
        reply = answers[kind](*texts)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if memory.half_used:
            return
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
