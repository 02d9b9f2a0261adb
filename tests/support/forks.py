"""One fork server for the tests of this process: imports of torch would take most of their time."""

import atexit
import os
import sys
from contextlib import ExitStack
from functools import cache

from soar_pipeline.fork_server import fork_server


@cache
def environment() -> dict[str, str]:
    """The environment with a server that lasts as long as the tests."""
    stack = ExitStack()
    atexit.register(stack.close)
    return os.environ | (stack.enter_context(fork_server()) if sys.platform == "linux" else {})


def forked(command: list[str]) -> list[str]:
    """A stage's command as one that asks for a fork; what starts several processes stays as it is."""
    python, *words = command
    is_stage = words[1].startswith("soar_pipeline.stages.")
    return [python, "-m", "soar_pipeline.fork_server", *words[1:]] if is_stage else command
