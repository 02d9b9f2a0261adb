"""A teacher's reward from a file of the user's own (`objectives.<name>.reward: my_rewards.py:half_solved`), unread by
Python until its run starts: light to import, so that a mistake is told before anything runs.
"""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

from soar_pipeline.config import ConfigError, ObjectiveConfig


@dataclass(frozen=True)
class RewardFile:
    """A Python file, exactly as it was read, and the function in it."""

    path: Path
    function: str
    source: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()


def read_reward_file(objective: ObjectiveConfig, name: str) -> RewardFile | None:
    """The file that an objective's reward comes from; None for a built-in one.

    Raises ConfigError naming `objectives.<name>.reward` where the file cannot be read, is no Python, or has no
    function of that name with two parameters at its top level.
    """
    if objective.reward_file is None:
        return None
    file, function = objective.reward_file
    key, path = f"objectives.{name}.reward", Path(file)
    try:
        source = path.read_bytes()
        tree = ast.parse(source, str(path))
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read ({error.strerror})") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{key}: {path} is no Python ({error})") from None
    defined = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in defined:
        raise ConfigError(
            f"{key}: {path} has no `def {function}(step, tools)` at its top level; it has {sorted(defined)}"
        )
    if not _takes_two(defined[function]):
        raise ConfigError(f"{key}: {function} in {path} must take two arguments: `def {function}(step, tools)`")
    return RewardFile(path, function, source)


def _takes_two(parameters: ast.arguments) -> bool:
    """Whether two positional arguments, and no more than these, make a call."""
    positional = len(parameters.posonlyargs) + len(parameters.args)
    required = positional - len(parameters.defaults)
    return required <= 2 and (positional >= 2 or parameters.vararg is not None) and None not in parameters.kw_defaults
