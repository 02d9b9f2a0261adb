"""Kill -9 at random moments: run the smallest pipeline, kill one of its processes, run the same command again.

    python tests/faults/campaign.py --kills 100 --folder /tmp/campaign          # or: make faults KILLS=100
    python tests/faults/campaign.py --kills 5 --config my.yaml --cores 1

One undisturbed run comes first. Every trial is a run of its own that is killed once: at a random moment of the time
which the undisturbed run took, one process of a random kind among those that live then: Snakemake, a stage, a pool
worker or a Ray worker (they train students), a grading worker. The same command is then given until it succeeds;
where a stage survived its Snakemake, the second run may refuse the directory (it names the writer), and is given again
when that has ended. Nothing else is done: no unlock, no cleaning up.

Then every file of the run folder is compared with the undisturbed run: none missing, none more, equal contents. Left
out, because two undisturbed runs differ there too: columns and files that measure time (`seconds` of Parquet, `seconds`
of tables/runs.csv, benchmarks/), what is made from these times (report.html, which shows them), TensorBoard's
events (state/*/tracking, with a clock in each) and the empty lock files of finished trainings.

One line of JSON per trial goes to `<folder>/trials.jsonl` (a campaign goes on where it stopped); the summary to the
standard output as a table. Exit status 1 where any trial failed.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from soar_pipeline.artifacts import digest, read_provenance
from soar_pipeline.config import load

ROOT = Path(__file__).parent.parent.parent
KINDS = ("snakemake", "stage", "pool worker", "grading worker")
# Runs after a kill: one refusal for each stage that outlived its Snakemake, and some to spare.
RUNS = 6


@dataclass
class Trial:
    """seconds: from the start to the kill; runs: how often the command was given after it; wrong: what is not as it
    should be, by file."""

    number: int
    kind: str
    seconds: float
    stage: str = ""
    runs: int = 0
    refused: int = 0
    resumed: int = 0
    repeated_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Pipeline:
    """A working directory in which one configuration is run."""

    def __init__(self, folder: Path, config: Path, cores: int):
        self.folder, self.config, self.cores = folder, config.resolve(), cores
        settings = load(config)
        self.results = folder / settings.results / settings.run

    def start(self) -> subprocess.Popen:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", str(self.cores)]
        command += ["--configfile", self.config]
        with (self.folder / "output.log").open("ab") as output:
            return subprocess.Popen(
                command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def said(self) -> str:
        """Everything that Snakemake and the stages said."""
        texts = [path.read_text(errors="replace") for path in (self.folder / "logs").rglob("*.log")]
        return "\n".join([(self.folder / "output.log").read_text(errors="replace"), *texts])

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

    def wait_for_orphans(self) -> None:
        psutil.wait_procs(self.processes())


def kind_of(process: psutil.Process) -> str | None:
    """Which of KINDS a process is; None for a shell or what is about to end."""
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return None
    if "grading/worker.py" in line:
        return "grading worker"
    if "multiprocessing.spawn" in line or line.startswith("ray::"):
        return "pool worker"
    if "soar_pipeline.stages." in line and "snakemake" not in line and not line.startswith(("/bin/", "bash", "sh ")):
        return "stage"
    if "-m snakemake" in line and "--snakefile" in line:
        return "snakemake"
    return None


def stage_of(process: psutil.Process) -> str:
    """The stage that a process belongs to."""
    try:
        for one in (process, *process.parents()):
            for word in one.cmdline():
                if word.startswith("soar_pipeline.stages."):
                    return word.removeprefix("soar_pipeline.stages.")
    except psutil.Error:
        pass
    return "between stages"


def killed(pipeline: Pipeline, trial: Trial, started: float) -> bool:
    """Kill a process of the trial's kind at its moment, or as soon after it as one lives; False if none came."""
    time.sleep(max(0.0, started + trial.seconds - time.monotonic()))
    while True:
        alive = pipeline.processes()
        if not any(kind_of(process) == "snakemake" for process in alive):
            return False
        wanted = [process for process in alive if kind_of(process) == trial.kind]
        if wanted:
            victim = random.Random(trial.number).choice(sorted(wanted, key=lambda process: process.pid))
            trial.stage = "snakemake" if trial.kind == "snakemake" else stage_of(victim)
            trial.seconds = time.monotonic() - started
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
            return True
        time.sleep(0.02)


