"""`soar-pipeline cost`, or `python -m soar_pipeline.cost`: what a configuration costs before it runs (docs/cost.md)."""

import argparse
import json
import sys
from pathlib import Path

from pydantic import ValidationError

from soar_pipeline.config import ConfigError, load, readable
from soar_pipeline.config.paths import PROJECT, find_config
from soar_pipeline.cost.assumptions import Options
from soar_pipeline.cost.estimate import estimate
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.speed import Measured, read
from soar_pipeline.cost.table import as_text, as_values


def main(arguments: list[str] | None = None) -> int:
    """Print the estimate; 1, with one line on standard error, if the configuration or an option is wrong."""
    options = vars(parser(__doc__, "soar-pipeline cost").parse_args(arguments))
    as_json = options.pop("json")
    try:
        machine = machine_of(**options)
        rows, total = estimate(machine)
    except ValueError as error:  # ConfigError, or ArtifactError of a problem file
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(as_values(machine, rows, total), indent=2) if as_json else as_text(machine, rows, total))
    return 0


def machine_of(configfile: Path, throughput: list[Path], **given: str) -> Machine:
    """The machine that the options describe, with its configuration; ConfigError names what is wrong."""
    try:
        options = Options(**given)
    except ValidationError as error:
        raise ConfigError(f"options: {readable(error)}") from None
    return Machine(load(find_config(configfile)), PROJECT, options, tuple(read(path, Measured) for path in throughput))


def parser(description: str, program: str | None = None) -> argparse.ArgumentParser:
    """Reads the options of the command; what is not given is left out."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=program, description=description, formatter_class=formatter)
    parser.add_argument("--configfile", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--throughput", type=Path, action="append", default=[], help="measured; once per model")
    parser.add_argument("--json", action="store_true", help="plain values instead of a table")
    for name, field in Options.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, default=argparse.SUPPRESS, metavar="VALUE", help=field.description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
