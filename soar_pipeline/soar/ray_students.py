"""Students on Ray: actors with a device each, on any number of nodes.

Jobs and trials pass through Ray, weights through files: the run's folder lies on a file system that every node sees.
"""

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.soar.students import StudentJob, StudentWorker, Trial

log = logging.getLogger(__name__)

SECONDS_BETWEEN_REMINDERS = 60


class RayActors:
    """Student workers as Ray actors; the Ray cluster is the one that RAY_ADDRESS names, else one made for this job.

    `build` makes a worker and is called once in each actor. An actor that dies, or whose node does, is replaced; the
    student it had is trained again, `attempts` times at most. Where the cluster has no room for a replacement the
    others go on without it.
    """

    def __init__(self, build: Callable[[], StudentWorker], workers: int, gpus_per_worker: int, attempts: int = 3):
        self.build, self.workers, self.gpus_per_worker, self.attempts = build, workers, gpus_per_worker, attempts
        self.idle: list[ActorHandle] = []
        # Actors that have not said yet where they are, by the answer that will.
        self.starting: dict[ray.ObjectRef, ActorHandle] = {}

    def run(self, jobs: list[StudentJob], done: Callable[[Trial], None]) -> None:
        self._connect()
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
                self._start()
                if job is not None:
                    waiting.insert(0, job)
                continue
            if job is None:
                log.info("student worker on %s", result)
            else:
                left -= 1
                done(result)
            self.idle.append(actor)

    def close(self) -> None:
        """Leave the cluster, which ends the actors; one that was made for this job ends too."""
        ray.shutdown()
        self.idle, self.starting = [], {}

    def _connect(self) -> None:
        if ray.is_initialized():
            return
        # Actors import what this process imports, and compute with as many threads.
        inherited = {name: os.environ[name] for name in ("PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
        ray.init(runtime_env={"env_vars": inherited}, include_dashboard=False, log_to_driver=False)
        for _ in range(self.workers):
            self._start()

    def _start(self) -> None:
        actor = _Actor.options(num_cpus=1, num_gpus=self.gpus_per_worker).remote(self.build)
        self.starting[actor.place.remote()] = actor


@ray.remote
class _Actor:
    def __init__(self, build: Callable[[], StudentWorker]):
        self.worker = build()

    def place(self) -> str:
        devices = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        return f"{socket.gethostname()}, process {os.getpid()}" + (f", GPU {', '.join(devices)}" if devices else "")

    def run(self, job: StudentJob) -> Trial:
        return self.worker.run(job)
