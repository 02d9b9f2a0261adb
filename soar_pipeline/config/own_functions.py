"""Functions in Python files of the user's own: a teacher's reward (`objectives.<name>.reward`), and what decides
whether an answer is the gold (`datasets.<name>.verifier`).

A file is read and checked with the configuration, and nothing of it runs. Before jobs start, its import is tried in a
process of its own. It is loaded where it is called.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.abc import SourceLoader
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soar_pipeline.config.section import ConfigError
from soar_pipeline.config.soar import ObjectiveConfig
from soar_pipeline.config.verifiers import OwnVerifier

if TYPE_CHECKING:
    from soar_pipeline.config.run import Config

# How long the import of a file may take, which brings torch if it likes; and what tries it.
IMPORT_SECONDS = 120
_IMPORT = """
import sys
from pathlib import Path
from soar_pipeline.config.own_functions import OwnFunction
OwnFunction(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[1]).read_bytes()).load("own_function")
"""


@dataclass(frozen=True)
class OwnFunction:
    """A Python file, exactly as it was read, and the function in it."""

    path: Path
    function: str
    source: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()

    def load(self, module_name: str) -> Callable[..., Any]:
        """The function; its file runs as a module of this name."""
        module = module_from_spec(spec_from_loader(module_name, _Loader(self)))
        # As of any import: dataclasses and typing look their module up.
        sys.modules[module_name] = module
        module.__spec__.loader.exec_module(module)
        return getattr(module, self.function)


class _Loader(SourceLoader):
    """Imports the very text that was digested: no cached bytecode, which an edit within a second would outlive."""

    def __init__(self, file: OwnFunction):
        self.file = file

    def get_filename(self, fullname: str) -> str:
        return str(self.file.path)

    def get_data(self, path: str) -> bytes:
        return self.file.source


def read_reward_file(objective: ObjectiveConfig, name: str) -> OwnFunction | None:
    """The function that an objective's reward is; None for a built-in one. Raises ConfigError as `read_function`."""
    if objective.reward_file is None:
        return None
    file, function = objective.reward_file
    return read_function(file, function, f"objectives.{name}.reward", "step, context")


def read_verifier_file(verifier: OwnVerifier, key: str) -> OwnFunction:
    """The function that a data set's verifier is, `key` being the place of the verifier.

    Raises ConfigError as `read_function`, and if the file's digest is not that of the verifier, if it has one.
    """
    own = read_function(verifier.file, verifier.function, key, "gold, answer")
    if verifier.sha256 not in (None, own.sha256):
        raise ConfigError(
            f"{key}: the SHA-256 of {own.path} is {own.sha256}, not {verifier.sha256}: the file has changed since this "
            "run was planned, or `sha256` is that of another one; start Snakemake again, or correct `sha256`"
        )
    return own


def read_function(file: str, function: str, key: str, parameters: str) -> OwnFunction:
    """A function of two arguments, which `parameters` names for the reader, in a Python file.

    Raises ConfigError that names `key` if the file cannot be read, is not Python, imports what is not installed, or has
    no function of that name with two parameters at its top level.
    """
    path = Path(file)
    try:
        source = path.read_bytes()
        tree = ast.parse(source, str(path))
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read ({error.strerror})") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{key}: {path} is not Python ({error})") from None
    if missing := _missing_imports(tree):
        raise ConfigError(f"{key}: {path} imports {', '.join(missing)}: not installed here")
    signature = f"def {function}({parameters})"
    defined = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in defined:
        raise ConfigError(f"{key}: {path} has no `{signature}` at its top level; it has {sorted(defined)}")
    if not _takes_two(defined[function]):
        raise ConfigError(f"{key}: {function} in {path} must take two arguments: `{signature}`")
    return OwnFunction(path, function, source)


def check_import(own: OwnFunction, key: str) -> None:
    """Raises ConfigError if the file cannot be imported, which is tried in a process of its own."""
    command = [sys.executable, "-c", _IMPORT, str(own.path), own.function]
    path = os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH"))))
    try:
        tried = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{key}: importing {own.path} takes more than {IMPORT_SECONDS} seconds") from None
    if tried.returncode:
        reason = (tried.stderr.strip().splitlines() or [f"it ends Python with status {tried.returncode}"])[-1]
        raise ConfigError(f"{key}: {own.path} cannot be imported ({reason})")


def own_functions(config: Config) -> Iterator[tuple[str, OwnFunction]]:
    """The functions that a configuration names in files, each with its key."""
    for name, objective in config.objectives.items():
        if own := read_reward_file(objective, name):
            yield f"objectives.{name}.reward", own
    for section, pools in (("datasets", config.datasets), ("pools", config.pools)):
        for name, pool in pools.items():
            if isinstance(pool.verifier, OwnVerifier):
                key = f"{section}.{name}.verifier"
                yield key, read_verifier_file(pool.verifier, key)


def _missing_imports(tree: ast.Module) -> list[str]:
    """Packages that importing the file would ask for in vain; nothing is imported here."""
    names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and not node.level]
    packages = dict.fromkeys(name.partition(".")[0] for name in names)
    return [name for name in packages if not _can_import(name)]


def _can_import(package: str) -> bool:
    if package in sys.modules or package in sys.stdlib_module_names:
        return True
    # A stage runs as `python -m`, which looks in the working directory first, and a grading worker looks there last.
    return bool(PathFinder.find_spec(package, [str(Path.cwd())]) or find_spec(package))


def _takes_two(parameters: ast.arguments) -> bool:
    """Whether two positional arguments, and no more than these, make a call."""
    positional = len(parameters.posonlyargs) + len(parameters.args)
    required = positional - len(parameters.defaults)
    return required <= 2 and (positional >= 2 or parameters.vararg is not None) and None not in parameters.kw_defaults
