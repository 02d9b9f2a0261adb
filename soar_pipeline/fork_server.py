"""Jobs of a run on a CPU start as forks of one process that has imported torch, transformers and TRL already.

These imports take five to six seconds, more than most jobs of a toy run. `soar-pipeline run` starts the server and
names its socket in the environment; each job's command is then

    python -m soar_pipeline.fork_server soar_pipeline.stages.train_soar --settings FILE …

which asks the server for a fork, stands for it in Snakemake's eyes (terminal, signals, exit status), and costs 0.05 s.
Without a server, as on another machine, it runs the module itself. A job whose command is killed is killed, too. One
whose Snakemake, or server, is killed ends by itself, as one that was not forked does.

Linux only: macOS's system libraries do not survive a fork.
"""

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import NoReturn

SOCKET = "SOAR_FORK_SERVER"
STREAMS = (0, 1, 2)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def fork_server(program: tuple[str, ...] = ("-m", __name__)) -> Iterator[dict[str, str]]:
    """A server for the block; yields what the environment of those who may use it has to say.

    program: what Python runs as the server, with the options `--serve DESCRIPTOR`.
    """
    with tempfile.TemporaryDirectory(prefix="soar-") as folder:
        address = Path(folder, "socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(address))
            listening.listen(128)
            # A session of its own: what the terminal interrupts is forwarded once, by each job's command.
            command = [sys.executable, *program, "--serve", str(listening.fileno())]
            server = subprocess.Popen(
                command, pass_fds=[listening.fileno()], stdin=subprocess.PIPE, start_new_session=True
            )
        try:
            yield {SOCKET: str(address)}
        finally:
            # Where this process is killed, it ends at the end of its input.
            server.terminate()
            server.stdin.close()
            server.wait()


def _request(module: str, arguments: list[str]) -> int:
    """Run a module's stage in a fork of the server; its exit status, negative if a signal ended it."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.environ[SOCKET])
    except (KeyError, OSError):
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
    socket.send_fds(connection, [b"\n"], STREAMS)
    job = {"module": module, "arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with connection.makefile("rw") as file:
        file.write(json.dumps(job) + "\n")
        file.flush()
        # Nothing comes if the server was killed.
        if process := int(file.readline() or 0):
            for number in FORWARDED:
                signal.signal(number, lambda number, _: os.kill(process, number))
        return int(file.readline() or 1)


def serve(descriptor: int, run: Callable[[str], None]) -> None:
    """Import what stages need, then fork for each request that comes in by a socket, and `run` its module there.

    Returns at the end of this process's input.
    """
    # Whoever asks meanwhile waits.
    stages = import_module("soar_pipeline.stages")
    for stage in iter_modules(stages.__path__, "soar_pipeline.stages."):
        import_module(stage.name)
    gc.freeze()
    if job := _requested(socket.socket(fileno=descriptor)):
        _become(job)
        _end_with(run, job["module"])


def _requested(listening: socket.socket) -> dict | None:
    """Fork for each request. Returns in the forks, what was requested; in the server at the end of its input, None."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(listening, selectors.EVENT_READ)
        waiting.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is sys.stdin:
                    return None
                if key.fileobj is listening:
                    if job := _forked(listening.accept()[0], waiting):
                        return job
                else:
                    _ended(*key.data, waiting)


def _forked(connection: socket.socket, waiting: selectors.BaseSelector) -> dict | None:
    """Fork for one request; None in the server."""
    streams: list[int] = []
    job = None
    # Whoever asks may be killed.
    with suppress(OSError, ValueError):
        _, streams, _, _ = socket.recv_fds(connection, 1, len(STREAMS))
        job = json.loads(connection.makefile().readline())
    process = os.fork() if job else None
    if process == 0:
        # Of the other jobs' commands, none is to wait for this one.
        for key in waiting.get_map().values():
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        connection.close()
        for stream, target in zip(streams, STREAMS, strict=True):
            os.dup2(stream, target)
    for stream in streams:
        os.close(stream)
    if process == 0:
        return job
    if process:
        with suppress(OSError):
            connection.sendall(f"{process}\n".encode())
        handle = os.pidfd_open(process)
        # Either the job ends or, by a kill, what stands for it.
        waiting.register(handle, selectors.EVENT_READ, (process, handle, connection))
        waiting.register(connection, selectors.EVENT_READ, (process, handle, connection))
    return None


def _ended(process: int, handle: int, connection: socket.socket, waiting: selectors.BaseSelector) -> None:
    """A job has ended, or its command has, and then the job is to end."""
    if handle not in waiting.get_map():
        return
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    for one in (handle, connection):
        waiting.unregister(one)
    with suppress(OSError):
        connection.sendall(f"{status}\n".encode())
    connection.close()
    os.close(handle)


def _become(job: dict) -> None:
    """In a fork: the process that was requested."""
    for number in FORWARDED:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.chdir(job["folder"])
    # Where `python -m` looks first.
    sys.path[0] = job["folder"]
    os.environ.clear()
    os.environ.update(job["environment"])
    # torch has read it once.
    sys.modules["torch"].set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    sys.argv = [job["module"], *job["arguments"]]


def _end_with(run: Callable[[str], None], module: str) -> NoReturn:
    """Run the module, and end this process as an interpreter that does."""
    try:
        run(module)
        status = 0
    except SystemExit as end:
        status = end.code or 0
    # To take apart all that was imported takes longer than many a job.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run_stage_of(module: str) -> None:
    """Run a stage by the name of its module."""
    from soar_pipeline.stages.command import run_stage

    run_stage(getattr(import_module(module), module.rpartition(".")[2]))


def main(words: list[str]) -> None:
    """The server, or a job's command."""
    if words[0] == "--serve":
        serve(int(words[1]), run_stage_of)
        return
    status = _request(words[0], words[1:])
    if status < 0:
        for number in FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
