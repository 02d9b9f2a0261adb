"""The command line of a stage, made from its function's signature.

`run_stage(function)` gives `python -m soar_pipeline.stages.<stage> --config JSON --log FILE --<parameter> …`:
the parameter `config` (a pydantic model) takes the stage's slice of the configuration, every other parameter
becomes an option of the same name (`Path`, `list[Path]`, `int`, `str`).
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

from pydantic import ValidationError

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import ConfigError, readable

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
    types = typing.get_type_hints(function)
    parser = argparse.ArgumentParser(description=inspect.getdoc(function))
    parser.add_argument("--log", type=Path, help="also write progress and errors to this file")
    for name in inspect.signature(function).parameters:
        _add_option(parser, name, types[name])
    options = vars(parser.parse_args())
    try:
        _set_up_logging(options.pop("log"))
        if "config" in options:
            options["config"] = types["config"].model_validate_json(options["config"])
        function(**options)
    except ValidationError as error:
        _fail(f"--config: {readable(error)}")
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


def _add_option(parser: argparse.ArgumentParser, name: str, kind: type) -> None:
    option = "--" + name.replace("_", "-")
    if name == "config":
        parser.add_argument(option, required=True, metavar="JSON", help="the stage's slice of the configuration")
    elif kind == list[Path]:
        parser.add_argument(option, type=Path, nargs="*", required=True)
    else:
        parser.add_argument(option, type=kind, required=True)


def _set_up_logging(file: Path | None) -> None:
    # A log that can no longer be written, on a full disk say, must not bury what is said on the terminal.
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file, mode="a", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)
    for noisy in ("httpx", "filelock", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _fail(message: str) -> None:
    logging.getLogger().error("error: %s", message)
    sys.exit(1)
