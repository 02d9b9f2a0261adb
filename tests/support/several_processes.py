"""A program as torchrun starts it: in several processes that meet by gloo."""

import sys


def in_processes(count: int, command: list[str]) -> list[str]:
    """The command (`python …`) in `count` processes at once; alone, as it stands."""
    if count == 1:
        return command
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    module = command[1] == "-m"
    return [*launcher, *command[1 : 1 + module], "--", *command[1 + module :]]
