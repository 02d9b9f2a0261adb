"""One grading worker: `python -m soar_pipeline.grading.worker TIMEOUT_SECONDS MEMORY_MB VERIFIER`, a line of JSON for
each request and reply.

VERIFIER is JSON: `"math_verify"`, `"exact"`, or file, function and digest of a verifier of the user's own. A request
names one of REQUESTS and its texts, as `["verifies", gold, answer]`; the reply is true or false. The first line it
writes, `true`, says that it is ready. `{"error": …}` in place of either says what is wrong with the user's own file.
It ends with its standard input, and in place of a reply if a request takes too long or too much memory: what SymPy
keeps of it is then gone too.

It is a program, not a `multiprocessing` child: those import the parent's main module again, and with it torch.
"""

import json
import logging
import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from soar_pipeline.grading import comparison
from soar_pipeline.grading.verifiers import REQUESTS, VerifierError, verifier_of


class MemoryLimit:
    """Lets the address space grow by `megabytes` from here; without effect if it cannot be measured (not Linux)."""

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


def main(timeout_seconds: int, memory_mb: int, verifier: str | dict[str, Any]) -> None:
    logging.disable()
    # An interrupt at the terminal reaches the whole process group: the parent decides what becomes of a worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The first parse compiles patterns and loads the grammar: paid before the memory limit and before any request.
    comparison.verifies(r"\frac{1}{2}", "x+1")
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    # From here on nothing that a library or a user's file prints may reach the replies, nor may it read a request.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    # What a user's file imports may lie beside the run; behind what is installed, which it must not shadow.
    sys.path.append(str(Path.cwd()))
    try:
        chosen = verifier_of(verifier)
    except VerifierError as error:
        print(json.dumps({"error": str(error)}), file=replies, flush=True)
        return
    answers = {name: getattr(chosen, name) for name in REQUESTS}
    memory = MemoryLimit(memory_mb)
    print("true", file=replies, flush=True)
    # Nor may it reach the job's log.
    os.dup2(nowhere, 2)
    for line in requests:
        kind, *texts = json.loads(line)
        # One timer over parsing and comparison of CPU time: a busy machine changes no
        # verdict. Without a handler it ends the process, even out of C code; an exception would wait for the
        # interpreter, and may be swallowed.
        signal.setitimer(signal.ITIMER_PROF, timeout_seconds)
        try:
            reply = answers[kind](*texts)
        except VerifierError as error:
            reply = {"error": str(error)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        if memory.half_used:
            return
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
