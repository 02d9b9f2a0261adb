"""The pool of a data set as a Parquet file (spec section 2)."""

import logging
from pathlib import Path

from soar_pipeline.artifacts import PROBLEMS, ArtifactError, Provenance, table, write_parquet
from soar_pipeline.grading.grader import Grader
from soar_pipeline.problems import sources
from soar_pipeline.slices import ProblemsSlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def load_problems(config: ProblemsSlice, problems: Path) -> None:
    """Write the pool without the problems whose answer Math-Verify cannot parse: no attempt could be right."""
    rows = sources.load_problems(config.name, config.dataset)
    with Grader(config.grading) as grader:
        gradable = grader.parses([row["answer"] for row in rows])
    kept = [row for row, parses in zip(rows, gradable, strict=True) if parses]
    if dropped := [row["problem_id"] for row, parses in zip(rows, gradable, strict=True) if not parses]:
        log.warning(
            "skipped %d of %d problems whose answer Math-Verify cannot parse: %s",
            len(dropped),
            len(rows),
            ", ".join(dropped),
        )
    if not kept:
        raise ArtifactError(
            f"{config.dataset.path}: Math-Verify can parse the answer of no problem; give answers as LaTeX or numbers"
        )
    log.info("%d problems in pool %s", len(kept), config.name)
    inputs = (Path(config.dataset.path),) if config.dataset.path else ()
    provenance = Provenance("load_problems", config.model_dump(mode="json"), inputs=inputs)
    write_parquet(problems, table(kept, PROBLEMS), provenance)


if __name__ == "__main__":
    run_stage(load_problems)
