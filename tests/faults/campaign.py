"""Kill -9 at random moments: run the smallest pipeline, kill one of its processes, give the same command again.

    python tests/faults/campaign.py --kills 100 --folder /tmp/campaign          # or: make faults KILLS=100
    python tests/faults/campaign.py --kills 5 --config my.yaml --cores 1
    python tests/faults/campaign.py --kills 30 --trainings --folder /tmp/trainings

One undisturbed run comes first; it also shows which processes live in which stage, and how long. Then come disturbed
runs, each in a folder of its own and killed about twenty times: Snakemake, a stage, a process or Ray actor that trains
students (every other run has Ray), a grading worker. Kinds have their turns, within a kind the stages that were hit
least; the moment is random in the life of such a process. `--trainings` keeps to the stages that train, and to moments
after a checkpoint: so small a training has none for most of its life.

Where a kill ends the command, the same command is given again, at once and until it succeeds; where a stage survived
its Snakemake, it may refuse the directory (it names the writer), and is given again when that has ended. Nothing else
is done: no unlock, no cleaning up.

Then every file of the run folder is compared with the undisturbed run (run_contents.py): none missing, none more, equal
contents. A command that fails although nothing of it was killed, or that hangs, is an error too.

One line of JSON per disturbed run goes to `<folder>/runs.jsonl` (a campaign goes on where it stopped); the summary to
the standard output as tables. The folder of a run that went wrong is kept. Exit status 1 where there is one.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from pipeline_processes import KINDS, ROOT, START, STATES, Lives, Pipeline, Role, age
from run_contents import contents, differences

# Kills of each kind in one disturbed run; students are trained by the pool's workers or by Ray's actors. Of these a
# training bears two losses per outer step, and a comparison one of its grading worker.
IN_ONE_RUN = {"snakemake": 6, "stage": 8, "pool worker": 2, "Ray actor": 2, "grading worker": 6}
SECONDS_BETWEEN_LOOKS = 0.1
# Times as long as the undisturbed run: no command takes that, not even on a machine that does other things, too.
HANGS = 5
# What outlives its Snakemake ends with its stage; what is still there after so many seconds does not.
SECONDS_TO_END = 600
REFUSED, RESUMED = "another job is writing this run", "resuming after step"
# One refusal for each stage that outlived its Snakemake, and some to spare.
REFUSALS = 6


@dataclass
class Target:
    """A process to kill: of a role, once it is `age` seconds old; Snakemake is killed at that age of a stage's.

    after_checkpoint: not before a training of the stage has one.
    """

    kind: str
    stage: str
    age: float
    after_checkpoint: bool = False


@dataclass
class DisturbedRun:
    """`commands`: how often the command was given; `wrong`: what is not as it should be."""

    number: int
    on_ray: bool
    kills: list[Target] = field(default_factory=list)
    commands: int = 0
    refused: int = 0
    resumed: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def targets(
    run: DisturbedRun, lives: dict[Role, float], hits: Counter, limit: int, after_checkpoint: bool = False
) -> list[Target]:
    """What to kill in a run, at most `limit` processes: of each kind in the stages that were hit least so far."""
    rng = random.Random(run.number)
    drawn = []
    for kind, count in IN_ONE_RUN.items():
        if kind == ("pool worker" if run.on_ray else "Ray actor"):
            continue
        # Ray's actors live where the undisturbed run has a pool; Snakemake is killed during each stage, and before.
        alike = {"snakemake": ("snakemake", "stage"), "Ray actor": ("pool worker",)}.get(kind, (kind,))
        life = {role.stage: seconds for role, seconds in lives.items() if role.kind in alike}
        stages = sorted(life, key=lambda stage: (hits[kind, stage], rng.random()))
        chosen = (stages * count)[:count]
        drawn += [Target(kind, stage, rng.uniform(0, life[stage]), after_checkpoint) for stage in chosen]
    rng.shuffle(drawn)
    return drawn[:limit]


def victim(target: Target, roles: dict[psutil.Process, Role]) -> psutil.Process | None:
    """The process to kill now, if its moment has come."""
    aimed = Role(target.kind, target.stage)
    if target.kind == "snakemake" and target.stage != START:
        aimed = Role("stage", target.stage)
    if target.stage == START and any(role.kind != "snakemake" for role in roles.values()):
        return None
    if not any(role == aimed and age(process) >= target.age for process, role in roles.items()):
        return None
    wanted = aimed if target.kind != "snakemake" else Role("snakemake", START)
    # The youngest: where several grade or train, the others are older.
    old_enough = [
        process
        for process, role in roles.items()
        if role == wanted and (target.kind == "snakemake" or age(process) >= target.age)
    ]
    return min(old_enough, key=age, default=None)


def kills_until_it_ends(
    pipeline: Pipeline, command: subprocess.Popen, pending: list[Target], seconds: float
) -> Iterator[Target]:
    """Kill what is due while the command runs, for at most `seconds`; yields the targets that were hit."""
    deadline = time.monotonic() + seconds
    while command.poll() is None and time.monotonic() < deadline:
        roles = pipeline.roles()
        for target in list(pending):
            if target.after_checkpoint and not pipeline.has_checkpoint(target.stage):
                continue
            process = victim(target, roles)
            if process is not None:
                with suppress(psutil.NoSuchProcess):
                    target.age = round(age(process), 2)
                    process.send_signal(signal.SIGKILL)
                    pending.remove(target)
                    yield target
                # What it was part of may be gone now.
                break
        time.sleep(SECONDS_BETWEEN_LOOKS)


def disturb(run: DisturbedRun, pipeline: Pipeline, pending: list[Target], seconds: float) -> None:
    """Give the command, kill, and give it again until it succeeds; `seconds` is when a command counts as hanging."""
    refused = 0
    while True:
        refusals = pipeline.said().count(REFUSED)
        command = pipeline.start()
        run.commands += 1
        killed = list(kills_until_it_ends(pipeline, command, pending, seconds))
        run.kills += killed
        if command.poll() is None:
            run.wrong.append(f"the command hangs: see {pipeline.output}")
            pipeline.end()
            return
        if command.returncode == 0:
            return
        if any(target.kind in ("snakemake", "stage") for target in killed):
            refused = 0
            continue
        if pipeline.said().count(REFUSED) == refusals or refused == REFUSALS:
            run.wrong.append(f"the command failed although nothing of it was killed: see {pipeline.output}")
            return
        # A job that outlived its Snakemake is in the way.
        refused += 1
        wait_until_all_end(run, pipeline)


def wait_until_all_end(run: DisturbedRun, pipeline: Pipeline) -> None:
    _, left = psutil.wait_procs(pipeline.processes(), SECONDS_TO_END)
    if left:
        run.wrong.append(f"processes that do not end: {[process.cmdline() for process in left]}")
        pipeline.end()


def undisturbed(folder: Path, config: Path, cores: int) -> tuple[dict[str, str], dict[Role, float], float]:
    """Contents of an undisturbed run, the lives of its processes, and its seconds; made once per campaign folder."""
    record = folder / "undisturbed.json"
    if not record.exists():
        shutil.rmtree(folder / "undisturbed", ignore_errors=True)
        pipeline, lives = Pipeline(folder / "undisturbed", config, cores), Lives()
        started = time.monotonic()
        command = pipeline.start()
        while command.poll() is None:
            lives.look(pipeline)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if command.returncode:
            sys.exit(f"the undisturbed run failed: see {pipeline.output}")
        found = {
            "seconds": time.monotonic() - started,
            "contents": contents(pipeline.results),
            "lives": [[role.kind, role.stage, seconds] for role, seconds in lives.typical().items()],
        }
        record.write_text(json.dumps(found), encoding="utf-8")
    found = json.loads(record.read_text(encoding="utf-8"))
    lives = {Role(kind, stage): seconds for kind, stage, seconds in found["lives"]}
    return found["contents"], lives, found["seconds"]


def recorded(file: Path) -> list[DisturbedRun]:
    if not file.exists():
        return []
    runs = [DisturbedRun(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    for run in runs:
        run.kills = [Target(**kill) for kill in run.kills]
    return runs


def summary(runs: list[DisturbedRun], stages: list[str]) -> str:
    """Markdown tables: kills per stage and kind, and what came of the runs."""
    hits = Counter((kill.kind, kill.stage) for run in runs for kill in run.kills)
    lines = [f"| killed in | {' | '.join(KINDS)} |", "|---|" + "---|" * len(KINDS)]
    for stage in stages:
        lines.append(f"| {stage} | {' | '.join(str(hits[kind, stage] or '') for kind in KINDS)} |")
    lines.append(f"| all | {' | '.join(str(sum(hits[kind, stage] for stage in stages)) for kind in KINDS)} |")
    lines += ["", "| students on | runs | kills | commands | refused | resumed | not as the undisturbed run |"]
    lines.append("|---" * 7 + "|")
    for on_ray, name in ((False, "pool of processes"), (True, "Ray")):
        those = [run for run in runs if run.on_ray == on_ray]
        counts = [len(those), sum(len(run.kills) for run in those)]
        counts += [sum(getattr(run, what) for run in those) for what in ("commands", "refused", "resumed")]
        counts.append(sum(bool(run.wrong) for run in those))
        lines.append(f"| {name} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/soar-faults"), help="for all runs; kept afterwards")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("campaign.yaml"))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--trainings", action="store_true", help="kill in trainings alone, and after a checkpoint")
    options = parser.parse_args()
    folder = options.folder.resolve()
    # As from a shell, with this project's package.
    os.environ["PYTHONPATH"] = str(ROOT)
    expected, lives, seconds = undisturbed(folder, options.config, options.cores)
    print(f"undisturbed: {len(expected)} files in {seconds:.0f} s", flush=True)
    if options.trainings:
        lives = {role: life for role, life in lives.items() if role.stage in STATES}
    runs = recorded(folder / "runs.jsonl")
    while (left := options.kills - sum(len(run.kills) for run in runs)) > 0:
        hits = Counter((kill.kind, kill.stage) for run in runs for kill in run.kills)
        run = DisturbedRun(len(runs), on_ray=len(runs) % 2 == 1 and find_spec("ray") is not None)
        pipeline = Pipeline(folder / f"run-{run.number:03d}", options.config, options.cores, run.on_ray)
        shutil.rmtree(pipeline.folder, ignore_errors=True)
        started = time.monotonic()
        disturb(run, pipeline, targets(run, lives, hits, left, options.trainings), HANGS * seconds)
        run.seconds = time.monotonic() - started
        wait_until_all_end(run, pipeline)
        said = pipeline.said()
        run.refused, run.resumed = said.count(REFUSED), pipeline.output.read_text(errors="replace").count(RESUMED)
        run.wrong += differences(expected, contents(pipeline.results))
        if not run.kills:
            run.wrong.append("nothing was killed")
        runs.append(run)
        with (folder / "runs.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(run)) + "\n")
        print(json.dumps(asdict(run)), flush=True)
        if not run.wrong:
            shutil.rmtree(pipeline.folder)
    print(summary(runs, [START, *dict.fromkeys(role.stage for role in lives if role.kind == "stage")]))
    sys.exit(any(run.wrong for run in runs))


if __name__ == "__main__":
    main()
