"""Students on Ray: actors with a device each, on any number of nodes.

Jobs and results pass through Ray, weights through files: the run's folder lies on a file system that every node sees.
A worker reads a baseline once, and writes a student if it is promoted.
"""

import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.soar.students import Done, Student, StudentJob, StudentResult, StudentWorker, place

log = logging.getLogger(__name__)

SECONDS_BETWEEN_REMINDERS = 60
# Of each node, for jobs and results alone.
OBJECT_STORE_BYTES = 100_000_000


class RayActors:
    """Student workers as Ray actors; the Ray cluster is the one that RAY_ADDRESS names, else one made for this job.

    `build` makes a worker and is called once in each actor. An actor that dies, or whose node does, is replaced; the
    student it had is trained again, `attempts` times at most. If the cluster has no room for a replacement, the
    others go on without it. If it has more devices than the workers need, this process gets one of its own; else it
    shares its node's first with a worker. It sees no other: a trainer would spread its model over all that it sees.
    """

    def __init__(self, build: Callable[[], StudentWorker], workers: int, gpus_per_worker: int, attempts: int = 3):
        self.build, self.workers, self.gpus_per_worker, self.attempts = build, workers, gpus_per_worker, attempts
        self.holder: ActorHandle | None = None
        self.idle: list[ActorHandle] = []
        # Actors that have not said yet where they are, by the answer that will.
        self.starting: dict[ray.ObjectRef, ActorHandle] = {}
        self.places: dict[ActorHandle, str] = {}
        self.holders: dict[Student, ActorHandle] = {}

    def connect(self) -> None:
        """Join the cluster and start the workers, once; before this process uses a GPU, so that it uses its own."""
        if ray.is_initialized():
            return
        # Without an address Ray would join whatever cluster it finds on this machine.
        own = {
            "address": "local",
            "num_cpus": self.workers,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
        # Who has the token can run code here. Ray would make one too, but leave it in the home folder.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex())
        # Actors import what this process imports, and compute with as many threads.
        inherited = {name: os.environ[name] for name in ("PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
        ray.init(
            **({} if os.environ.get("RAY_ADDRESS") else own),
            runtime_env={"env_vars": inherited},
            log_to_driver=False,
        )
        if self.workers * self.gpus_per_worker:
            if self.workers * self.gpus_per_worker < ray.cluster_resources().get("GPU", 0):
                self._take_device()
            else:
                first, *_ = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
                os.environ["CUDA_VISIBLE_DEVICES"] = first
        for _ in range(self.workers):
            self._start()

    @property
    def has_device(self) -> bool:
        """Whether this process has a device of its own."""
        return self.holder is not None

    def run(self, jobs: list[StudentJob], done: Done) -> None:
        self.connect()
        waiting, left, losses = list(jobs), len(jobs), Counter()
        training: dict[ray.ObjectRef, tuple[ActorHandle, StudentJob]] = {}
        while left:
            while waiting and self.idle:
                actor, job = self.idle.pop(), waiting.pop(0)
                training[actor.run.remote(job)] = (actor, job)
            answered, _ = ray.wait([*training, *self.starting], timeout=SECONDS_BETWEEN_REMINDERS)
            if not answered:
                if not training:
                    log.info("no student worker has started yet; the Ray cluster has %s", ray.cluster_resources())
                continue
            [answer] = answered
            actor, job = training.pop(answer, None) or (self.starting.pop(answer), None)
            try:
                result = ray.get(answer)
            except RayTaskError as error:
                raise error.cause from None
            except RayActorError as error:
                what = (
                    "before it started" if job is None else f"with student {job.repeat} of dataset {job.dataset_index}"
                )
                log.warning("a student worker was lost %s and is replaced: %s", what, error)
                losses[what] += 1
                if losses[what] == self.attempts:
                    raise ArtifactError(
                        f"a student worker was lost {self.attempts} times {what}; `ray status` and Ray's logs may say "
                        f"why: {error}"
                    ) from None
                self._replace(actor)
                if job is not None:
                    waiting.insert(0, job)
                continue
            if job is None:
                log.info("student worker on %s", result)
                self.places[actor] = result
            else:
                left -= 1
                self.holders[job.student] = actor
                done(result, self.places[actor])
            self.idle.append(actor)

    def write(self, job: StudentJob, path: Path) -> bool:
        actor = self.holders.get(job.student)
        if actor is None:
            return False
        try:
            ray.get(actor.write.remote(job, path))
        except RayTaskError as error:
            raise error.cause from None
        except RayActorError as error:
            log.warning("a student worker was lost with the students that it kept, and is replaced: %s", error)
            self._replace(actor)
            return False
        return True

    def close(self) -> None:
        """Leave the cluster, which ends the actors; one that was made for this job ends too."""
        ray.shutdown()
        self.idle, self.starting, self.places, self.holders = [], {}, {}, {}

    def _replace(self, actor: ActorHandle) -> None:
        """The actor is dead, and the students that it kept are lost."""
        self.holders = {student: holder for student, holder in self.holders.items() if holder is not actor}
        self.idle = [other for other in self.idle if other is not actor]
        self._start()

    def _start(self) -> None:
        actor = _Actor.options(num_cpus=1, num_gpus=self.gpus_per_worker).remote(self.build)
        self.starting[actor.place.remote()] = actor

    def _take_device(self) -> None:
        """Let no worker have one of this node's devices, and this process see that one alone."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.holder = _Holder.options(num_cpus=0, num_gpus=1, scheduling_strategy=here).remote()
        os.environ["CUDA_VISIBLE_DEVICES"] = ray.get(self.holder.device.remote())
        log.info("the teacher has GPU %s of this node to itself", os.environ["CUDA_VISIBLE_DEVICES"])


def _devices() -> list[str]:
    return ray.get_runtime_context().get_accelerator_ids().get("GPU", [])


@ray.remote
class _Holder:
    """Holds a device for the process that made it, as long as that lives."""

    def device(self) -> str:
        return _devices()[0]


@ray.remote
class _Actor:
    def __init__(self, build: Callable[[], StudentWorker]):
        self.worker = build()

    def place(self) -> str:
        return place() + "".join(f", GPU {device}" for device in _devices())

    def run(self, job: StudentJob) -> StudentResult:
        return self.worker.run(job)

    def write(self, job: StudentJob, path: Path) -> None:
        self.worker.write(job, path)
