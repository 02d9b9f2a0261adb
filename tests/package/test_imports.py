"""Importing the package changes nothing in the process, and its public names are imported when they are used."""

import os
import subprocess
import sys

import pytest

import soar_pipeline

# What libraries set for themselves when they are imported.
OF_LIBRARIES = {"KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK", "TORCHINDUCTOR_CACHE_DIR", "RAY_CLIENT_MODE"}
# Packages that a module imports at its top and that the tests do without (docs/vllm.md, docs/data.md).
NOT_INSTALLED = {"vllm", "reasoning_gym"}

IMPORT_EVERYTHING = f"""
import gc, importlib, os, pkgutil, torch

def state():
    threads = torch.get_num_threads(), torch.get_num_interop_threads()
    collections = gc.get_freeze_count(), gc.get_threshold(), gc.isenabled()
    return threads, collections, {{name: text for name, text in os.environ.items() if name not in {OF_LIBRARIES}}}

before = state()
import soar_pipeline

names = [module.name for module in pkgutil.walk_packages(soar_pipeline.__path__, "soar_pipeline.")]
for name in names:
    if not name.endswith("__main__"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            assert error.name in {NOT_INSTALLED}, name
        assert state()[0] == before[0], f"{{name}} changes torch's threads"
        assert state()[1] == before[1], f"{{name}} changes garbage collection"
        assert state()[2] == before[2], f"{{name}} changes the environment"
print(len(names))
"""


def python(program: str) -> str:
    """What a program prints in an interpreter of its own, whose environment says nothing about threads."""
    kept = {name: text for name, text in os.environ.items() if not name.endswith(("_NUM_THREADS", "_PARALLELISM"))}
    done = subprocess.run([sys.executable, "-c", program], env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_any_module_changes_neither_environment_nor_threads_nor_garbage_collection():
    assert int(python(IMPORT_EVERYTHING)) > 100


def test_importing_the_package_imports_no_library():
    loaded = python("import sys, soar_pipeline; print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    assert {"soar_pipeline"} <= set(loaded.split())
    assert not {"numpy", "pyarrow", "pydantic", "torch", "transformers", "trl"} & set(loaded.split())


@pytest.mark.parametrize("name", soar_pipeline.__all__)
def test_a_public_name_is_what_its_module_defines(name):
    defined = getattr(soar_pipeline, name)
    assert name.endswith(defined.__name__) or name.startswith(defined.__name__)
    assert defined.__doc__
    assert name in dir(soar_pipeline)


def test_an_unknown_name_is_one_line_that_lists_the_public_names():
    with pytest.raises(AttributeError, match=r"has no public name 'pass_at_n'; it has Grader, .*pass_at_k"):
        _ = soar_pipeline.pass_at_n


def test_a_process_that_runs_a_job_has_one_thread_unless_told_otherwise():
    program = (
        "import {first}soar_pipeline.runtime as runtime; runtime.set_up_process(); "
        "import os, gc, torch; print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'], gc.get_freeze_count() > 0)"
    )
    assert python(program.format(first="torch, ")).split() == ["1", "1", "True"]
    assert python(program.format(first="")).split() == ["1", "1", "True"]
    told = "import os; os.environ['OMP_NUM_THREADS'] = '2'; "
    assert python(told + program.format(first="torch, ")).split() == ["2", "2", "True"]
