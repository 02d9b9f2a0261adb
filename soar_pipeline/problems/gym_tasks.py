"""Tasks of Reasoning Gym: their data sets, and the scores of answers.

Imports the package `reasoning-gym`, an extra. Entries of some tasks depend on the interpreter's hash seed. So they are
made in a process of their own with PYTHONHASHSEED=0, which grading workers have too:

python -m soar_pipeline.problems.gym_tasks TASK SEED SIZE CONFIG

writes a line of JSON for each entry, `{"question": …, "answer": …}`, or one line `{"error": …}`.
"""

import ast
import json
import os
import re
import sys
from importlib import metadata
from typing import Any

import reasoning_gym
from reasoning_gym.factory import DATASETS

# The version whose scorers were read for what they evaluate.
VERSION = "0.1.25"
# An answer is a model's, and these scorers evaluate it as Python. Here it may only be a list of plain values …
_READS_LIST = {"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"}
# … and here, where SymPy's parser does so, numbers, variables of one letter and functions: no attribute, no text.
_READS_EXPRESSION = {
    "countdown",
    "intermediate_integration",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
}
_FUNCTIONS = "Abs|acos|asin|atan|cos|cosh|cot|csc|exp|log|pi|sec|sin|sinh|sqrt|tan|tanh"
_EXPRESSION = re.compile(rf"(?:(?:{_FUNCTIONS}|[a-zA-Z])(?![a-zA-Z_])|\d+(?:\.\d+)?|\.\d+|[\s+\-*/^(),])*")


def task_data(task: str, config: dict[str, Any], seed: int, size: int) -> Any:
    """The task's data set of `size` entries. Raises ValueError that names the key which cannot be used."""
    if (installed := metadata.version("reasoning-gym")) != VERSION:
        raise ValueError(f"adapter: reasoning-gym {installed} is installed; install {VERSION}")
    if task not in DATASETS:
        raise ValueError(f"task: Reasoning Gym has no task {task!r}; it has {', '.join(sorted(DATASETS))}")
    if task in _READS_LIST:
        sys.modules[DATASETS[task][0].__module__].eval = ast.literal_eval
    try:
        return reasoning_gym.create_dataset(task, seed=seed, size=size, **config)
    # A task checks its values by assertions, and an unknown key is a TypeError.
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"task_config: Reasoning Gym refuses it for {task}: {error}") from None


def is_right(data: Any, task: str, answer: str, entry: dict[str, Any]) -> bool:
    """Whether the task's own scorer gives the answer full marks, which are 1."""
    if task in _READS_EXPRESSION and not _EXPRESSION.fullmatch(answer):
        return False
    try:
        return bool(data.score_answer(answer, entry) >= 1)
    except MemoryError:
        raise
    # Some scorers stumble over a text that is not an answer.
    except Exception:
        return False


def _write_entries(task: str, seed: int, size: int, config: dict[str, Any]) -> None:
    lines = os.fdopen(os.dup(1), "w")
    # Some tasks print while they make an entry.
    os.dup2(2, 1)
    try:
        data = task_data(task, config, seed, size)
        for index in range(size):
            entry = data[index]
            print(json.dumps({"question": entry["question"], "answer": entry["answer"]}), file=lines)
    except ValueError as error:
        print(json.dumps({"error": str(error)}), file=lines)
    lines.flush()


if __name__ == "__main__":
    _write_entries(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
