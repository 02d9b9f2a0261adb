"""docs/tutorial.md: its files are written and its commands run, one after another, in an empty folder."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import forks
import pandas as pd
import pytest
from workflow_runs import job_counts

# A file that the page has its reader write, behind its name; or commands.
BLOCK = re.compile(r"(?:`([\w.]+)`:\n\n)?^```(python|yaml|bash)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
TRAINING = {"train_soar", "train_fresh_student", "sample_attempts", "prepare_base_model"}


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    """From the second section on: the first installs, which other tests do."""
    return "## 2." + (project / "docs" / "tutorial.md").read_text(encoding="utf-8").partition("## 2.")[2]


@pytest.fixture(scope="module")
def tutorial(page: str, project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder in which somebody followed the page, and what each command printed, by the command."""
    folder = tmp_path_factory.mktemp("tutorial")
    programs = folder / "bin"
    programs.mkdir()
    for name, words in (("soar-pipeline", "-m soar_pipeline"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    paths = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(project)}
    # The page's runs would start servers of their own.
    environment = forks.environment() | paths
    printed = {}
    for number, command in enumerate(followed(page, folder)):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed[f"{number} {command}"] = done.stdout + done.stderr
    return folder, printed


def followed(page: str, folder: Path) -> Iterator[str]:
    """The commands in their order; files are written, and edited, when the page says so."""
    for section in page.split("\n## "):
        if section.startswith("6."):
            config = (folder / "mine.yaml").read_text()
            assert config.count("step: 4") == 1
            (folder / "mine.yaml").write_text(config.replace("step: 4", "step: 2"))
        for name, language, text in BLOCK.findall(section):
            if language == "bash":
                yield from (line.partition("  #")[0].strip() for line in text.splitlines())
            else:
                assert name
                (folder / name).write_text(text)


def of(printed: dict[str, str], *words: str) -> list[str]:
    """What the commands with all these words printed, in their order."""
    return [text for command, text in printed.items() if all(word in command for word in words)]


def test_a_run_with_own_problems_and_an_own_reward_ends_with_a_finding(tutorial):
    folder, printed = tutorial
    _, first, *_ = of(printed, "run --configfile mine.yaml")
    assert (folder / "results" / "mine" / "report.html").is_file()
    assert "\nreport: results/mine/report.html\n" in first
    rewarded = pd.read_parquet(folder / "results/mine/puzzles/soar/no_copies/t1/steps.parquet")
    assert len(rewarded) == 2


def test_the_dry_run_names_the_rules_and_the_cost_is_estimated(tutorial):
    _, printed = tutorial
    jobs = job_counts(of(printed, "--dry-run")[0])
    assert jobs["train_soar"] == 1
    assert jobs["train_fresh_student"] == 2
    [cost] = of(printed, "soar-pipeline cost")
    assert "run mine on" in cost


def test_the_look_into_the_files_shows_steps_questions_and_verdicts(tutorial):
    _, printed = tutorial
    [text] = of(printed, "look.py")
    assert re.search(r"outer_step +mean_reward +promoted +acceptance_rate", text)
    assert re.search(r"^(right|wrong|no_box) +\d+$", text, flags=re.MULTILINE)


def test_a_changed_key_repeats_what_depends_on_it_and_no_training(tutorial):
    folder, printed = tutorial
    jobs = job_counts(of(printed, "--dry-run")[1])
    assert jobs["select_evaluation"] == 2
    assert not TRAINING & set(jobs)
    steps = pd.read_parquet(folder / "results/mine/puzzles/evaluation/mine_pq/t1-s1.parquet").step
    assert set(steps) == {2}


def test_a_stage_is_repeated_on_purpose(tutorial):
    _, printed = tutorial
    [text] = of(printed, "--forcerun")
    assert job_counts(text) == {"plot_figure": 1}


def test_what_is_exported_is_what_was_written(tutorial):
    folder, _ = tutorial
    exported = pd.read_parquet(folder / "export/mine/questions/written_questions.parquet")
    written = pd.read_parquet(folder / "results/mine/puzzles/soar/no_copies/t1/questions.parquet")
    assert exported.equals(written)


def test_the_disk_that_the_run_took_is_what_was_estimated(tutorial):
    """What stays, in models; a run this small has as much again in tables, figures and logs of its jobs."""
    folder, _ = tutorial
    models = sum(path.stat().st_size for path in (folder / "results").rglob("*.safetensors"))
    program = "from soar_pipeline.cost.__main__ import main; main(['--configfile', 'mine.yaml', '--json'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    kept = json.loads(done.stdout)["total"]["kept_bytes"]
    assert models == pytest.approx(kept, rel=0.05)
