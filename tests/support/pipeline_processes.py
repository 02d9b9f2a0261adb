"""A pipeline run and its processes, by what they do."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from soar_pipeline.config import load

ROOT = Path(__file__).parent.parent.parent
KINDS = ("snakemake", "stage", "pool worker", "Ray actor", "grading worker")
# Of Snakemake before its first job.
START = "(start)"
# Where the stages that train keep their checkpoints until they end, in a run folder.
STATES = {
    "train_soar": "*/soar/*/*/state",
    "train_serl": "*/serl/*/state",
    "train_fresh_student": "*/students/*/*/state",
}


@dataclass(frozen=True)
class Role:
    """What a process is, and the stage that it belongs to."""

    kind: str
    stage: str


class Pipeline:
    """A working directory in which one configuration is run; `on_ray`: its students are trained on Ray."""

    def __init__(self, folder: Path, config: Path, cores: int, on_ray: bool = False):
        self.folder, self.config, self.cores, self.on_ray = folder, config.resolve(), cores, on_ray
        settings = load(config)
        self.results = folder / settings.results / settings.run
        self.output = folder / "output.log"

    def start(self) -> subprocess.Popen:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", str(self.cores)]
        command += ["--configfile", self.config]
        if self.on_ray:
            command += ["--config", "resources={train_soar: {threads: 2, workers: 2, ray_nodes: 1}}"]
        with self.output.open("ab") as output:
            return subprocess.Popen(
                command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def said(self) -> str:
        """What the stages said, in their logs."""
        return "\n".join(path.read_text(errors="replace") for path in (self.folder / "logs").rglob("*.log"))

    def has_checkpoint(self, stage: str) -> bool:
        """Whether a training of the stage, one that runs or was killed, has written a checkpoint."""
        return any(self.results.glob(f"{STATES[stage]}/current"))

    def processes(self) -> list[psutil.Process]:
        """Those whose working directory this is, orphans of a killed Snakemake among them."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()) == self.folder and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def roles(self) -> dict[psutil.Process, Role]:
        """The processes that do something; a shell does not, nor what Ray runs beside its actors."""
        found = {}
        for process in self.processes():
            try:
                kind = _kind_of(" ".join(process.cmdline()))
                if kind is not None:
                    found[process] = Role(kind, START if kind == "snakemake" else _stage_of(process))
            except psutil.Error:
                continue
        return found

    def end(self) -> None:
        """Kill all that is left of it."""
        for process in self.processes():
            process.kill()


def _kind_of(line: str) -> str | None:
    if Path(line.partition(" ")[0]).name in ("bash", "sh"):
        return None
    if "grading/worker.py" in line:
        return "grading worker"
    # One of them makes the others.
    if "multiprocessing.forkserver" in line:
        return "pool worker"
    if line.startswith("ray::_Actor"):
        return "Ray actor"
    if "-m snakemake" in line and "--snakefile" in line:
        return "snakemake"
    if "soar_pipeline.stages." in line:
        return "stage"
    return None


def _stage_of(process: psutil.Process) -> str:
    for one in (process, *process.parents()):
        for word in one.cmdline():
            if word.startswith("soar_pipeline.stages."):
                return word.removeprefix("soar_pipeline.stages.")
    raise psutil.NoSuchProcess(process.pid)


@dataclass
class Lives:
    """How long the processes of each role live, in seconds, from looking at a run again and again."""

    seen: dict[Role, dict[psutil.Process, float]] = field(default_factory=dict)

    def look(self, pipeline: Pipeline) -> None:
        roles = pipeline.roles()
        starting = not any(role.kind != "snakemake" for role in (*roles.values(), *self.seen))
        for process, role in roles.items():
            if role.kind != "snakemake" or starting:
                self.seen.setdefault(role, {})[process] = age(process)

    def typical(self) -> dict[Role, float]:
        """In the order in which they first came."""
        return {role: median(ages.values()) for role, ages in self.seen.items()}


def age(process: psutil.Process) -> float:
    return time.time() - process.create_time()
