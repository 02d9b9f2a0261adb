"""SOAR: a language model teaches itself at the edge of learnability (arXiv 2601.18778).

`docs/library.md` shows the public names in use. Each is imported when it is first used: `import soar_pipeline` itself
loads no library and changes nothing in the process.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_DEFINED_IN = {
    "Grader": "grading.grader:Grader",
    "Plan": "config.plan:Plan",
    "ResettableTrainer": "rl.rloo:ResettableTrainer",
    "last_boxed": "grading.boxes:last_boxed",
    "load_config": "config.load:load",
    "pass_at_k": "evaluation.passk:pass_at_k",
    "read_artifact": "artifacts.files:read_artifact",
    "student_reward": "grading.reward:student_reward",
    "vendi_score": "evaluation.vendi:vendi_score",
}

__all__ = sorted(_DEFINED_IN)


def __getattr__(name: str) -> Any:
    if name not in _DEFINED_IN:
        raise AttributeError(f"{__name__} has no public name {name!r}; it has {', '.join(__all__)}")
    module, _, defined = _DEFINED_IN[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), defined)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
