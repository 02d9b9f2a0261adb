"""Files and folders that appear under their names only when they are complete: written beside, synced, renamed."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Errors of a file that cannot grow.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`; on success it is synced and renamed, on failure removed.

    synced: False for what whoever reads it can make again; a power failure may leave it empty.
    """
    with unfinished(path, _new_file) as temporary:
        yield temporary
        if synced:
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
        # mkstemp makes private files; artifacts follow the umask like any other output.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        if synced:
            sync_folder(path.parent)


@contextmanager
def unfinished(path: Path, make: Callable[[Path], Path]) -> Iterator[Path]:
    """What `make` makes beside `path`, a file or a folder; removed in the end unless it was renamed.

    It is held by a lock as long as this process lives. What killed processes left beside `path` is held by nobody, and
    removed first; what living ones are writing stays. An OSError that names no file gets the name of `path`, as does
    one of a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _left_beside(path):
        _remove_unless_held(left)
    while (held := _made_and_held(make, path)) is None:
        pass
    temporary, descriptor = held
    try:
        yield temporary
    except OSError as error:
        # On a full disk some errors name no file, and others the temporary file or the one that was copied.
        if error.filename is None or error.errno in NO_ROOM:
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)
        os.close(descriptor)


def put_in_place(folder: Path, target: Path) -> None:
    """Rename a finished folder to `target`, in place of what is there, once its files are on the disk."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(folder)
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)
    sync_folder(target.parent)


def new_folder(path: Path) -> Path:
    """A new private folder beside `path`, for `unfinished`."""
    return Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))


def _new_file(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    return Path(name)


def _left_beside(path: Path) -> list[Path]:
    # Plain comparisons: a pattern for each of a plan's thousands of files would take seconds.
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(".part")]
    return [path.parent / name for name in names if name.startswith(f".{path.name}.")]


def _made_and_held(make: Callable[[Path], Path], path: Path) -> tuple[Path, int] | None:
    """What `make` makes, with the descriptor that holds it; None if another process took it for a leftover first."""
    temporary = make(path)
    with suppress(FileNotFoundError):
        descriptor = os.open(temporary, os.O_RDONLY if temporary.is_dir() else os.O_RDWR)
        if _hold(descriptor) and temporary.exists():
            return temporary, descriptor
        os.close(descriptor)
    return None


def _hold(descriptor: int) -> bool:
    """Whether nobody else holds it; a file system without locks holds nothing, and nothing counts as a leftover."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _remove_unless_held(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, synced: bool = True) -> None:
    """Write a text file atomically; synced as of `atomic_path`."""
    with atomic_path(path, synced=synced) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
