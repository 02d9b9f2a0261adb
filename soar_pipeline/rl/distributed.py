"""The processes that train one student together, started by torchrun; a process alone is the first of one.

Each has all of the model and an equal share of the rollouts of every step; only the first writes files.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.runtime import derive

Item = TypeVar("Item")


# The others wait while the first writes a checkpoint, or has the longest answers to grade.
PATIENCE = timedelta(hours=1)


def init_distributed() -> PartialState:
    """Meet the other processes of the job, once and before anything uses a GPU: each gets its own."""
    everyone = processes()
    if everyone.num_processes > 1:
        # The job's threads are shared out, so that the processes do not contend.
        torch.set_num_threads(max(1, torch.get_num_threads() // everyone.num_processes))
        threading.Thread(target=_end_with_launcher, args=(os.getppid(),), daemon=True).start()
    if not everyone.is_main_process:
        logging.getLogger().setLevel(logging.WARNING)
    return everyone


def processes() -> PartialState:
    """This process among those of its job, and its device."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def gather(items: list[Item]) -> list[Item]:
    """The items of all processes, in the order of the processes; every process must call it."""
    return gather_object(items)


def rank_seed(seed: int) -> int:
    """A seed for what this process samples by itself: `seed` in the first process, another in each of the others."""
    index = processes().process_index
    return derive(seed, "process", index) if index else seed


@contextmanager
def rank0_lock(lock: AbstractContextManager[None]) -> Iterator[None]:
    """Hold a lock of the job: the first process takes it. If it cannot, it says why, and the others end."""
    first, refusal = processes().is_main_process, None
    with ExitStack() as stack:
        if first:
            try:
                stack.enter_context(lock)
            except ArtifactError as error:
                refusal = error
        if any(gather([refusal is not None])):
            raise refusal or SystemExit(1)
        yield


def _end_with_launcher(launcher: int) -> None:
    """Processes of a killed torchrun must not train on, beside those of the run that takes its place."""
    while os.getppid() == launcher:
        time.sleep(0.5)
    os._exit(1)
