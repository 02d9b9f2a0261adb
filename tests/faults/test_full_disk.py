"""A disk that fills up, in every stage: one clear line, nothing half-written, nothing harmed, and with room it goes on.

A small run, its jobs as Snakemake would give them, is made once on a small disk. Then each stage's first job is done
again with what it had made removed, on the same disk, filled.
"""

import importlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forks import run_python
from run_contents import contents
from small_runs import small_disk, status_of
from workflow_runs import ROOT, changed_config, snakemake

STAGES = sorted({path.stem for path in (ROOT / "soar_pipeline" / "stages").glob("*.py")} - {"__init__", "command"})
# As little as goes through every stage.
SMALLER = {
    "soar.outer_steps": 1,
    "soar.inner_steps": 1,
    "fresh_student.steps": 2,
    "fresh_student.checkpoint": {"rule": "fixed", "step": 2, "window": 0},
    "filter.shards": 1,
    "evaluation.samples": 4,
    "figures": {"improvement": {"kind": "improvement"}},
    "resources": {},
}


@dataclass
class Job:
    """A job as Snakemake gives it; `made` are the files that were not there before."""

    stage: str
    arguments: list[str]
    made: list[Path] = field(default_factory=list)

    def status(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
        function = getattr(importlib.import_module(f"soar_pipeline.stages.{self.stage}"), self.stage)
        with chdir(folder):
            return status_of(function, self.arguments, monkeypatch)


@dataclass
class SmallRun:
    folder: Path
    jobs: list[Job]

    @property
    def results(self) -> Path:
        return self.folder / "results" / "campaign"

    def files(self) -> set[Path]:
        return {path for path in self.results.rglob("*") if path.is_file()}

    @contextmanager
    def full_but_for(self, room: int) -> Iterator[None]:
        """The disk with `room` bytes left."""
        filler = self.folder / "filler"
        with filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, shutil.disk_usage(self.folder).free - room)
        try:
            yield
        finally:
            filler.unlink()


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRun]:
    folder = tmp_path_factory.mktemp("small")
    config = changed_config(folder, Path(__file__).with_name("campaign.yaml"), SMALLER)
    planned = snakemake(folder, "--dry-run", "--printshellcmds", "--configfile", config)
    commands = re.findall(r"python -m soar_pipeline\.stages\.(\w+) (.*)", planned.stdout + planned.stderr)
    assert commands, planned.stdout + planned.stderr
    run = SmallRun(folder / "disk", [Job(stage, shlex.split(arguments)) for stage, arguments in commands])
    with small_disk(run.folder, "64m"), pytest.MonkeyPatch.context() as monkeypatch:
        shutil.copytree(folder / "results", run.folder / "results")
        for job in run.jobs:
            before = run.files()
            assert job.status(run.folder, monkeypatch) == 0
            job.made = sorted(run.files() - before)
        yield run


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_stops_a_stage_in_one_line_and_harms_nothing(stage, small_run, monkeypatch, caplog):
    job = next(job for job in small_run.jobs if job.stage == stage)
    whole, size = contents(small_run.results), sum(path.stat().st_size for path in job.made)
    made = {str(path.relative_to(small_run.results)) for path in job.made}
    earlier = {name: said for name, said in whole.items() if name not in made}
    for path in job.made:
        path.unlink()
    for room in (0, size // 2):
        caplog.clear()
        with small_run.full_but_for(room):
            assert job.status(small_run.folder, monkeypatch) == 1
        assert "Traceback" not in caplog.text
        [error] = [record.getMessage() for record in caplog.records if record.getMessage().startswith("error: ")]
        assert "No space left on device; make room and run the same command again" in error
        assert "results/campaign/" in error
        left = contents(small_run.results)
        assert earlier.items() <= left.items()
        assert not [name for name in left if name.endswith(".part")]
        # What is there under its name is finished.
        assert {name: left[name] for name in left.keys() & whole.keys()}.items() <= whole.items()
        if not room:
            assert left == earlier
    assert job.status(small_run.folder, monkeypatch) == 0
    assert contents(small_run.results) == whole


def test_a_log_on_the_full_disk_does_not_bury_the_line(small_run, monkeypatch):
    job = next(job for job in small_run.jobs if job.stage == "filter_hard")
    for path in job.made:
        path.unlink()
    with small_run.full_but_for(0):
        done = run_python("-m", "soar_pipeline.stages.filter_hard", *job.arguments, cwd=small_run.folder)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "hard.parquet: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert job.status(small_run.folder, monkeypatch) == 0
