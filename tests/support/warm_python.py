"""The fork server of the tests: besides stages it runs any module or file as Python does, without waiting for imports.

Snakemake and the benchmarks start so.
"""

import os
import runpy
import sys
import traceback
from importlib import import_module
from pathlib import Path

from soar_pipeline.fork_server import SOCKET, run_stage_of, serve


def run_program(name: str) -> None:
    """Run a stage's module, another module, or a file."""
    if name.startswith("soar_pipeline.stages."):
        return run_stage_of(name)
    if name == "snakemake" and {"--dry-run", "-n"} & set(sys.argv):
        # Its jobs' commands are shown as they are without a server.
        del os.environ[SOCKET]
    try:
        if name.endswith(".py"):
            sys.path[0] = str(Path(name).parent.absolute())
            runpy.run_path(name, run_name="__main__")
        else:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        # As the interpreter says what is no number.
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            raise SystemExit(1) from None
        raise
    except BaseException:
        traceback.print_exc()
        raise SystemExit(1) from None


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import_module("snakemake.cli")
    serve(int(sys.argv[2]), run_program)
