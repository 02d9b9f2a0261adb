"""Checkpoints: complete or absent, of this training or none, written by one job at a time."""

import json
import os

import pytest
import torch

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.rl.checkpoints import Checkpoint, CheckpointFolder


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"done": step}, {"model": {"weight": torch.full((2, 2), float(step))}})


def test_an_interrupted_checkpoint_leaves_the_one_before(tmp_path):
    folder = CheckpointFolder(tmp_path, "run")
    assert folder.load() is None
    folder.save(checkpoint(1))
    # Killed while writing step 2: its weights are there, its marker is not.
    (tmp_path / "step-000002").mkdir()
    (tmp_path / "step-000002" / "model.safetensors").write_bytes(b"half")
    assert folder.load().record == {"done": 1}
    folder.save(checkpoint(2))
    found = folder.load()
    assert found.step == 2
    assert torch.equal(found.weights["model"]["weight"], torch.full((2, 2), 2.0))
    folder.save(checkpoint(3))
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-000002", "step-000003"]


def test_a_checkpoint_of_another_training_is_not_resumed(tmp_path):
    CheckpointFolder(tmp_path, "run", "seed 1").save(checkpoint(1))
    assert CheckpointFolder(tmp_path, "run", "seed 2").load() is None


def test_another_training_is_moved_aside_and_goes_on_when_it_comes_back(tmp_path, caplog):
    state = tmp_path / "state"
    first, second = (CheckpointFolder(state, "run", seed) for seed in ("seed 1", "seed 2"))
    with first.locked():
        first.save(checkpoint(4))
    (state / "evaluated").mkdir()
    (state / "evaluated" / "step-000004.safetensors").write_bytes(b"weights")
    with second.locked():
        assert second.load() is None
        second.save(checkpoint(1))
    [aside] = tmp_path.glob("state-*")
    assert f"{state} held another training, of other settings or inputs: it is moved to {aside}" in caplog.text
    assert {path.name for path in aside.iterdir()} == {"current", "evaluated", "step-000004"}
    # Its own lock stays with the folder, so a second job is still refused.
    assert {path.name for path in state.iterdir()} == {"current", "lock", "step-000001"}
    with first.locked():
        assert first.load().step == 4
    assert (state / "evaluated" / "step-000004.safetensors").read_bytes() == b"weights"
    [aside] = tmp_path.glob("state-*")
    assert {path.name for path in aside.iterdir()} == {"current", "step-000001"}


def test_a_move_that_was_killed_is_finished_by_the_next(tmp_path):
    state = tmp_path / "state"
    first, second = (CheckpointFolder(state, "run", seed) for seed in ("seed 1", "seed 2"))
    first.save(checkpoint(4))
    # Killed after the marker was moved.
    aside = state.with_name(f"state-{first.identity[:12]}")
    aside.mkdir()
    (state / "current").rename(aside / "current")
    with second.locked():
        assert second.load() is None
    with first.locked():
        assert first.load().step == 4
    assert not list(tmp_path.glob("state-*"))


def test_a_second_job_on_the_same_folder_is_refused_by_name(tmp_path):
    other = CheckpointFolder(tmp_path, "run")
    expected = pytest.raises(ArtifactError, match=rf"another job.*process {os.getpid()}")
    with CheckpointFolder(tmp_path, "run").locked(), expected, other.locked():
        pass
    with other.locked():
        pass


@pytest.mark.parametrize("number", [None, 1, 999])
def test_a_checkpoint_of_another_version_is_refused_in_one_line(number, tmp_path):
    folder = CheckpointFolder(tmp_path, "run")
    folder.save(checkpoint(1))
    file = tmp_path / "step-000001" / "record.json"
    record = json.loads(file.read_text())
    # The first version wrote no number, and the identity of a training was made of other things.
    record = {"identity": "of then"} | {
        name: value for name, value in record.items() if name not in ("format", "identity")
    }
    file.write_text(json.dumps(record | ({} if number is None else {"format": number})))
    with pytest.raises(ArtifactError, match=r"step-000001: another version .* cannot continue it") as refused:
        folder.load()
    assert "\n" not in str(refused.value)
    assert f"delete {tmp_path} to start it again" in str(refused.value)
