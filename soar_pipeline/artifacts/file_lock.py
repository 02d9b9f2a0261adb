"""One writer per training: the job itself holds a lock, which outlives a killed Snakemake as the job does."""

import fcntl
import json
import logging
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from soar_pipeline.artifacts.files import ArtifactError

log = logging.getLogger(__name__)

# Of a training, in the folder of its checkpoints.
LOCK = "lock"


@dataclass(frozen=True)
class Holder:
    """The job that holds a lock."""

    host: str
    process: int
    slurm_job: str | None

    def __str__(self) -> str:
        return f"host {self.host}, process {self.process}, SLURM job {self.slurm_job or 'none'}"

    @property
    def runs(self) -> bool:
        """Whether Slurm says so; False if there is no Slurm, or no answer."""
        if self.slurm_job is None or shutil.which("squeue") is None:
            return False
        query = ["squeue", "--noheader", "--states=RUNNING", "--format=%i", f"--jobs={self.slurm_job}"]
        return self.slurm_job in subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()


@contextmanager
def file_lock(file: Path) -> Iterator[None]:
    """Hold the lock `file`; ArtifactError names the job that holds it already. The lock of a dead job is free.

    The kernel's lock (flock) tells live from dead on this machine, and on others if the file system shares it: NFS
    does, unless mounted with `nolock` or `local_lock`; Lustre only if mounted with `flock`. If it does not, a
    lock left by another host counts while its Slurm job runs; without Slurm nothing can tell.
    """
    this = Holder(socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID"))
    with file.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(file, _holder(file)) from None
        except OSError as error:
            log.warning("%s: this file system has no locks (%s); only Slurm tells other jobs apart", file, error)
        left = _holder(file)
        if left and left.host != this.host and left.slurm_job != this.slurm_job and left.runs:
            raise _refusal(file, left)
        lock.truncate(0)
        try:
            # Past the buffer, which a full disk would leave filled, to fail again when the file is closed.
            os.write(lock.fileno(), json.dumps(asdict(this)).encode())
            # Other nodes see what has reached the file server.
            os.fsync(lock.fileno())
        except OSError as error:
            error.filename = str(file)
            raise
        try:
            yield
        finally:
            lock.truncate(0)


def _holder(file: Path) -> Holder | None:
    """Who wrote the file; None if nobody did, or if it is cut off."""
    try:
        return Holder(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None


def _refusal(file: Path, holder: Holder | None) -> ArtifactError:
    return ArtifactError(
        f"{file.parent}: another job is writing this run ({holder or 'it has not given its name yet'}); "
        "wait for it or stop it"
    )
