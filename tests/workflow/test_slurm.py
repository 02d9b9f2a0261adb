"""The workflow on a real Slurm of two nodes: whole, cancelled, failing, and with its controller killed.

make slurm
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slurm_cluster import NODES, Cluster, cluster, missing
from stage_commands import SOAR_OUTPUTS, digests
from workflow_runs import ROOT, changed_config, planned_jobs, snakemake

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.rl.checkpoints import CheckpointFolder

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=str(missing()))]

PROFILE = ("--profile", ROOT / "tests" / "slurm_profile")
SOAR = Path("results/slurm/shuffles/soar/grounded/t1")
CHANGES = {
    "run": "slurm",
    "datasets": {"shuffles": {"adapter": "digit_shuffles", "difficulties": [6, 7, 8, 9], "size": 24}},
    "pools": {},
    "filter.shards": 1,
    "soar.outer_steps": 6,
    "soar.repeats": 2,
    "objectives": {"grounded": {}},
    "arms": {
        "base": {"label": "Base", "policy": "base"},
        "soar_ps": {"label": "SOAR-PS", "policy": "promoted_student", "objective": "grounded"},
    },
    "report": {"baseline_arm": "base", "headline_arms": ["soar_ps"]},
    "taxonomy": {},
    "seeds": {"teacher": 1, "student": 1},
    "figures": {"learning_curves": {"kind": "learning_curves"}},
}
TWO_NODES = {"train_soar": {"gpu": 1, "ray_nodes": 2, "workers": 2}}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory):
    with cluster(tmp_path_factory.mktemp("cluster")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", running.environment["SLURM_CONF"])
        yield running


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The smallest run with a SOAR run in it, on two nodes and on one."""
    folder = tmp_path_factory.mktemp("configs")
    made = {}
    for name, resources in (("two nodes", TWO_NODES), ("one node", {})):
        made[name] = folder / f"{name}.yaml"
        changed_config(folder, "smoke.yaml", CHANGES | {"resources": resources}).rename(made[name])
    return made


