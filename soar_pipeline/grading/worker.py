"""A grading worker: Math-Verify behind pipes, in a process of its own that may be killed at any time.

Reads one request per line from standard input as a JSON list, `["parses", answer]` or `["verifies", gold, answer]`,
and writes `true` or `false` on a line of its own. Where a request takes too long or too much memory it ends itself:
what SymPy left behind then is gone with it. Math-Verify's timeouts use SIGALRM and need the main thread.
"""

import json
import logging
import os
import resource
import sys

from math_verify import parse, verify
from math_verify.errors import TimeoutException


def main(timeout_seconds: int, memory_mb: int) -> None:
    # Nothing that a library prints may mix with the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    _limit_memory(memory_mb)
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        try:
            reply = _reply(json.loads(line), timeout_seconds)
        except (TimeoutException, MemoryError):
            return
        print(json.dumps(reply), file=replies, flush=True)


def _reply(request: list[str], timeout_seconds: int) -> bool:
    kind, *answers = request
    parsed = [_parsed(answer, timeout_seconds) for answer in answers]
    if kind == "parses":
        return bool(parsed[0])
    gold, answer = parsed
    try:
        # The gold comes first: `verify` is not symmetric.
        return verify(gold, answer, timeout_seconds=timeout_seconds, raise_on_error=True)
    except (TimeoutException, MemoryError):
        raise
    except Exception:
        # Whatever SymPy stumbles over is not equal.
        return False


def _parsed(answer: str, timeout_seconds: int) -> list:
    try:
        # Inside a box even bare answers parse; outside, one in five golds of MATH does not.
        return parse("\\boxed{" + answer + "}", parsing_timeout=timeout_seconds, raise_on_error=True)
    except (TimeoutException, MemoryError):
        raise
    except Exception:
        return []


def _limit_memory(memory_mb: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        at_start = int(file.read().split()[0]) * resource.getpagesize()
    limit = at_start + memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
