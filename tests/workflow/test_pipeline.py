"""The whole smoke run, once, in a folder of its own; then what it left behind, and what an edit would repeat."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from workflow_runs import ROOT, changed_config, job_counts, planned_jobs, snakemake

from soar_pipeline.artifacts import schemas
from soar_pipeline.artifacts.files import read_parquet, read_rows
from soar_pipeline.artifacts.provenance import read_provenance, read_run
from soar_pipeline.config import Plan, load

SMOKE = ROOT / "config" / "smoke.yaml"
RUN = Path("results/smoke")
SEEDS = ("teacher_seed", "student_seed")
SCHEMAS: dict[str, pa.Schema] = {
    "*/problems.parquet": schemas.PROBLEMS,
    "*/attempts/*.parquet": schemas.ATTEMPTS,
    "*/hard.parquet": schemas.HARD,
    "*/hard_audit.parquet": schemas.HARD_AUDIT,
    "*/train.parquet": schemas.HARD,
    "*/test.parquet": schemas.HARD,
    "shuffles/soar/*/t*/steps.parquet": schemas.STEPS,
    "shuffles/soar/*/t*/questions.parquet": schemas.SOAR_QUESTIONS,
    "shuffles/soar/*/t*/students.parquet": schemas.STUDENTS,
    "shuffles/soar/*/t*/promotions.parquet": schemas.PROMOTIONS,
    "*/questions/*/t*.parquet": schemas.QUESTION_SET,
    "*/students/*/t*-s*/schedule.parquet": schemas.SCHEDULE,
    "*/students/*/t*-s*/training.parquet": schemas.CURVE,
    "*/students/*/t*-s*/curve.parquet": schemas.CURVE,
    "*/students/*/t*-s*/test_attempts.parquet": schemas.EVALUATION,
    "*/evaluation/*/t*-s*.parquet": schemas.EVALUATION,
    "shuffles/serl/s*/training.parquet": schemas.CURVE,
    "shuffles/serl/s*/curve.parquet": schemas.CURVE,
    "shuffles/serl/s*/test_attempts.parquet": schemas.EVALUATION,
    "shuffles/serl/s*/questions.parquet": schemas.SERL_QUESTIONS,
    "shuffles/taxonomy/*/t*.parquet": schemas.TAXONOMY,
    "passk.parquet": schemas.PASSK,
    "diversity.parquet": schemas.DIVERSITY,
    "step_diversity.parquet": schemas.STEP_DIVERSITY,
}
REPORTING = {"make_tables": 1, "plot_figure": 8, "write_report": 1, "all": 1}


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


def test_files_of_one_kind_can_be_put_together_and_runs_told_apart(folder: Path):
    paths = sorted((folder / RUN).glob("**/steps.parquet"))
    steps = pd.concat(map(pd.read_parquet, paths))
    counted = duckdb.sql(f"SELECT DISTINCT dataset, objective, teacher_seed FROM '{folder / RUN}/**/steps.parquet'")

    runs = steps.groupby(["dataset", "objective", "teacher_seed"]).size()
    assert len(runs) == len(paths) > 1
    assert set(counted.fetchall()) == set(runs.index)
    for file in ("curve", "test_attempts", "schedule", "promotions", "students"):
        paths = sorted((folder / RUN).glob(f"**/{file}.parquet"))
        for path in paths:
            rows = pd.read_parquet(path)
            named = [name for name in rows.columns if name in ("dataset", "objective", "arm", *SEEDS)]
            assert rows.columns[: len(named)].tolist() == named
            assert rows[named].drop_duplicates().to_dict("records") == [read_run(path)][: len(rows)]


def test_an_id_is_that_of_one_question_in_all_files_of_a_run(folder: Path):
    asked = []
    for path in (folder / RUN).rglob("*.parquet"):
        columns = pq.read_schema(path).names
        [name] = [name for name in ("question_id", "problem_id") if name in columns] or [None]
        if name and {"question", "answer"} <= set(columns):
            rows = pd.read_parquet(path, columns=[name, "question", "answer"])
            asked.append(rows.rename(columns={name: "question_id"}))

    questions = pd.concat(asked).drop_duplicates()

    assert len(questions) > 100
    assert questions.question_id.is_unique


def test_every_arm_and_k_has_its_figures(folder: Path):
    rows = read_rows(folder / RUN / "passk.parquet", schemas.PASSK)

    config = load(SMOKE)
    expected = {(dataset, arm, k) for arm in config.arms for dataset in config.datasets_of(arm) for k in (1, 4, 8)}
    assert {(row["dataset"], row["arm"], row["k"]) for row in rows} == expected


def test_promotion_questions_are_those_of_the_promoted_datasets(folder: Path):
    soar = folder / RUN / "shuffles" / "soar" / "grounded" / "t1"
    promoted = {
        (row["student_step"], row["dataset_index"])
        for row in read_rows(soar / "promotions.parquet", schemas.PROMOTIONS)
    }
    asked = read_rows(soar / "questions.parquet", schemas.SOAR_QUESTIONS)

    kept = read_rows(folder / RUN / "shuffles" / "questions" / "soar_pq" / "t1.parquet", schemas.QUESTION_SET)

    assert promoted
    chosen = [row for row in asked if (row["outer_step"], row["dataset_index"]) in promoted]
    assert [row["question_id"] for row in kept] == [row["question_id"] for row in chosen]


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

    assert len(drawn) == 8
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
        "evaluate_student": students,
        "select_evaluation": students,  # SeRL's are not trained again
        "estimate_passk": 1,
    }


def test_editing_one_objective_repeats_its_runs_alone(folder: Path):
    edited = changed_config(folder, "smoke.yaml", {"objectives.intrinsic.soar": {"learnability_samples": 5}})

    assert planned_jobs(folder, "--configfile", edited)["train_soar"] == 1


def test_editing_what_only_decides_speed_repeats_nothing(folder: Path):
    changes = {
        "resources": {"train_soar": {"threads": 2, "workers": 2}},
        "grading.workers": 2,
        "grading.memory_mb": 1024,
        "generation.batch_size": 8,
        "student.micro_batch_size": 2,
        "student.gradient_checkpointing": True,
        "student.offload_moments": True,
        "soar.checkpoint_every": 2,
        "generation.vllm_stays_awake": True,
        "teacher.max_draws_per_question": 3,
        "serl.max_rollouts": 9,
        "taxonomy.concurrency": 2,
        "tracking.report_to": [],
    }
    edited = changed_config(folder, "smoke.yaml", changes)

    assert planned_jobs(folder, "--configfile", edited) == {}


def test_editing_the_teachers_prompt_keeps_what_the_student_answers(folder: Path):
    prompt = folder / "teacher.txt"
    prompt.write_text("<teacher> ", encoding="utf-8")
    edited = changed_config(folder, "smoke.yaml", {"prompts.teacher": str(prompt)})

    jobs = planned_jobs(folder, "--configfile", edited)

    assert jobs["train_soar"] == 5  # the run of two turns has prompts of its own
    assert not {"sample_attempts", "filter_hard", "split_hard"} & jobs.keys()
    target = "results/smoke/shuffles/evaluation/hard_only/t0-s1.parquet"
    assert planned_jobs(folder, target, "--configfile", edited) == {}


def test_editing_the_evaluation_trains_nothing_again(folder: Path):
    edited = changed_config(folder, "smoke.yaml", {"evaluation.samples": 16})
    plan = Plan(load(SMOKE))
    policies = len(plan.arms_of("evaluate_policy"))

    jobs = planned_jobs(folder, "--configfile", edited)

    assert jobs["evaluate_student"] == len(plan.fresh_students)
    assert jobs["evaluate_serl"] == len(plan.serl_runs)
    assert jobs["evaluate_policy"] >= policies
    assert not {"train_fresh_student", "train_serl", "train_soar"} & jobs.keys()


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The finished run somewhere else, with new time stamps and without Snakemake's records."""
    shutil.copytree(folder / "results", tmp_path / "results", copy_function=shutil.copyfile)
    return tmp_path