@pytest.fixture(scope="module")
def finished(slurm: Cluster, configs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of a whole run on Slurm."""
    folder = tmp_path_factory.mktemp("finished")
    done = snakemake(folder, *PROFILE, "--configfile", configs["two nodes"])
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_job_that_would_not_end_in_time_stops_and_goes_on_when_it_is_submitted_again(
    before_soar: Path, finished: Path, configs: dict[str, Path]
):
    """Five minutes are the margin: each submission stops after one of the six outer steps, and Slurm never ends it."""
    limited = ("--config", "resources={train_soar: {runtime: 5}}")
    done = snakemake(before_soar, *PROFILE, "--retries", "9", "--configfile", configs["one node"], *limited)
    # A job's log is that of its last attempt; Snakemake shows those of failed ones.
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [f"stopped after outer step {step} of 6" in said for step in range(1, 7)] == [True] * 5 + [False]
    assert "CANCELLED" not in said
    assert "resuming after step 5" in (before_soar / "logs/slurm/train_soar/shuffles-grounded-t1.log").read_text()
    assert digests(before_soar / SOAR, SOAR_OUTPUTS) == digests(finished / SOAR, SOAR_OUTPUTS)


@pytest.fixture
def before_soar(finished: Path, tmp_path: Path) -> Path:
    """A working directory in which the SOAR run is what comes next."""
    shutil.copytree(finished / "results", tmp_path / "results", ignore=shutil.ignore_patterns("soar"))
    return tmp_path


class Controller:
    """Snakemake at work on the SOAR run, as a user starts and kills it."""

    def __init__(self, folder: Path, config: Path, *arguments: str):
        self.folder = folder
        command = [sys.executable, "-m", "snakemake", SOAR / "steps.parquet", "--snakefile", ROOT / "Snakefile"]
        self.log = (folder / "controller.log").open("w+")
        self.process = subprocess.Popen(
            [*command, *PROFILE, "--configfile", config, *arguments], cwd=folder, stdout=self.log, stderr=self.log
        )

    def holder_after(self, checkpoint: str) -> dict:
        """Who trains, as the lock says, once the checkpoint is written."""
        state = self.folder / SOAR / "state"
        while not (state / "current").exists() or (state / "current").read_text() < checkpoint:
            assert self.process.poll() is None, self.output()
            time.sleep(0.02)
        return json.loads((state / "lock").read_text())

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def exit_status(self) -> int:
        return self.process.wait(timeout=600)


def wait_until_no_job_is_left(slurm: Cluster) -> None:
    deadline = time.monotonic() + 300
    while slurm.command("squeue", "--noheader"):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_whole_run_is_made_with_a_soar_run_over_two_nodes(finished: Path):
    assert (finished / "results/slurm/report.html").stat().st_size > 0
    log = (finished / "logs/slurm/train_soar/shuffles-grounded-t1.log").read_text()
    for node in NODES:
        assert f"student worker on {node}:" in log
        assert f"worker={node}:" in log


def test_nodes_and_workers_change_no_result_and_repeat_no_training(
    finished: Path, before_soar: Path, configs: dict[str, Path]
):
    assert planned_jobs(finished, SOAR / "steps.parquet", "--configfile", configs["one node"]) == {}
    done = snakemake(before_soar, SOAR / "steps.parquet", "--configfile", configs["one node"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert digests(before_soar / SOAR, SOAR_OUTPUTS) == digests(finished / SOAR, SOAR_OUTPUTS)


def test_a_cancelled_job_frees_its_nodes_and_leaves_what_the_next_one_resumes(
    slurm: Cluster, before_soar: Path, configs: dict[str, Path]
):
    controller = Controller(before_soar, configs["two nodes"])
    slurm.command("scancel", controller.holder_after("step-000001")["slurm_job"])

    assert controller.exit_status() == 1, controller.output()
    wait_until_no_job_is_left(slurm)
    assert not (before_soar / SOAR / "steps.parquet").exists()
    assert list((before_soar / SOAR / "state").glob("step-*"))
    for node in NODES:
        assert "ray" not in slurm.inside(node, "ps", "-eo", "comm=")


def test_a_failed_job_is_tried_again_and_resumes(
    slurm: Cluster, finished: Path, before_soar: Path, configs: dict[str, Path]
):
    controller = Controller(before_soar, configs["one node"], "--retries", "1")
    holder = controller.holder_after("step-000001")
    slurm.inside(holder["host"], "kill", "-KILL", str(holder["process"]))

    assert controller.exit_status() == 0, controller.output()
    assert "resuming after step" in (before_soar / "logs/slurm/train_soar/shuffles-grounded-t1.log").read_text()
    assert digests(before_soar / SOAR, SOAR_OUTPUTS) == digests(finished / SOAR, SOAR_OUTPUTS)


def test_a_second_job_refuses_while_the_orphan_of_a_killed_controller_writes(
    slurm: Cluster, finished: Path, before_soar: Path, configs: dict[str, Path]
):
    first = Controller(before_soar, configs["one node"])
    orphan = first.holder_after("step-000001")
    # It stands still, so that it cannot have ended before the second job starts.
    slurm.inside(orphan["host"], "kill", "-STOP", str(orphan["process"]))
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()

    second = Controller(before_soar, configs["one node"])
    assert second.exit_status() == 1, second.output()
    log = (before_soar / "logs/slurm/train_soar/shuffles-grounded-t1.log").read_text()
    refusal = f"host {orphan['host']}, process {orphan['process']}, SLURM job {orphan['slurm_job']}"
    assert f"another job is writing this run ({refusal}); wait for it or stop it" in log

    slurm.inside(orphan["host"], "kill", "-CONT", str(orphan["process"]))
    wait_until_no_job_is_left(slurm)
    assert digests(before_soar / SOAR, SOAR_OUTPUTS) == digests(finished / SOAR, SOAR_OUTPUTS)
    # What the orphan finished counts as done.
    assert planned_jobs(before_soar, SOAR / "steps.parquet", "--configfile", configs["one node"]) == {}


def test_where_hosts_share_no_locks_slurm_says_whether_the_other_job_runs(slurm: Cluster, tmp_path: Path):
    job = slurm.command("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 300").strip()
    while job not in slurm.command("squeue", "--noheader", "--states=RUNNING", "--format=%i").split():
        time.sleep(0.2)
    folder = CheckpointFolder(tmp_path)
    # As a file system without shared locks shows it: the other host's words, and a lock that is free.
    (tmp_path / "lock").write_text(json.dumps({"host": "n1", "process": 7, "slurm_job": job}))

    with pytest.raises(ArtifactError, match=f"host n1, process 7, SLURM job {job}"), folder.locked():
        pass
    slurm.command("scancel", job)
    wait_until_no_job_is_left(slurm)
    with folder.locked():
        pass
