"""SOAR: a language model teaches itself at the edge of learnability (arXiv 2601.18778)."""

import os

__version__ = "0.1.0"

# One thread per process unless told otherwise: on two cores, two contending thread pools were seen 40 times
# slower than one thread each. Set before numpy or torch are imported; Snakemake sets them to a rule's threads.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
