"""What a disk did not keep: the run falls back to the last good state, says so, and ends as the undisturbed one."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from small_runs import stopped_before

from soar_pipeline.artifacts.atomic import atomic_path, new_folder, unfinished
from soar_pipeline.artifacts.files import ArtifactError, Artifacts, read_parquet, read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import CURVE, HARD
from soar_pipeline.artifacts.settings_files import SettingsFiles
from soar_pipeline.config import StudentRun
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.stages import train_fresh_student


@pytest.fixture(scope="module")
def almost_done(made_student, tmp_path_factory):
    """A training that was killed after its last checkpoint, before its artifacts were written."""
    run = made_student(tmp_path_factory.mktemp("almost"))
    with pytest.MonkeyPatch.context() as patch, stopped_before(patch, Artifacts, "write"):
        run.run()
    assert sorted(path.name for path in run.state.glob("step-*")) == ["step-000002", "step-000004"]
    return run


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


LATEST = "step-000004"
LOSSES = {
    "weights cut": (lambda state: cut(state / LATEST / "student.safetensors"), 2),
    "weights empty": (lambda state: empty(state / LATEST / "optimizer_state.safetensors"), 2),
    "weights zeros": (lambda state: zeros(state / LATEST / "student.safetensors"), 2),
    "weights gone": (lambda state: (state / LATEST / "optimizer_state.safetensors").unlink(), 2),
    "record cut": (lambda state: cut(state / LATEST / "record.json"), 2),
    "record empty": (lambda state: empty(state / LATEST / "record.json"), 2),
    "record zeros": (lambda state: zeros(state / LATEST / "record.json"), 2),
    "record of another form": (lambda state: (state / LATEST / "record.json").write_text("[1]"), 2),
    "record gone": (lambda state: (state / LATEST / "record.json").unlink(), 2),
    "marker empty": (lambda state: empty(state / "current"), 4),
    "marker zeros": (lambda state: zeros(state / "current"), 4),
    "marker gone": (lambda state: (state / "current").unlink(), 4),
    "evaluated weights cut": (lambda state: cut(state / "evaluated" / f"{LATEST}.safetensors"), 2),
    "evaluated weights gone": (lambda state: (state / "evaluated" / f"{LATEST}.safetensors").unlink(), 2),
    "older evaluated weights cut": (lambda state: cut(state / "evaluated" / "step-000002.safetensors"), None),
    "both checkpoints cut": (lambda state: [cut(path) for path in state.glob("step-*/record.json")], None),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_damaged_state_falls_back_and_says_so(loss, almost_done, whole, tmp_path, caplog, monkeypatch):
    shutil.copytree(almost_done.folder, tmp_path / "run")
    run = almost_done.at(tmp_path / "run")
    damage, resumed_after = LOSSES[loss]
    damage(run.state)
    with caplog.at_level(logging.INFO):
        if resumed_after is None:
            # From the beginning: shown by where it starts, which is cheaper than the whole training.
            with stopped_before(monkeypatch, train_fresh_student.FreshStudent, "_segments"):
                run.run()
        else:
            run.run()
    assert ("starting afresh" if resumed_after is None else f"resuming after step {resumed_after}") in caplog.text
    warnings = " ".join(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert str(run.state) in warnings or "last good state" in warnings
    if resumed_after is not None:
        assert run.digests() == whole.digests()
        assert [path.name for path in run.state.iterdir()] == ["lock"]


def test_killed_after_its_last_step_it_still_writes_the_trained_student(almost_done, whole, base_model, tmp_path):
    shutil.copytree(almost_done.folder, tmp_path / "run")
    run = almost_done.at(tmp_path / "run").run()
    assert run.digests() == whole.digests()
    trained = load_policy(run.folder / "model", "float32").model.state_dict()
    start = load_policy(base_model, "float32").model.state_dict()
    assert any((trained[name] != start[name]).any() for name in start)


def test_killed_while_it_removes_its_checkpoints_it_trains_no_step_again(almost_done, whole, tmp_path, caplog):
    shutil.copytree(almost_done.folder, tmp_path / "run")
    run = almost_done.at(tmp_path / "run")
    (run.state / "current").unlink()
    shutil.rmtree(run.state / "step-000002")
    with caplog.at_level(logging.INFO):
        run.run()
    assert "resuming after step 4" in caplog.text
    assert run.digests() == whole.digests()


@pytest.mark.parametrize("damage", [cut, empty, zeros])
def test_half_written_parquet_is_one_line_that_names_the_file(damage, tmp_path):
    path = tmp_path / "curve.parquet"
    write_parquet(
        path,
        table([{"step": 1, "seconds": 0.5}] * 100, CURVE, **StudentRun("shuffles", "hard_only", 0, 1).columns()),
        Provenance("test", {}),
    )
    damage(path)
    with pytest.raises(
        ArtifactError, match=r"curve\.parquet: is not readable Parquet .*; delete it and run again"
    ) as told:
        read_parquet(path, CURVE)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("damage", [cut, empty, zeros])
def test_a_stage_with_a_damaged_input_is_one_line(damage, made_student, hard_problems, tmp_path):
    run = made_student(tmp_path)
    damaged = tmp_path / "test.parquet"
    shutil.copy(hard_problems, damaged)
    damage(damaged)
    with pytest.raises(ArtifactError, match=r"test\.parquet: is not readable Parquet"):
        type(run)(run.config, run.base_model, run.schedule, damaged, run.folder).run()


@pytest.mark.parametrize("damage", [cut, empty, zeros])
def test_a_damaged_model_is_one_line(damage, base_model, tmp_path):
    shutil.copytree(base_model, tmp_path / "model")
    damage(tmp_path / "model" / "model.safetensors")
    with pytest.raises(ArtifactError, match="cannot be loaded as a model folder") as told:
        load_policy(tmp_path / "model", "float32")
    assert "\n" not in str(told.value)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path, monkeypatch):
    path = tmp_path / "train.parquet"
    left = [tmp_path / f".{path.name}.{name}.part" for name in ("abc", "def")]
    left[0].write_bytes(b"half")
    left[1].mkdir()
    (left[1] / "model.safetensors").write_bytes(b"half")
    other = tmp_path / ".test.parquet.abc.part"
    other.write_bytes(b"of another file")
    write_parquet(path, table([], HARD), Provenance("test", {}))
    assert read_rows(path, HARD) == []
    assert sorted(item.name for item in tmp_path.iterdir()) == [other.name, path.name]


@pytest.mark.parametrize("damage", [cut, empty, zeros])
def test_settings_that_a_power_failure_spoiled_are_written_again(damage, smoke, tmp_path):
    def planned() -> dict[Path, bytes]:
        files = SettingsFiles(smoke, tmp_path / "settings")
        files.options(
            files.results("train_soar", {"dataset": "shuffles", "objective": "grounded", "teacher_seed": 1}), []
        )
        return {path: path.read_bytes() for path in (tmp_path / "settings").rglob("*") if path.is_file()}

    whole = planned()
    assert {path.suffix for path in whole} == {".json", ".options"}
    for path in whole:
        damage(path)
    assert planned() == whole


def test_what_a_living_writer_is_writing_stays(tmp_path):
    path = tmp_path / "record.json"
    with atomic_path(path) as first:
        first.write_text(json.dumps("first"))
        with atomic_path(path) as second:
            second.write_text(json.dumps("second"))
        assert first.exists()
        assert json.loads(path.read_text()) == "second"
    assert json.loads(path.read_text()) == "first"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_what_another_writer_took_for_a_leftover_before_it_was_held_is_made_again(tmp_path):
    made = []

    def taken_once(path):
        made.append(new_folder(path))
        if len(made) == 1:
            made[0].rmdir()
        return made[-1]

    with unfinished(tmp_path / "model", taken_once) as temporary:
        assert temporary == made[1]
        assert temporary.exists()
    assert not list(tmp_path.iterdir())
