"""A machine that refuses: full disk, read-only folder, little memory, no network. One clear line, or no difference."""

import logging
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest
import torch
from peak_memory import PeakMemory
from small_runs import ARTIFACTS, small_disk

from soar_pipeline.artifacts.provenance import digest
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import load_policy, save_policy
from soar_pipeline.policy.weights import save_weights


def one_line(caplog: pytest.LogCaptureFixture, *words: str) -> None:
    """The stage ended with one clear line that holds the words."""
    assert "Traceback" not in caplog.text
    [error] = [record.getMessage() for record in caplog.records if record.getMessage().startswith("error: ")]
    for word in (*words, "run the same command again"):
        assert word in error


def test_a_full_disk_is_one_line_and_what_was_finished_is_kept(made_student, whole, tmp_path, monkeypatch, caplog):
    run = made_student(tmp_path / "disk")
    # Room for a checkpoint of 4 MB, but not for two.
    with small_disk(run.folder, "6m"):
        assert run.status(monkeypatch) == 1
        one_line(caplog, "No space left on device", "make room")
        assert not any((run.folder / name).exists() for name in ARTIFACTS)
        assert not list(run.folder.rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(run.folder)], check=True)
        with caplog.at_level(logging.INFO):
            assert run.status(monkeypatch) == 0
        assert "resuming after step 2" in caplog.text
        assert run.digests() == whole.digests()


@contextmanager
def file_size_limit(size: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_limit_on_file_sizes_is_one_line(made_student, tmp_path, monkeypatch, caplog):
    run = made_student(tmp_path / "run")
    with file_size_limit(200_000):
        assert run.status(monkeypatch) == 1
    one_line(caplog, "File too large", "ulimit -f")
    assert not any((run.folder / name).exists() for name in ARTIFACTS)


def test_a_read_only_folder_is_one_line_and_nothing_in_it_changes(
    made_student, hard_problems, tmp_path, monkeypatch, caplog
):
    run = made_student(tmp_path / "disk")
    with small_disk(run.folder, "16m"):
        shutil.copy(hard_problems, run.folder / "kept.parquet")
        subprocess.run(["mount", "-o", "remount,ro", str(run.folder)], check=True)
        assert run.status(monkeypatch) == 1
        one_line(caplog, "Read-only file system", "make it writable")
        assert [path.name for path in run.folder.iterdir()] == ["kept.parquet"]
        assert digest(run.folder / "kept.parquet") == digest(hard_problems)


def test_a_model_that_does_not_fit_leaves_the_one_before(base_model, tmp_path):
    policy = load_policy(base_model, "float32")
    weights = {name: tensor.detach().clone() for name, tensor in policy.model.state_dict().items()}
    other = {name: torch.rand_like(tensor) for name, tensor in weights.items()}
    with small_disk(tmp_path / "disk", "2m"):
        folder = tmp_path / "disk" / "model"
        save_policy(folder, policy, weights)
        before = digest(folder)
        with pytest.raises(OSError, match="No space left on device"):
            save_policy(folder, policy, other)
        with pytest.raises(OSError, match="No space left on device") as told:
            save_weights(tmp_path / "disk" / "more.safetensors", other)
        assert told.value.filename.endswith("more.safetensors")
        assert digest(folder) == before
        assert [path.name for path in (tmp_path / "disk").iterdir()] == ["model"]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in policy.model.state_dict().items())


# Small enough for the limit of the configuration, and of every kind of allocation: text, big number, many terms.
MEMORY_BOMBS = [
    "+".join(["x"] * 200_000),
    "y" * 20_000_000,
    "\\binom{100000000}{50000000}",
]


@pytest.mark.parametrize("bomb", MEMORY_BOMBS, ids=lambda bomb: bomb[:12])
def test_a_memory_bomb_ends_one_worker_and_costs_its_own_pair(bomb):
    with PeakMemory() as memory, Grader(timeout_seconds=2, memory_mb=256) as grader:
        pairs = [("6", "\\boxed{6.0}"), ("5", f"\\boxed{{{bomb}}}"), ("7", "\\boxed{7.0}")]
        first, hostile, last = (grade.verdict for grade in grader.grade(pairs))
    assert (first, last) == ("right", "right")
    assert hostile in ("timeout", "wrong")
    assert 0 < memory.mb < 1024


def isolated(*arguments: str) -> list[str]:
    """The command in namespaces of its own; the test is skipped where that is not allowed."""
    command = ["unshare", *arguments]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make namespaces (unshare)")
    return command


def test_without_a_network_a_training_is_the_same(made_student, whole, tmp_path):
    run = made_student(tmp_path)
    done = subprocess.run([*isolated("--net"), *run.command()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert run.digests() == whole.digests()


POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        print(sum(pool.map(abs, range(-3, 1))))
"""


def test_a_small_shared_memory_is_enough_for_worker_processes(tmp_path):
    # What soar/student_processes.py uses of it: the semaphores of a process pool; weights pass through files.
    program = tmp_path / "pool.py"
    program.write_text(POOL)
    small = "mount -t tmpfs -o size=64k tmpfs /dev/shm && exec " + " ".join([sys.executable, str(program)])
    done = subprocess.run([*isolated("--mount"), "sh", "-c", small], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "6", done.stderr


def test_a_clock_that_jumps_changes_no_artifact(made_student, whole, tmp_path):
    # Files from the future, as a clock that was set back leaves them, mean nothing to a stage.
    run = made_student(tmp_path)
    for path in (run.schedule, run.test):
        os.utime(path, (2**32, 2**32))
    assert run.run().digests() == whole.digests()
    assert pq.read_table(tmp_path / "training.parquet")["seconds"].to_pylist() == pytest.approx([0] * 4, abs=60)


def test_no_stage_reads_the_wall_clock_but_to_wait_for_an_endpoint(project):
    readers = {
        path.name
        for path in (project / "soar_pipeline").rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in ("time.time(", "datetime.now", "date.today"))
    }
    # What `make watch` shows is no stage's.
    assert readers == {"endpoint.py", "progress.py"}
