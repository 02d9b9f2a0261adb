"""The student population on Ray: two nodes on this machine, one of which dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import ray
from student_population import Undisturbed, killed_when_asked, population, student_worker
from workflow_runs import ROOT

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.soar.ray_students import RayActors
from soar_pipeline.soar.students import StudentWorker

RAY = Path(sys.executable).with_name("ray")


@pytest.fixture(scope="module")
def two_nodes():
    """A Ray cluster of two nodes with one CPU each, started by `ray start` as on a cluster's hosts.

    The first says that it has two GPUs, which Ray takes on trust.
    """
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as nodes:
        patch.setenv("PYTHONPATH", ":".join(map(str, (Path(__file__).parent, ROOT / "tests" / "support", ROOT))))
        # Ray decides on tokens as it is imported, which this process has done; the nodes are for this machine alone.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        nodes.enter_context(node("--head", f"--port={port}", "--num-gpus=2", "--include-dashboard=false"))
        wait_for(port)
        nodes.enter_context(node(f"--address=127.0.0.1:{port}", "--num-gpus=0"))
        patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        yield


@contextmanager
def node(*options: str):
    """A node that ends with this test: `ray stop` would end everybody's on this machine."""
    command = [RAY, "start", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=1"]
    command += ["--object-store-memory=80000000", "--disable-usage-stats", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "Ray's first node did not start"
            time.sleep(0.2)


@pytest.fixture
def ray_actors(two_nodes):
    """Makes RayActors, and takes them from the cluster after the test."""
    made = []

    def make(*arguments, **options):
        made.append(RayActors(*arguments, **options))
        return made[-1]

    yield make
    for actors in made:
        actors.close()


def node_killed_once(base_model: Path, folder: Path) -> StudentWorker:
    """A worker that says where it trains, and waits there until its node is dead if it is the second node's first."""
    worker = student_worker(base_model)
    run = worker.run

    def run_and_tell(job):
        node = ray.get_runtime_context().get_node_id()
        head = next(item["NodeID"] for item in ray.nodes() if "node:__internal_head__" in item["Resources"])
        if node != head:
            (folder / "training.json").write_text(json.dumps({"raylet": os.getppid(), "job": job.dataset_index}))
            time.sleep(600)
        return run(job)

    worker.run = run_and_tell
    return worker


def kill_second_node(folder: Path, killed: threading.Event) -> None:
    deadline = time.monotonic() + 600
    while not (folder / "training.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(0.5)
    os.kill(json.loads((folder / "training.json").read_text())["raylet"], signal.SIGKILL)
    killed.set()


def broken() -> StudentWorker:
    raise OSError("no model here")


@pytest.fixture(scope="module")
def undisturbed(base_model, tmp_path_factory) -> Undisturbed:
    return Undisturbed.trained(base_model, tmp_path_factory.mktemp("undisturbed"))


def test_workers_that_cannot_start_are_one_clear_error(undisturbed, tmp_path, ray_actors):
    with pytest.raises(ArtifactError, match=r"lost 2 times before it started"):
        population(ray_actors(broken, 1, 0, attempts=2), undisturbed.worker, undisturbed.base, tmp_path)


def misled(base_model: Path) -> StudentWorker:
    """A worker whose every job finds a broken file."""
    worker = student_worker(base_model)

    def run(job):
        raise ArtifactError("weights.safetensors: broken")

    worker.run = run
    return worker


def test_an_error_of_a_student_is_the_one_it_raised(base_model, undisturbed, tmp_path, ray_actors):
    with pytest.raises(ArtifactError, match=r"^weights.safetensors: broken$"):
        population(ray_actors(partial(misled, base_model), 1, 0), undisturbed.worker, undisturbed.base, tmp_path)


def test_without_a_spare_gpu_this_process_sees_the_first_alone(base_model, ray_actors, monkeypatch):
    """As many workers as GPUs: a trainer that saw them all would spread its model over them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": 1.0})
    actors = ray_actors(partial(student_worker, base_model), workers=1, gpus_per_worker=1)
    actors.connect()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert not actors.has_device


def test_a_student_that_is_lost_with_its_worker_is_trained_again_on_that_gpu(
    base_model, undisturbed, tmp_path, ray_actors, monkeypatch
):
    """The spare one is the teacher's."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    actors = ray_actors(partial(killed_when_asked, base_model, tmp_path), workers=1, gpus_per_worker=1)
    undisturbed.assert_same_with(actors, tmp_path / "students")
    assert (tmp_path / "asked").exists()
    lost, replaced = (place.partition(", GPU ")[2] for place in actors.places.values())
    assert lost == replaced
    assert {os.environ["CUDA_VISIBLE_DEVICES"], lost} == {"0", "1"}


# Last: it leaves the cluster with one node.
def test_a_node_that_dies_mid_step_costs_its_students_alone(base_model, undisturbed, tmp_path, ray_actors):
    killed = threading.Event()
    threading.Thread(target=kill_second_node, args=(tmp_path, killed), daemon=True).start()
    actors = ray_actors(partial(node_killed_once, base_model, tmp_path), workers=2, gpus_per_worker=0)
    undisturbed.assert_same_with(actors, tmp_path / "students")
    assert killed.is_set()
