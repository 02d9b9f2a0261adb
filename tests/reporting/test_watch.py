"""How far a run is, from a folder in which one SOAR run has ended, one is on its way, and students have begun."""

import os
import shutil
import time
from html.parser import HTMLParser

import pytest
from fake_results import DATASET, OUTER_STEPS, FakeResults, fake_config

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import CURVE, PROMOTIONS, SOAR_QUESTIONS, STEPS
from soar_pipeline.config import Plan
from soar_pipeline.reporting.progress import run_progress
from soar_pipeline.reporting.watch import as_text, main, progress_page, sparkline
from soar_pipeline.rl.checkpoints import Checkpoint, CheckpointFolder

HOSTILE_LINE = "12:00:01 <script>alert(1)</script>: 3/12"


def _rows(path, schema, last):
    """Those of the first steps, as a checkpoint holds them."""
    run = ("dataset", "objective", "arm", "teacher_seed", "student_seed")
    rows = [{name: value for name, value in row.items() if name not in run} for row in read_rows(path, schema)]
    return [row for row in rows if row.get("outer_step", row.get("step")) <= last]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Of teacher seed 2, seven outer steps; of one student of Hard-Only, ten steps; the other students not begun."""
    run = FakeResults(fake_config(), tmp_path_factory.mktemp("results") / "made")
    run.write_inputs()
    place = run.data / "soar/soar/t2"
    record = {
        "steps": _rows(place / "steps.parquet", STEPS, 7),
        "questions": _rows(place / "questions.parquet", SOAR_QUESTIONS, 7),
        "promotions": _rows(place / "promotions.parquet", PROMOTIONS, 7),
    }
    shutil.rmtree(place)
    CheckpointFolder(place / "state", "made").save(Checkpoint(7, {"record": record}, {}))
    student = run.data / "students/hard_only/t0-s1"
    curve = _rows(student / "curve.parquet", CURVE, 10)[1:]
    shutil.rmtree(run.data / "students")
    CheckpointFolder(student / "state", "made").save(Checkpoint(10, {"curve": curve}, {}))
    logs = run.folder / "logs"
    logs.mkdir()
    (logs / "now.log").write_text(f"before\n{HOSTILE_LINE}\n", encoding="utf-8")
    (logs / "old.log").write_text("of yesterday\n", encoding="utf-8")
    os.utime(logs / "old.log", (time.time() - 86400,) * 2)
    return run


@pytest.fixture(scope="module")
def progress(begun):
    return run_progress(begun.config, begun.folder, begun.folder / "logs")


def test_steps_rewards_and_promotions_are_those_of_checkpoints_and_artifacts(progress):
    trainings = {f"{one.rule} {one.name}": one for one in progress.trainings}
    ended, going = (trainings[f"train_soar {DATASET} soar t{seed}"] for seed in (1, 2))
    assert (ended.done, ended.total, ended.promotions) == (OUTER_STEPS, OUTER_STEPS, 2)
    assert (going.done, going.total, going.promotions) == (7, OUTER_STEPS, 1)
    assert len(going.rewards) == 7
    # Ten seconds a step.
    assert going.seconds_left == pytest.approx(50.0)
    student = trainings[f"train_fresh_student {DATASET} hard_only"]
    assert (student.done, student.total, student.rewards[-1]) == (10, 40, 20.0)
    assert trainings[f"train_fresh_student {DATASET} soar_pq"].seconds_left is None
    assert not progress.finished


def test_time_left_counts_what_has_not_begun_as_its_kind_does(progress):
    # Outer steps of 10 s; student steps of 0.1 s: 30 of Hard-Only, 80 each of the two arms with four students.
    assert progress.seconds_left == pytest.approx(5 * 10.0 + (30 + 80 + 80) * 0.1)


def test_only_jobs_that_ended_count(begun, progress):
    assert progress.jobs_done == 1
    assert progress.jobs == sum(job.rule != "all" for job in Plan(begun.config).jobs)


def test_the_terminal_shows_what_running_jobs_said_last(begun, progress):
    text = as_text(begun.config, progress)
    assert text.startswith("made: 1 of ")
    assert f"now: now: {HOSTILE_LINE}" in text
    assert "of yesterday" not in text
    assert "1 promotion" in text


class _Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_the_teachers_so_far_and_loads_itself_again(begun, progress):
    page = _Tags(progress_page(begun.config, progress, every=20))
    [picture] = [attributes for tag, attributes in page.tags if tag == "img"]
    assert "share of questions, %: useful" in picture["alt"]
    assert ("meta", {"http-equiv": "refresh", "content": "20"}) in page.tags
    assert HOSTILE_LINE in page.text
    assert "script" not in [tag for tag, _ in page.tags]


def test_a_look_changes_nothing_but_its_own_page(begun, tmp_path, monkeypatch, capsys):
    config = tmp_path / "made.json"
    config.write_text(begun.config.model_dump_json(exclude_unset=True), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.nice", lambda increment: increment)
    shutil.copytree(begun.folder, tmp_path / "results" / "made")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert main(["--configfile", str(config), "--once"]) == 0
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert {path.name for path in after.keys() - before.keys()} == {"progress.html"}
    assert all(after[path] == moment for path, moment in before.items())
    assert "7 of 12" in capsys.readouterr().out


def test_before_a_run_and_with_a_wrong_file_there_is_one_clear_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.nice", lambda increment: increment)
    (tmp_path / "made.json").write_text(fake_config().model_dump_json(exclude_unset=True), encoding="utf-8")
    assert main(["--configfile", "made.json", "--once"]) == 0
    assert "results/made: not begun" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()
    assert main(["--configfile", "absent.yaml", "--once"]) == 1
    assert capsys.readouterr().err.startswith("error: absent.yaml is not in ")


def test_a_checkpoint_that_is_being_replaced_counts_as_none(begun, tmp_path):
    folder = shutil.copytree(begun.folder, tmp_path / "made")
    (folder / DATASET / "soar/soar/t2/state/current").write_text("step-000008", encoding="utf-8")
    [going] = [one for one in run_progress(begun.config, folder, tmp_path).trainings if one.name.endswith("t2")]
    assert (going.done, going.seconds_left, going.rewards) == (0, None, [])


@pytest.mark.parametrize(
    ("values", "bars"), [([0, 1], "▁█"), ([1, 1], "▁▁"), ([0, 0.5, 1.0], "▁▅█"), (list(range(48)), None)]
)
def test_sparklines_span_the_values(values, bars):
    found = sparkline([float(value) for value in values])
    assert found == bars if bars else (len(found) == 24 and found[0] == "▁" and found[-1] == "█")
