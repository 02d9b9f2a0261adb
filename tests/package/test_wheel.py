"""A wheel, built from the source distribution and installed where no clone is: the three ways to start the workflow."""

import os
import subprocess
import sys
import sysconfig
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT, job_counts

from soar_pipeline.artifacts.files import read_parquet
from soar_pipeline.artifacts.schemas import PROBLEMS
from soar_pipeline.config import Plan, load

LEFT_OUT = {
    ".git",
    ".venv",
    ".venv-vllm",
    ".venv-constraints",
    ".snakemake",
    "results",
    "logs",
    "build",
    "dist",
    "data",
    "__pycache__",
}
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def built(kind: str, source: Path, target: Path) -> Path:
    """What setuptools builds from the sources in a folder, as pip and `build` ask it to."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{kind}", target], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target / done.stdout.splitlines()[-1]


def copy_of_sources(folder: Path) -> Path:
    """The project without what git leaves out: a build writes into the folder of its sources."""
    for path in ROOT.iterdir():
        if path.name not in LEFT_OUT and not path.name.endswith((".egg-info", "_cache")):
            subprocess.run(["cp", "-R", "-P", path, folder], check=True)
    return folder


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and the dependencies of the one that runs the tests."""

    folder: Path

    def run(self, where: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """A command with the environment's programs first on the path, as in one that is activated."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PATH"] = f"{self.folder / 'bin'}:{environment['PATH']}"
        return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)

    def output(self, where: Path, *command: str | Path) -> str:
        done = self.run(where, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "sources").mkdir()
    archive = built("sdist", copy_of_sources(folder / "sources"), folder)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    wheel = built("wheel", folder / archive.name.removesuffix(".tar.gz"), folder)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    # Not the clone: links to editable installations in that folder are not followed from here.
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    # A script of Snakemake's, with this environment's interpreter.
    script = environment / "bin" / "snakemake"
    script.write_text(f'#!/bin/sh\nexec "{python}" -m snakemake "$@"\n')
    script.chmod(0o755)
    return Installed(environment)


def test_the_package_and_its_files_are_those_of_the_wheel(installed: Installed, tmp_path: Path):
    program = "from soar_pipeline.config.paths import PROJECT; print(PROJECT)"
    project = Path(installed.output(tmp_path, "python", "-c", program).strip())
    assert project.is_relative_to(installed.folder)
    for folder in ("config", "resources", "workflow", "profiles"):
        shipped = [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()]
        # They lie beside the Snakefile, where Snakemake looks for them.
        shipped = [path for path in shipped if path.parts[:2] != ("workflow", "profiles")]
        assert shipped
        assert [path for path in shipped if (project / path).read_bytes() != (ROOT / path).read_bytes()] == []


def test_run_makes_files_in_an_empty_folder(installed: Installed, tmp_path: Path):
    """From shipped prompts, configuration and model, by stages of the installed package."""
    files = ["results/smoke/shuffles/problems.parquet", "results/smoke/models/base"]
    installed.output(tmp_path, "soar-pipeline", "run", *files, "--configfile", "config/smoke.yaml", "--cores", "2")
    assert read_parquet(tmp_path / files[0], PROBLEMS).num_rows == 24
    assert (tmp_path / files[1] / "model.safetensors").is_file()


def test_the_snakefile_can_be_named_to_snakemake(installed: Installed, tmp_path: Path):
    out = installed.output(tmp_path, "bash", "-c", 'snakemake -n --quiet rules -s "$(soar-pipeline snakefile)"')
    assert job_counts(out) == Counter(job.rule for job in Plan(load(ROOT / "config" / "config.yaml")).jobs)


def test_the_workflow_is_a_module_of_another(installed: Installed, tmp_path: Path):
    snakefile = installed.output(tmp_path, "soar-pipeline", "snakefile").strip()
    values = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text(encoding="utf-8")) | {"run": "mine"}
    # Files beside the configuration are found, and those that are shipped.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "student.txt").write_text("{question}")
    values["prompts"]["student"] = "student.txt"
    (tmp_path / "mine" / "soar.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    jobs = job_counts(installed.output(tmp_path, "snakemake", "-n", "--cores", "1"))
    planned = [job.rule for job in Plan(load(ROOT / "config" / "smoke.yaml")).jobs]
    own = {"all": 1, "count": 1}
    assert jobs == {f"soar_{rule}": planned.count(rule) for rule in planned if rule != "all"} | own


MODULE = """
configfile: "mine/soar.yaml"

module soar:
    snakefile: "{snakefile}"
    config: config

use rule * from soar as soar_*

rule all:
    default_target: True
    input: rules.soar_all.input, "count.txt"

rule count:
    input: "results/mine/passk.parquet"
    output: "count.txt"
    shell: "wc -c {{input}} > {{output}}"
"""


def test_costs_and_doctor_need_no_clone(installed: Installed, tmp_path: Path):
    assert "run toy on" in installed.output(tmp_path, "soar-pipeline", "cost")
    assert "config/paper.yaml" in installed.output(tmp_path, "soar-pipeline", "doctor")


def test_a_configuration_that_is_nowhere_is_one_line(installed: Installed, tmp_path: Path):
    done = installed.run(tmp_path, "soar-pipeline", "run", "--configfile", "nowhere.yaml")
    assert done.returncode == 1
    assert done.stderr.startswith("error: nowhere.yaml is not in ")
    assert done.stderr.count("\n") == 1
