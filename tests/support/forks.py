"""One fork server for the tests of this process: imports of torch and Snakemake would take most of their time."""

import atexit
import os
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from soar_pipeline.fork_server import fork_server

HAS_FORKS = sys.platform == "linux"


def environment() -> dict[str, str]:
    """This process's environment with a server."""
    return os.environ | (_server() if HAS_FORKS else {})


@cache
def _server() -> dict[str, str]:
    """What names a server that lasts as long as the tests."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(fork_server((str(Path(__file__).with_name("warm_python.py")),)))


def forked(command: list[str | Path]) -> list[str | Path]:
    """A command that starts Python with a module or a file, as one that asks for a fork.

    If torchrun starts several processes, each of them asks for one.
    """
    python, *words = command
    if not HAS_FORKS:
        return command
    if "torch.distributed.run" in words:
        end = words.index("--")
        launcher = [*words[:end], *(["-m"] if words[end - 1] != "-m" else []), "--"]
        words = words[end + 1 :]
    else:
        launcher, words = ["-m"], words[words[0] == "-m" :]
    return [python, *launcher, "soar_pipeline.fork_server", *words]


def run_python(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python WORDS`, a module or a file, in a fork; nothing is printed, nothing is raised."""
    options = {"env": environment(), "capture_output": True, "text": True, "check": False} | options
    return subprocess.run(forked([sys.executable, *words]), **options)
