"""The whole smoke run, once, in a folder of its own; then what it left behind, and what an edit would repeat."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from workflow_runs import ROOT, changed_config, planned_jobs, snakemake

from soar_pipeline import artifacts
from soar_pipeline.artifacts import read_parquet, read_provenance, read_rows
from soar_pipeline.config import load

SMOKE = ROOT / "config" / "smoke.yaml"
RUN = Path("results/smoke")
SCHEMAS: dict[str, pa.Schema] = {
    "*/problems.parquet": artifacts.PROBLEMS,
    "*/attempts/*.parquet": artifacts.ATTEMPTS,
    "*/hard.parquet": artifacts.HARD,
    "*/train.parquet": artifacts.HARD,
    "*/test.parquet": artifacts.HARD,
    "shuffles/soar/*/t*/steps.parquet": artifacts.STEPS,
    "shuffles/soar/*/t*/questions.parquet": artifacts.QUESTIONS,
    "shuffles/soar/*/t*/students.parquet": artifacts.STUDENTS,
    "shuffles/soar/*/t*/promotions.parquet": artifacts.PROMOTIONS,
    "*/questions/*/t*.parquet": artifacts.QUESTIONS,
    "*/students/*/t*-s*/schedule.parquet": artifacts.SCHEDULE,
    "*/students/*/t*-s*/curve.parquet": artifacts.CURVE,
    "*/students/*/t*-s*/test_attempts.parquet": artifacts.EVALUATION,
    "*/evaluation/*/t*-s*.parquet": artifacts.EVALUATION,
    "shuffles/serl/s*/curve.parquet": artifacts.CURVE,
    "shuffles/serl/s*/test_attempts.parquet": artifacts.EVALUATION,
    "shuffles/serl/s*/questions.parquet": artifacts.SERL_QUESTIONS,
    "shuffles/taxonomy/*/t*.parquet": artifacts.TAXONOMY,
    "passk.parquet": artifacts.PASSK,
    "diversity.parquet": artifacts.DIVERSITY,
}
REPORTING = {"make_tables": 1, "shape_tables": 1, "draw_figure": 6, "write_report": 1, "all": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of a finished smoke run."""
    folder = tmp_path_factory.mktemp("pipeline")
    done = snakemake(folder, "--cores", "2", "--configfile", SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize(("pattern", "schema"), SCHEMAS.items(), ids=SCHEMAS)
def test_every_artifact_has_its_schema_and_says_how_it_was_made(pattern: str, schema: pa.Schema, folder: Path):
    files = sorted((folder / RUN).glob(pattern))

    assert files
    for file in files:
        read_parquet(file, schema)
        assert read_provenance(file)["stage"]


def test_no_artifact_is_left_out_of_the_contract(folder: Path):
    known = {file for pattern in SCHEMAS for file in (folder / RUN).glob(pattern)}

    assert set((folder / RUN).rglob("*.parquet")) == known


def test_every_arm_and_k_has_its_figures(folder: Path):
    rows = read_rows(folder / RUN / "passk.parquet", artifacts.PASSK)

    config = load(SMOKE)
    expected = {(dataset, arm, k) for arm in config.arms for dataset in config.datasets_of(arm) for k in (1, 4, 8)}
    assert {(row["dataset"], row["arm"], row["k"]) for row in rows} == expected


def test_promotion_questions_are_those_of_the_promoted_datasets(folder: Path):
    soar = folder / RUN / "shuffles" / "soar" / "grounded" / "t1"
    promoted = {
        (row["outer_step"], row["dataset_index"])
        for row in read_rows(soar / "promotions.parquet", artifacts.PROMOTIONS)
    }
    asked = read_rows(soar / "questions.parquet", artifacts.QUESTIONS)

    kept = read_rows(folder / RUN / "shuffles" / "questions" / "soar_pq" / "t1.parquet", artifacts.QUESTIONS)

    assert promoted
    assert kept == [row for row in asked if (row["outer_step"], row["dataset_index"]) in promoted]


def test_the_report_is_there_with_its_finding_and_its_record(folder: Path):
    page = (folder / RUN / "report.html").read_text(encoding="utf-8")
    record = json.loads((folder / RUN / "provenance.json").read_text(encoding="utf-8"))

    assert page.lstrip().lower().startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "train_soar" in page
    assert (folder / RUN / "finding.txt").read_text(encoding="utf-8").strip()
    assert record["config"]["run"] == "smoke"


def test_every_figure_is_there_as_svg_and_png(folder: Path):
    drawn = sorted((folder / RUN / "figures").glob("*.svg"))

    assert len(drawn) == 6
    for figure in drawn:
        assert ElementTree.parse(figure).getroot().tag.endswith("svg")
        assert figure.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_has_nothing_to_do(folder: Path):
    assert planned_jobs(folder, "--configfile", SMOKE) == {}


def test_editing_the_title_repeats_only_the_reporting(folder: Path):
    edited = changed_config(folder, "smoke.yaml", {"report.title": "Another title"})

    assert planned_jobs(folder, "--configfile", edited) == REPORTING


def test_editing_the_students_steps_keeps_the_soar_runs(folder: Path):
    edited = changed_config(folder, "smoke.yaml", {"fresh_student.steps": 5})
    students = len(list((folder / RUN).glob("*/students/*/*")))

    assert planned_jobs(folder, "--configfile", edited) == REPORTING | {
        "write_schedule": students,
        "train_fresh_student": students,
        "select_evaluation": students,  # SeRL's are not trained again
        "estimate_passk": 1,
    }


def test_editing_one_objective_repeats_its_runs_alone(folder: Path):
    edited = changed_config(folder, "smoke.yaml", {"objectives.intrinsic.soar": {"learnability_samples": 5}})

    assert planned_jobs(folder, "--configfile", edited)["train_soar"] == 1


def test_editing_resources_repeats_no_training(folder: Path):
    edited = changed_config(folder, "smoke.yaml", {"resources": {"train_soar": {"threads": 2, "workers": 2}}})

    assert planned_jobs(folder, "--configfile", edited) == REPORTING


def test_snakemakes_own_report_has_the_tables_and_figures(folder: Path):
    done = snakemake(folder, "--configfile", SMOKE, "--report", "workflow-report.html")

    assert done.returncode == 0, done.stdout + done.stderr
    page = (folder / "workflow-report.html").read_text(encoding="utf-8")
    assert "passk.csv" in page
    assert "teacher_reward.svg" in page


def test_a_killed_run_goes_on_by_the_same_command(tmp_path: Path):
    arguments = ("results/smoke/shuffles/attempts/0.parquet", "--configfile", SMOKE)
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", *arguments]
    log = tmp_path / "logs" / "smoke" / "sample_attempts" / "shuffles-0.log"
    first = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not log.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL

    again = snakemake(tmp_path, *arguments)

    assert again.returncode == 0, again.stdout + again.stderr
    assert read_rows(tmp_path / arguments[0], artifacts.ATTEMPTS)
