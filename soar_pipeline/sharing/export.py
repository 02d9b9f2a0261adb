"""`soar-pipeline export RUN`: folders for the Hub, and on request their upload (docs/sharing.md)."""

import argparse
import shutil
from pathlib import Path

from soar_pipeline.config import ConfigError
from soar_pipeline.sharing.finished import FinishedRun
from soar_pipeline.sharing.models import export_models
from soar_pipeline.sharing.push import push
from soar_pipeline.sharing.questions import export_questions


def main(arguments: list[str]) -> int:
    """Write the folders, say where they are, and push them only if that is asked for."""
    parser = argparse.ArgumentParser(prog="soar-pipeline export", description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run, such as results/toy")
    parser.add_argument("--output", type=Path, help="new folder for what is exported (default: export/<run>)")
    parser.add_argument("--license", default="other", help="the licence that you give, as the Hub names it")
    parser.add_argument("--without-models", action="store_true", help="questions only: models may be large")
    parser.add_argument("--push", metavar="NAMESPACE", help="upload to this user or organisation of the Hub")
    parser.add_argument("--public", action="store_true", help="with --push: for everybody (default: private)")
    options = parser.parse_args(arguments)
    run = FinishedRun.read(options.run)
    output = options.output or Path("export") / run.name
    if output.exists():
        raise ConfigError(f"{output}: is there already; remove it, or name another with --output")
    try:
        export_questions(run, output / "questions", options.license)
        models = [] if options.without_models else export_models(run, output, options.license)
    except BaseException:
        # Half an export would stand in the way of the next.
        shutil.rmtree(output, ignore_errors=True)
        raise
    for folder, kind in [(output / "questions", "dataset"), *((model, "model") for model in models)]:
        if options.push:
            name = f"{options.push}/{run.name}-{folder.name}"
            print(f"{kind:<8}{folder} -> {push(folder, name, kind, public=options.public)}", flush=True)
        else:
            print(f"{kind:<8}{folder}")
    return 0
