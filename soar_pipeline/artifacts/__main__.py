"""What to do with files of a run that are not as its jobs wrote them (docs/reruns.md).

python -m soar_pipeline.artifacts accept results/toy/shuffles/questions/soar_pq/t1.parquet
python -m soar_pipeline.artifacts leftovers --configfile config/config.yaml [--remove]
"""

import argparse
import sys
from pathlib import Path

from soar_pipeline.artifacts.edits import accept
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.artifacts.leftovers import ASIDE, LEFT, remove_leftovers, stray_files
from soar_pipeline.config import ConfigError, Plan, load


def main() -> None:
    """Parse the command line; exit status 1 with one line if it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m soar_pipeline.artifacts", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    accepting = commands.add_parser("accept", help="take edited files as they are: what was made from them is due")
    accepting.add_argument("files", type=Path, nargs="+", metavar="FILE")
    leaving = commands.add_parser("leftovers", help="list files of jobs that the configuration does not have")
    leaving.add_argument("--configfile", type=Path, required=True)
    leaving.add_argument("--remove", action="store_true", help="and remove them")
    options = parser.parse_args()
    try:
        if options.command == "accept":
            for file in options.files:
                print(accept(file))
        else:
            _leftovers(options.configfile, options.remove)
    except (ArtifactError, ConfigError) as error:
        sys.exit(f"error: {error}")


def _leftovers(file: Path, remove: bool) -> None:
    config = load(file)
    run, plan = Path(config.results, config.run), Plan(config)
    left = [stray for stray in stray_files(run, plan) if stray.what in (LEFT, ASIDE)]
    for path, what in left:
        print(f"{path}: {what}")
    if not left:
        print(f"{run}: nothing is left over")
    elif remove:
        remove_leftovers(run, plan)
        print(f"removed {len(left)} files and folders")
    else:
        print(f"{len(left)} files and folders; --remove removes them")


if __name__ == "__main__":
    main()
