"""`soar-pipeline COMMAND …`: finds the command, and turns errors that speak to the user into one line."""

import argparse
import os
import sys
from importlib import import_module

from soar_pipeline import __version__
from soar_pipeline.config import ConfigError

# Where each is defined, and what it is for. A command takes the words that follow it and returns an exit status.
COMMANDS = {
    "run": ("commands.run:run", "make a run: everything that a configuration asks for, or the files that are named"),
    "watch": ("reporting.watch:main", "how far a run is, while it goes on"),
    "report": ("commands.run:report", "make tables, figures and page of a finished run again; trains nothing"),
    "cost": ("cost.__main__:main", "hours, tokens and disk of a configuration, before it runs"),
    "doctor": ("commands.doctor:main", "what this machine can run, and what is missing"),
    "export": ("sharing.export:main", "a run's questions and models as folders for the Hub"),
    "snakefile": ("commands.run:snakefile", 'where the Snakefile is: snakemake -s "$(soar-pipeline snakefile)"'),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit status of a command line: 1, after one line on standard error, if what it was given cannot be used."""
    listed = "\n".join(f"  {name:<11}{purpose}" for name, (_, purpose) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="soar-pipeline",
        usage="%(prog)s COMMAND …",
        description=f"commands (each has --help):\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    module, _, function = COMMANDS[options.command][0].partition(":")
    try:
        status = getattr(import_module(f"soar_pipeline.{module}"), function)(options.rest)
        sys.stdout.flush()
        return status
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads the output, such as `head`, has read enough; nor is there anybody for what Python flushes last.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
