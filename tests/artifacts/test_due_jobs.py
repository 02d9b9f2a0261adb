"""Which jobs are due, by what the records and the files say, whatever the time stamps are."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_problems import write_hard_problems

from soar_pipeline.artifacts import records
from soar_pipeline.artifacts.due_jobs import JobFiles, Marking, mark
from soar_pipeline.artifacts.edits import accept
from soar_pipeline.artifacts.file_lock import LOCK, file_lock
from soar_pipeline.artifacts.files import ArtifactError, read_rows
from soar_pipeline.artifacts.leftovers import (
    ACCEPTED,
    EDITED,
    LEFT,
    UNKNOWN,
    lines_about,
    remove_leftovers,
    stray_files,
)
from soar_pipeline.artifacts.provenance import digest, read_provenance
from soar_pipeline.artifacts.records import made_file, seen_file
from soar_pipeline.artifacts.schemas import HARD
from soar_pipeline.artifacts.settings_files import SettingsFiles
from soar_pipeline.config import Config, Dataset, Plan, Settings, StudentRun
from soar_pipeline.config.items import Item
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.split_hard import split_hard
from soar_pipeline.stages.write_schedule import write_schedule

STUDENT = StudentRun("shuffles", "hard_only", 0, 1)


@dataclass
class Run:
    """Two jobs of a run, finished: the split of the hard problems, and a schedule that is made from a half."""

    config: Config
    folder: Path

    @property
    def hard(self) -> Path:
        return self.folder / "shuffles" / "hard.parquet"

    @property
    def train(self) -> Path:
        return self.folder / "shuffles" / "train.parquet"

    @property
    def schedule(self) -> Path:
        return self.folder / "shuffles" / "students" / "hard_only" / "t0-s1" / "schedule.parquet"

    def make(self) -> "Run":
        write_hard_problems(self.hard, [3, 4, 5, 6])
        test = self.train.with_name("test.parquet")
        self._call(split_hard, Dataset("shuffles"), hard=self.hard, train=self.train, test=test)
        self._call(write_schedule, STUDENT, train=self.train, questions=[], schedule=self.schedule)
        return self

    def _call(self, stage, item: Item, **files) -> None:
        settings = self.settings(stage.__name__, item)
        made_file(settings).unlink(missing_ok=True)
        call_stage(stage, Settings.of(self.config, stage.__name__, item), item, recorded_at=settings, **files)

    def settings(self, rule: str, item: Item) -> Path:
        return Path(SettingsFiles(self.config, self.folder / "settings").results(rule, item._asdict()))

    @property
    def split(self) -> JobFiles:
        settings = self.settings("split_hard", Dataset("shuffles"))
        return JobFiles(settings, (settings, self.hard), (self.train, self.train.with_name("test.parquet")))

    @property
    def scheduling(self) -> JobFiles:
        settings = self.settings("write_schedule", STUDENT)
        return JobFiles(settings, (settings, self.train), (self.schedule,))

    def mark(self) -> Marking:
        """Asked for in the wrong order, as a plan may be."""
        return mark([self.scheduling, self.split])

    def due(self) -> set[str]:
        """The rules of the jobs that are due by the records, and by time stamps as Snakemake compares them."""
        marked = {settings.parent.name for settings in self.mark().due}
        by_time = {
            job.settings.parent.name
            for job in (self.split, self.scheduling)
            if max(path.stat().st_mtime for path in job.inputs if path.exists())
            > min(path.stat().st_mtime for path in job.outputs if path.exists())
        }
        assert by_time == marked
        return marked

    def strays(self) -> dict[str, str]:
        found = stray_files(self.folder, Plan(self.config))
        return {path.relative_to(self.folder).as_posix(): what for path, what in found if path != self.hard}

    def with_(self, **changes) -> "Run":
        return Run(self.config.model_copy(update=changes), self.folder)


@pytest.fixture
def run(smoke, tmp_path) -> Run:
    return Run(smoke, tmp_path / "results" / "smoke").make()


def edit(path: Path, **columns) -> None:
    """As somebody does with pyarrow: other values, and all metadata kept."""
    data = pq.read_table(path)
    for name, value in columns.items():
        at = data.schema.get_field_index(name)
        data = data.set_column(at, data.schema.field(at), pa.array([value] * data.num_rows, data.schema.field(at).type))
    pq.write_table(data, path)


def test_what_is_finished_is_not_due_whatever_its_time_stamps_are(run):
    assert run.due() == set()
    for newest in (run.hard, run.train, run.schedule):
        for path in (run.hard, run.train, run.schedule):
            os.utime(path, (10**9, 10**9))
        # Of a clone, or from the future.
        os.utime(newest, (2**32, 2**32))
        assert run.due() == set()


def test_a_copy_in_another_place_is_not_due(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert Run(run.config, tmp_path / "copy").due() == set()


def test_other_settings_make_their_job_due_and_no_other(run):
    # Another seed is another split, and another schedule.
    assert run.with_(seed=7).due() == {"split_hard", "write_schedule"}
    longer = run.config.fresh_student.model_copy(update={"steps": 6})
    assert run.with_(fresh_student=longer).due() == {"write_schedule"}
    assert run.due() == set()


def test_another_content_of_an_input_makes_its_readers_due(run):
    write_hard_problems(run.hard, [3, 4, 5, 7])
    assert run.due() == {"split_hard"}


def test_another_input_of_the_same_content_is_another_input(run):
    other = run.train.with_name("other.parquet")
    shutil.copy(run.train, other)
    job = run.scheduling
    assert mark([JobFiles(job.settings, (job.settings, other), job.outputs)]).due == {job.settings}


@pytest.mark.parametrize("damage", ["record gone", "record cut", "output damaged"])
def test_what_cannot_be_read_is_made_again(run, damage):
    record = made_file(run.scheduling.settings)
    if damage == "record gone":
        record.unlink()
    elif damage == "record cut":
        record.write_text(record.read_text()[:50])
    else:
        run.schedule.write_bytes(b"PAR1 and no more")
    assert run.due() == {"write_schedule"}


def test_a_file_that_is_gone_is_what_its_job_wrote(run):
    run.train.unlink()
    assert run.due() == set()


def test_files_are_read_once(run, monkeypatch):
    # Of what a job wrote, it says itself what it was, whatever Snakemake does to the time stamps later.
    read = []
    monkeypatch.setattr(records, "digest", lambda path: read.append(path.name) or digest(path))
    run.mark()
    assert read == ["hard.parquet"]  # which no job of these made
    for job in (run.split, run.scheduling):
        seen_file(job.settings).write_text("damaged")
    read.clear()
    run.mark()
    assert sorted(read) == ["hard.parquet", "schedule.parquet", "test.parquet", "train.parquet"]
    edit(run.train, answer="1")
    read.clear()
    run.mark()
    assert sorted(read) == ["hard.parquet", "train.parquet"]


def test_an_edited_file_is_named_and_its_readers_wait_until_it_is_accepted(run):
    edit(run.train, answer="123456")
    found = run.mark()
    assert found.edited == [run.train]
    assert run.strays() == {"shuffles/train.parquet": EDITED}
    [line] = lines_about(stray_files(run.folder, Plan(run.config)))[:1]
    assert f"accept {run.train}`" in line
    # What reads it is due; its own job is not, or the edit would be lost.
    assert run.due() == {"write_schedule"}
    assert "accepted" in accept(run.train)
    assert run.strays() == {"shuffles/train.parquet": ACCEPTED}
    assert (run.mark().edited, run.due()) == ([], {"write_schedule"})
    run._call(write_schedule, STUDENT, train=run.train, questions=[], schedule=run.schedule)
    assert run.due() == set()
    assert "nothing to accept" in accept(run.train)


def test_what_pandas_wrote_is_accepted_with_the_types_and_the_record_that_it_lost(run):
    before, kind = read_provenance(run.train), pq.read_schema(run.train)
    frame = pd.read_parquet(run.train).assign(answer="654321").astype({"attempts_drawn": "int64"})
    frame.to_parquet(run.train)
    assert not read_provenance(run.train)
    assert run.strays() == {"shuffles/train.parquet": EDITED}
    accept(run.train)
    assert {row["answer"] for row in read_rows(run.train, HARD)} == {"654321"}
    assert pq.read_schema(run.train).equals(kind)
    after = read_provenance(run.train)
    assert after.pop("accepted") is True
    assert {name: after[name] for name in ("stage", "config", "run")} == {
        name: before[name] for name in ("stage", "config", "run")
    }


def test_what_is_no_artifact_any_more_is_not_accepted(run, tmp_path):
    pd.read_parquet(run.train).drop(columns="answer").to_parquet(run.train)
    with pytest.raises(ArtifactError, match=r"train.parquet: no artifact has the columns"):
        accept(run.train)
    pd.read_parquet(run.schedule).assign(step="a word").to_parquet(run.schedule)
    with pytest.raises(ArtifactError, match=r"schedule.parquet: its columns have not the types"):
        accept(run.schedule)
    with pytest.raises(ArtifactError, match="no job of a run has made this file"):
        accept(run.hard)
    with pytest.raises(ArtifactError, match="does not exist"):
        accept(tmp_path / "nothing.parquet")


def test_leftovers_of_a_removed_arm_are_listed_and_removed(run, tmp_path):
    arms = {name: arm for name, arm in run.config.arms.items() if name != "hard_only"}
    report = run.config.report.model_copy(update={"baseline_arm": "base"})
    fewer = run.with_(arms=arms, report=report)
    own = run.folder / "shuffles" / "own.parquet"
    shutil.copy(run.train, own)
    assert fewer.strays() == {
        "shuffles/own.parquet": UNKNOWN,
        "shuffles/students/hard_only/t0-s1/schedule.parquet": LEFT,
    }
    assert run.strays() == {"shuffles/own.parquet": UNKNOWN}
    remove_leftovers(run.folder, Plan(fewer.config))
    assert not (run.folder / "shuffles" / "students").exists()
    assert not list((run.folder / "settings" / "write_schedule").iterdir())
    # Nobody's file stays where it is.
    assert own.exists() and run.train.exists()
    assert fewer.strays() == {"shuffles/own.parquet": UNKNOWN}


def test_unfinished_trainings_of_what_is_removed_are_left_over_unless_they_run(run):
    """Of an arm, an objective and a seed that the configuration does not have."""
    left = [
        "shuffles/serl/s2/state",
        "shuffles/soar/gone/t1/state",
        f"shuffles/soar/grounded/t{run.config.seeds.teacher + 1}/state",
        "shuffles/students/gone/t0-s1/state",
    ]
    wanted = [
        "shuffles/soar/grounded/t1/state",
        "shuffles/students/hard_only/t0-s1/state",
        # No training, but an arm of this name.
        "shuffles/questions/state",
    ]
    for state in left + wanted:
        (run.folder / state / "step-000001").mkdir(parents=True)
    settings = run.folder / "settings" / "train_soar"
    settings.mkdir()
    for name in ("shuffles-gone-t1.0123456789ab.json", "shuffles-gone-t1.ba9876543210.options"):
        (settings / name).touch()
    assert run.strays() == dict.fromkeys(left, LEFT)
    [line] = [line for line in lines_about(stray_files(run.folder, Plan(run.config))) if f"(each {LEFT})" in line]
    assert line.startswith(str(run.folder / left[0])) and "and 1 more" in line
    with file_lock(run.folder / left[-1] / LOCK), pytest.raises(ArtifactError, match="another job is writing this run"):
        remove_leftovers(run.folder, Plan(run.config))
    assert run.strays() == dict.fromkeys(left, LEFT)
    remove_leftovers(run.folder, Plan(run.config))
    assert run.strays() == {}
    assert not list(settings.iterdir())
    assert all((run.folder / state / "step-000001").exists() for state in wanted)


def test_the_commands_say_what_they_do_in_one_line_each(run, project, tmp_path):
    def said(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "soar_pipeline.artifacts", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    values = json.loads(run.config.model_copy(update={"figures": {}}).model_dump_json(exclude_unset=True))
    del values["arms"]["hard_only"]
    values["report"] = {"baseline_arm": "base"}
    config = tmp_path / "fewer.yaml"
    config.write_text(json.dumps(values), encoding="utf-8")
    left = "results/smoke/shuffles/students/hard_only/t0-s1/schedule.parquet"
    assert said("leftovers", "--configfile", "fewer.yaml") == (
        0,
        f"{left}: {LEFT}\n1 files and folders; --remove removes them\n",
    )
    assert said("leftovers", "--configfile", "fewer.yaml", "--remove")[1].endswith("removed 1 files and folders\n")
    assert said("leftovers", "--configfile", "fewer.yaml") == (0, "results/smoke: nothing is left over\n")
    status, line = said("accept", "fewer.yaml")
    assert status == 1 and line == "error: fewer.yaml: no job of a run has made this file\n"
