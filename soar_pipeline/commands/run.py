"""`soar-pipeline run`, `report` and `snakefile`: Snakemake with the shipped Snakefile, in the folder where one is."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from soar_pipeline.config import Config, ConfigError, Plan, load
from soar_pipeline.config.paths import PROJECT, find_config
from soar_pipeline.config.stages import STAGES
from soar_pipeline.fork_server import SOCKET, fork_server

DEFAULT = "config/config.yaml"
# What stands between finished trainings and the page.
REPORTING_RULES = ("all", "estimate_passk", "measure_diversity", "make_tables", "plot_figure", "write_report")


def run(arguments: list[str]) -> int:
    """Make a run, and say what came out; words that are not options of this command are Snakemake's."""
    parser = _parser("run", "Make a run: everything that a configuration asks for, or the files that are named.")
    parser.add_argument("--cores", "-c", default="all", help="CPU cores at most (default: all)")
    options, others = parser.parse_known_args(arguments)
    # A cluster's profile says how many jobs there are at once; cores are those of a job there.
    cores = [] if "--profile" in others else ["--cores", options.cores]
    with fork_server() if _forks(options.configfile, others) else nullcontext({}) as environment:
        return _made(options.configfile, [*others, *cores], environment)


def report(arguments: list[str]) -> int:
    """Make the tables, figures and page of a finished run again; ConfigError if it is not finished."""
    parser = _parser("report", "Make tables, figures and page of a finished run again; nothing is trained.")
    options, others = parser.parse_known_args(arguments)
    config = load(find_config(options.configfile))
    missing = [path for path in _evaluations(config) if not path.exists()]
    if missing:
        raise ConfigError(
            f"{options.configfile}: {len(missing)} of {len(Plan(config).evaluations)} evaluations are not there, such "
            f"as {missing[0]}; `soar-pipeline run --configfile {options.configfile}` makes them"
        )
    allowed = ["--allowed-rules", *REPORTING_RULES, "--forcerun", "write_report"]
    return _made(options.configfile, [*others, *allowed, "--cores", "1"])


def snakefile(arguments: list[str]) -> int:
    """Print where the shipped Snakefile lies."""
    argparse.ArgumentParser(prog="soar-pipeline snakefile", description=snakefile.__doc__).parse_args(arguments)
    print(PROJECT / "Snakefile")
    return 0


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"soar-pipeline {command}",
        usage="%(prog)s [--configfile FILE] [ARGUMENTS OF SNAKEMAKE …]",
        description=description,
        # Snakemake's `--config` is another option than `--configfile`.
        allow_abbrev=False,
    )
    text = f"a file of yours, or a shipped one such as config/smoke.yaml (default: {DEFAULT}, the toy task)"
    parser.add_argument("--configfile", default=DEFAULT, metavar="FILE", help=text)
    return parser


def _forks(configfile: str, words: list[str]) -> bool:
    """Whether a fork server is of use: jobs run here, and have no GPU, which does not survive a fork."""
    elsewhere = {"--profile", "--executor", "-e", "--dry-run", "-n"} & set(words)
    if sys.platform != "linux" or elsewhere or SOCKET in os.environ:
        return False
    config = load(find_config(configfile))
    return not any(config.resources_of(rule).gpu for rule in STAGES)


def _evaluations(config: Config) -> list[Path]:
    folder = Path(config.results, config.run)
    return [
        folder / one.dataset / "evaluation" / one.arm / f"t{one.teacher_seed}-s{one.student_seed}.parquet"
        for one in Plan(config).evaluations
    ]


def _made(configfile: str, words: list[str], environment: dict[str, str] | None = None) -> int:
    """Run Snakemake, then print the finding and where the report is; its exit status.

    environment: what is added to the one of this process.
    """
    path = find_config(configfile)
    config = load(path)
    # Files to be made stand before `--configfile`, which would take them for further configurations.
    command = [sys.executable, "-m", "snakemake", *words, "--snakefile", str(PROJECT / "Snakefile")]
    status = _call([*command, "--configfile", str(path)], os.environ | (environment or {}))
    folder = Path(config.results, config.run)
    # `--config` may have named another run.
    elsewhere = {"--config", "-C", "--dry-run", "-n", "--directory", "-d"} & set(words)
    if status == 0 and not elsewhere and (folder / "finding.txt").exists():
        print(f"\n{(folder / 'finding.txt').read_text(encoding='utf-8')}report: {folder / 'report.html'}")
    return status


def _call(command: list[str], environment: Mapping[str, str]) -> int:
    """Exit status of a command that is told to stop when this process is, and waited for until it has."""
    with subprocess.Popen(command, env=environment) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The terminal has interrupted Snakemake, too, which ends its jobs first.
                continue
