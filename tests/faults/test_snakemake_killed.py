"""Snakemake itself killed: what its jobs finish without it is kept, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from workflow_runs import ROOT, planned_jobs

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import PROBLEMS

TARGET = "results/campaign/curated/problems.parquet"


def test_what_a_stage_finishes_after_its_snakemake_was_killed_is_kept(tmp_path):
    arguments = (TARGET, "--configfile", Path(__file__).with_name("campaign.yaml"))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", *arguments]
    killed = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log, problems = tmp_path / "logs" / "campaign" / "load_problems" / "curated.log", tmp_path / TARGET
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        assert killed.poll() is None
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    record = tmp_path / "results" / "campaign" / "settings" / "load_problems" / "curated.made.json"
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert read_rows(problems, PROBLEMS)
    assert planned_jobs(tmp_path, *arguments) == {}
