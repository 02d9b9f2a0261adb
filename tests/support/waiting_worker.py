"""A process that trains students, whose worker never gets ready; tests/soar/test_soar.py kills it.

… waiting_worker.py MARKER
"""

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from student_population import never_ready

from soar_pipeline.soar.student_processes import WorkerProcesses

if __name__ == "__main__":
    pool = WorkerProcesses(partial(never_ready, Path(sys.argv[1])), workers=1)
    pool.run([SimpleNamespace(dataset_index=0, repeat=0)], print)
