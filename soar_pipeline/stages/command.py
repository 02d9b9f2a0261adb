"""The command line of a stage, made from its function's signature.

`run_stage(function)` gives `python -m soar_pipeline.stages.<stage> --settings FILE --speed FILE --log FILE …`. The
function's parameter `settings` is read from these files. The fields of `run`, an item of the plan, are options. So is
every file that the stage reads (`Input`, `Inputs`, `Sources`) or makes (`Output`, `Outputs`). `artifacts` writes
Parquet files and knows how they are made. `@FILE` on a command line stands for the words of a file, one on each line.
"""

import argparse
import errno
import inspect
import logging
import os
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from soar_pipeline.artifacts.files import ArtifactError, Artifacts, digest_input
from soar_pipeline.artifacts.job_costs import measured
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.records import made_file
from soar_pipeline.config import ConfigError, Settings
from soar_pipeline.config.items import Item
from soar_pipeline.runtime import set_up_process

Input = Annotated[Path, "input"]
Inputs = Annotated[list[Path], "input"]
# What no stage of the run wrote, and which is not trusted.
Sources = Annotated[list[Path], "input", "source"]
Output = Annotated[Path, "output"]
Outputs = Annotated[list[Path], "output"]

# Errors that speak to the user: shown as one line, with no traceback.
READABLE = (ConfigError, ArtifactError)
# Likewise what the machine refuses, and what to do.
MACHINE_REFUSES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it accessible",
    errno.EPERM: "make it accessible",
    errno.EMFILE: "allow more open files (ulimit -n)",
}


def run_stage(function: Callable[..., None]) -> None:
    """Parse the command line, run the stage, and turn readable errors into one line and exit status 1."""
    kinds = _kinds(function)
    parser = argparse.ArgumentParser(description=inspect.getdoc(function), fromfile_prefix_chars="@")
    parser.add_argument("--settings", type=Path, required=True, help="the keys of the configuration that it reads")
    parser.add_argument("--speed", type=Path, required=True, help="those that only decide speed, memory or display")
    parser.add_argument("--log", type=Path, help="write progress to this file, too, and errors to it alone")
    fields = typing.get_type_hints(kinds["run"]) if "run" in kinds else {}
    for name, kind in {**fields, **_files(kinds)}.items():
        _add_option(parser, name, kind)
    options = vars(parser.parse_args())
    settings, speed = options.pop("settings"), options.pop("speed")
    try:
        _set_up_logging(options.pop("log"))
        set_up_process()
        run = kinds["run"](**{name: options.pop(name) for name in fields}) if fields else None
        # Until it is finished again, the job has no record.
        made_file(settings).unlink(missing_ok=True)
        with measured(settings):
            call_stage(function, Settings.read(settings, speed), run, recorded_at=settings, **options)
    except READABLE as error:
        _fail(str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in MACHINE_REFUSES:
            _fail(
                f"{error.filename or 'a file'}: {os.strerror(error.errno)}; {MACHINE_REFUSES[error.errno]} and run the "
                "same command again: it goes on from what is finished"
            )
        logging.getLogger().exception("%s failed", function.__name__)
        sys.exit(1)


def call_stage(
    function: Callable[..., None],
    settings: Settings,
    run: Item | None = None,
    *,
    recorded_at: Path | None = None,
    **files: Path | list[Path],
) -> None:
    """Run the stage for an item of the plan, in this process.

    recorded_at: the file of its settings, beside which it leaves its record; none: it leaves none.
    """
    kinds = _kinds(function)
    sources = _paths(kinds, files, "source")
    # Before it reads them: what changes while it works was not what it read.
    inputs = {path: digest_input(path, source=path in sources) for path in _paths(kinds, files, "input")}
    provenance = Provenance(
        function.__name__,
        settings.results,
        inputs={path.as_posix(): value for path, value in inputs.items()},
        run=run.columns() if run else {},
    )
    artifacts = Artifacts(provenance, tuple(_paths(kinds, files, "output")), recorded_at)
    given = {"settings": settings, "run": run, "artifacts": artifacts}
    function(**{name: value for name, value in given.items() if name in kinds}, **files)
    artifacts.finish()


def _kinds(function: Callable[..., None]) -> dict[str, Any]:
    """The type of each parameter."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {name: hints[name] for name in inspect.signature(function).parameters}


def _files(kinds: dict[str, Any]) -> dict[str, Any]:
    """The parameters that are files."""
    return {name: kind for name, kind in kinds.items() if name not in ("settings", "run", "artifacts")}


def _paths(kinds: dict[str, Any], files: dict[str, Any], role: str) -> list[Path]:
    """The given files of one role, `input` or `output`, in the order of the parameters."""
    given = [files[name] for name, kind in kinds.items() if role in getattr(kind, "__metadata__", ())]
    return [path for value in given for path in (value if isinstance(value, list) else [value])]


def _add_option(parser: argparse.ArgumentParser, name: str, kind: Any) -> None:
    option, kind = "--" + name.replace("_", "-"), getattr(kind, "__origin__", kind)
    if typing.get_origin(kind) is list:
        parser.add_argument(option, type=Path, nargs="*", required=True)
    else:
        parser.add_argument(option, type=kind, required=True)


class _Log(logging.FileHandler):
    """A log file; what cannot be written to it, as the disk is full say, is told on the terminal if it is an error."""

    def handleError(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            print(self.format(record), file=sys.stderr)


def _set_up_logging(file: Path | None) -> None:
    # A log that can no longer be written must not bury what is said on the terminal.
    logging.raiseExceptions = False
    console = logging.StreamHandler(sys.stderr)
    handlers: list[logging.Handler] = [console]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_Log(file, mode="a", encoding="utf-8"))
        # Snakemake shows the log of a failed job at its end: there an error stands once.
        console.addFilter(lambda record: record.levelno < logging.ERROR)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)
    for noisy in ("httpx", "filelock", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _fail(message: str) -> None:
    logging.getLogger().error("error: %s", message)
    sys.exit(1)