def run_trial(trial: Trial, folder: Path, config: Path, cores: int, expected: dict[str, str]) -> Trial:
    pipeline = Pipeline(folder, config, cores)
    started = time.monotonic()
    first = pipeline.start()
    hit = killed(pipeline, trial, started)
    status = first.wait()
    if not hit:
        trial.wrong.append("no such process came: nothing was killed")
    again = time.monotonic()
    while status and trial.runs < RUNS:
        if trial.runs:
            # Only a job that outlived its Snakemake can have been in the way.
            pipeline.wait_for_orphans()
        trial.runs += 1
        status = pipeline.start().wait()
    trial.repeated_seconds = time.monotonic() - again if trial.runs else 0.0
    if status:
        trial.wrong.append(f"the command failed {trial.runs} times after the kill: see {folder / 'output.log'}")
    said = pipeline.said()
    trial.refused, trial.resumed = said.count("another job is writing this run"), said.count("resuming after step")
    pipeline.wait_for_orphans()
    trial.wrong += differences(expected, contents(pipeline.results))
    return trial


def contents(results: Path) -> dict[str, str]:
    """What each file of a run folder says, as a digest, without what measures time (see above)."""
    found = {}
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results)
        if name.parts[0] == "benchmarks" or "tracking" in name.parts:
            continue
        if name.name == "lock":
            continue
        found[str(name)] = content(path, name)
    return found


def content(path: Path, name: Path) -> str:
    if path.suffix == ".parquet":
        # With how it was made: inputs are recorded by digests that leave times out too.
        return hashlib.sha256((digest(path) + json.dumps(read_provenance(path), sort_keys=True)).encode()).hexdigest()
    if name.name == "report.html":
        return "differs in the times that it shows"
    if name.as_posix() == "tables/runs.csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        kept = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        return hashlib.sha256(json.dumps(kept).encode()).hexdigest()
    if name.name == "provenance.json":
        record = json.loads(path.read_text(encoding="utf-8"))
        # The digest of the one table that holds times.
        record["inputs"] = {
            key: value for key, value in record["inputs"].items() if not key.endswith("tables/runs.csv")
        }
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return digest(path)


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    missing = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    stray = [f"stray: {name}" for name in sorted(found.keys() - expected.keys())]
    other = [f"differs: {name}" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]]
    return missing + stray + other


def undisturbed(folder: Path, config: Path, cores: int) -> tuple[dict[str, str], float]:
    """Contents of an undisturbed run and the seconds it took; made once per campaign folder."""
    record = folder / "undisturbed.json"
    if not record.exists():
        shutil.rmtree(folder / "undisturbed", ignore_errors=True)
        pipeline = Pipeline(folder / "undisturbed", config, cores)
        started = time.monotonic()
        if pipeline.start().wait():
            sys.exit(f"the undisturbed run failed: see {pipeline.folder / 'output.log'}")
        found = {"seconds": time.monotonic() - started, "contents": contents(pipeline.results)}
        record.write_text(json.dumps(found), encoding="utf-8")
    found = json.loads(record.read_text(encoding="utf-8"))
    return found["contents"], found["seconds"]


def summary(trials: list[Trial]) -> str:
    """A Markdown table: per kind of process, how many kills, in which stages, and what came of them."""
    lines = [
        "| killed | times | in stages | runs after | refused | resumed | not as the undisturbed run |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        of_kind = [trial for trial in trials if trial.kind == kind]
        if of_kind:
            stages = ", ".join(f"{name} {count}" for name, count in Counter(one.stage for one in of_kind).most_common())
            sums = [sum(getattr(one, name) for one in of_kind) for name in ("runs", "refused", "resumed")]
            bad = sum(bool(one.wrong) for one in of_kind)
            lines.append(f"| {kind} | {len(of_kind)} | {stages} | {' | '.join(map(str, sums))} | {bad} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/soar-faults"), help="for all runs; kept afterwards")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("campaign.yaml"))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.folder.resolve()
    # As from a shell, with this project's package.
    os.environ["PYTHONPATH"] = str(ROOT)
    expected, seconds = undisturbed(folder, options.config, options.cores)
    print(f"undisturbed: {len(expected)} files in {seconds:.0f} s", flush=True)
    record = folder / "trials.jsonl"
    done = [Trial(**json.loads(line)) for line in record.read_text().splitlines()] if record.exists() else []
    rng = random.Random(options.seed)
    for number in range(options.kills):
        trial = Trial(number, KINDS[number % len(KINDS)], rng.uniform(0.03, 0.97) * seconds)
        if number < len(done):
            continue
        place = folder / f"trial-{number:03d}"
        shutil.rmtree(place, ignore_errors=True)
        run_trial(trial, place, options.config, options.cores, expected)
        done.append(trial)
        with record.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(trial)) + "\n")
        print(json.dumps(asdict(trial)), flush=True)
        if not trial.wrong:
            shutil.rmtree(place)
    print(summary(done))
    sys.exit(any(trial.wrong for trial in done))


if __name__ == "__main__":
    main()
