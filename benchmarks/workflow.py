"""What the workflow itself costs, beside its stages.

    python benchmarks/workflow.py

- A configuration (`--configfile`, the smallest by default) is run on one core in a folder of its own: wall seconds, the
  seconds of its jobs as Snakemake measured them, and what is left for Snakemake, per job.
- The same command again, with nothing to do; and a dry run of config/paper.yaml, with an empty file for each data set.
- Starting a stage: seconds until it knows its options, against an interpreter that does nothing. What a stage imports
  is most of it.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soar_pipeline.config import load

PROJECT = Path(__file__).resolve().parent.parent


def seconds_of(folder: Path, *command: str | Path) -> float:
    """Wall seconds of a command; the benchmark ends where it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - started


def snakemake_seconds(folder: Path, *arguments: str | Path) -> float:
    return seconds_of(folder, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--cores", "1", *arguments)


def whole_run(folder: Path, configfile: Path) -> None:
    config = load(configfile)
    seconds = snakemake_seconds(folder, "--configfile", configfile)
    of_rule: dict[str, list[float]] = defaultdict(list)
    for path in (folder / config.results / config.run / "benchmarks").rglob("*.tsv"):
        with path.open() as lines:
            of_rule[path.parent.name] += [float(row["s"]) for row in csv.DictReader(lines, delimiter="\t")]
    jobs, busy = sum(map(len, of_rule.values())), sum(map(sum, of_rule.values()))
    print("rule                          jobs   seconds")
    for rule, values in sorted(of_rule.items(), key=lambda item: -sum(item[1])):
        print(f"{rule:28}  {len(values):4d}  {sum(values):8.1f}")
    print(f"{'all jobs':28}  {jobs:4d}  {busy:8.1f}")
    print(f"whole run                           {seconds:8.1f}")
    print(f"Snakemake, per job                  {(seconds - busy) / jobs:8.2f}")
    print(
        f"again, nothing to do                {snakemake_seconds(folder, '--configfile', configfile):8.1f}", flush=True
    )


def dry_run(folder: Path, configfile: Path) -> None:
    config = load(configfile)
    for pool in (config.pools | config.datasets).values():
        if pool.path:
            file = folder / pool.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    seconds = snakemake_seconds(folder, "--dry-run", "--quiet", "--configfile", configfile)
    print(f"dry run of {configfile.name:24} {seconds:8.1f}", flush=True)


def starts(rounds: int) -> None:
    stages = sorted(path.stem for path in (PROJECT / "soar_pipeline" / "stages").glob("[a-z]*.py"))
    commands = {"(an empty program)": ["-c", ""]}
    commands |= {stage: ["-m", f"soar_pipeline.stages.{stage}", "--help"] for stage in stages if stage != "command"}
    measured = {
        name: median(seconds_of(PROJECT, *command) for _ in range(rounds)) for name, command in commands.items()
    }
    print("start of a stage                     seconds")
    for name, seconds in sorted(measured.items(), key=lambda item: item[1]):
        print(f"{name:36} {seconds:7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "smoke.yaml")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each stage (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole_run(Path(folder), options.configfile.resolve())
        dry_run(Path(folder), PROJECT / "config" / "paper.yaml")
    starts(options.rounds)


if __name__ == "__main__":
    main()
