"""Checks a configuration and starts nothing: `python -m soar_pipeline.config config/paper.yaml`.

Prints the folder of the run's results, or one line that says what is wrong. Snakemake reads the file before this
project can, and of broken YAML it names neither file nor line.
"""

import argparse
import sys
from pathlib import Path

from soar_pipeline.config import ConfigError, load
from soar_pipeline.config.own_functions import check_import, own_functions
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.cost.model_size import check_judge

PROJECT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the YAML file")
    file = parser.parse_args().file
    try:
        config = resolve_paths(load(file), str(file), PROJECT, beside=file.parent)
        try:
            for key, own in own_functions(config):
                check_import(own, key)
            check_judge(config, PROJECT)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
    except ConfigError as error:
        sys.exit(f"error: {error}")
    print(Path(config.results, config.run))


if __name__ == "__main__":
    main()
