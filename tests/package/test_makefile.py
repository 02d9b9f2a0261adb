"""Which PyTorch `make install` asks for, with programs that only write down what they are asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEFAULT, CPU = "--editable .", "torch==2.13.0+cpu"
WARNING = "gigabytes of libraries for NVIDIA GPUs"


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def install(folder: Path, *, gpu: bool = False, cpu_build: bool = False, torch: bool = False) -> tuple[list[str], str]:
    """What pip is asked to install, and what is said; `torch`: the pinned one is there already."""
    project = Path(__file__).parents[2]
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(project / name, folder)
    program(
        folder / ".venv" / "bin" / "python",
        f'if [ "$1" = -c ]; then exit {0 if torch else 1}; fi\n'
        f'echo "$@" >> asked; case "$*" in *+cpu*) exit {0 if cpu_build else 1};; esac',
    )
    program(folder / "bin" / "nvidia-smi", 'echo "GPU 0: one"' if gpu else "exit 9")
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = ["make", "install", "PYTHON=python3"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = (folder / "asked").read_text().splitlines()
    return [line.rpartition("--constraint constraints.txt ")[2] for line in asked], done.stderr


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only there the default build brings CUDA")
def test_without_a_gpu_the_cpu_build_is_installed_first(tmp_path: Path):
    asked, said = install(tmp_path, cpu_build=True)
    assert [line.strip("'") for line in asked] == [CPU, DEFAULT]
    assert said == ""


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only there the default build brings CUDA")
def test_where_there_is_no_cpu_build_a_warning_comes_before_the_download(tmp_path: Path):
    asked, said = install(tmp_path)
    assert asked == [CPU, DEFAULT]
    assert WARNING in said
    assert "PIP_EXTRA_INDEX_URL" in said


def test_with_a_gpu_the_default_build_is_installed(tmp_path: Path):
    assert install(tmp_path, gpu=True) == ([DEFAULT], "")


def test_a_pinned_torch_that_is_there_is_kept(tmp_path: Path):
    assert install(tmp_path, torch=True) == ([DEFAULT], "")