def test_a_copy_is_up_to_date_and_another_setting_makes_its_jobs_due(copy: Path):
    longer = changed_config(copy, "smoke.yaml", {"soar.outer_steps": 3})

    assert planned_jobs(copy, "--configfile", SMOKE) == {}
    assert planned_jobs(copy, "--configfile", longer)["train_soar"] == 6
    assert planned_jobs(copy, "--configfile", SMOKE) == {}


def test_a_model_folder_may_be_moved_and_counts_by_what_it_holds(copy: Path):
    model = shutil.copytree(
        ROOT / "resources" / "models" / "digit-shuffles", copy / "moved", copy_function=shutil.copyfile
    )
    moved = changed_config(copy, "smoke.yaml", {"models.base.path": str(model)})

    assert planned_jobs(copy, "--configfile", moved) == {}
    with (model / "tokenizer_config.json").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert planned_jobs(copy, "--configfile", moved)["prepare_base_model"] == 1


def test_an_edited_file_is_named_and_not_used_until_it_is_accepted(copy: Path):
    attempts = copy / RUN / "shuffles" / "attempts" / "0.parquet"
    edited = pq.read_table(attempts)
    at = edited.schema.get_field_index("verdict")
    verdicts = pa.array(["right"] * edited.num_rows)
    pq.write_table(edited.set_column(at, edited.schema.field(at), verdicts), attempts)
    named = f"{RUN}/shuffles/attempts/0.parquet: is not what its job wrote"

    planned = snakemake(copy, "--dry-run", "--configfile", SMOKE)
    refused = snakemake(copy, "--configfile", SMOKE)

    assert named in planned.stdout + planned.stderr
    jobs = job_counts(planned.stdout + planned.stderr)
    assert jobs["filter_hard"] == 1
    assert "sample_attempts" not in jobs
    assert refused.returncode == 1
    assert named in refused.stdout + refused.stderr
    accept = [sys.executable, "-m", "soar_pipeline.artifacts", "accept", str(attempts)]
    subprocess.run(accept, check=True, cwd=ROOT, capture_output=True)
    accepted = snakemake(copy, "--dry-run", "--configfile", SMOKE)
    assert named not in accepted.stdout + accepted.stderr
    assert job_counts(accepted.stdout + accepted.stderr) == jobs


def test_what_readers_open_is_made_again_if_it_is_deleted(copy: Path):
    (copy / RUN / "passk.parquet").unlink()

    # Three of the figures show pass@k.
    assert planned_jobs(copy, "--configfile", SMOKE) == REPORTING | {"estimate_passk": 1, "plot_figure": 3}


def test_weights_of_evaluated_steps_may_be_deleted(copy: Path):
    shutil.rmtree(copy / RUN / "shuffles" / "students" / "hard_only" / "t0-s1" / "evaluated")
    more = changed_config(copy, "smoke.yaml", {"evaluation.samples": 16})

    assert planned_jobs(copy, "--configfile", SMOKE) == {}
    # Where there is nothing left to evaluate, the student is trained again.
    assert planned_jobs(copy, "--configfile", more)["train_fresh_student"] == 1


def test_a_run_without_an_arm_summarises_the_others(folder: Path):
    values = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
    del values["arms"]["r_zero_t"]
    fewer = folder / "fewer.yaml"
    fewer.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    jobs = planned_jobs(folder, "--configfile", fewer)

    assert jobs == REPORTING | {"estimate_passk": 1, "measure_diversity": 1}


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
    assert read_rows(tmp_path / arguments[0], schemas.ATTEMPTS)
