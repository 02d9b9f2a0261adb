"""The pool of a data set as a Parquet file (spec section 2)."""

import logging
from pathlib import Path

from soar_pipeline.artifacts import PROBLEMS, ArtifactError, Provenance, table, write_parquet
from soar_pipeline.config import GradingConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.problems import sources
from soar_pipeline.problems.rows import Pool
from soar_pipeline.slices import ProblemsSlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)

UNVERIFIABLE = "the answer does not verify against itself"
TEXT_ONLY = "the answer is no expression to Math-Verify and compared as text"
# Ids named in the log; all of them stand in the provenance.
NAMED = 20


def load_problems(config: ProblemsSlice, problems: Path) -> None:
    """Write the pool without the problems whose answer does not verify against itself: no attempt could be right.

    Rows that were left out, and remarks on problems that were kept, are logged and stand by id in the provenance.
    """
    pool = _gradable(sources.load_problems(config.name, config.dataset), config.grading)
    for reason, ids in pool.left_out.items():
        log.warning("left out %d rows, since %s: %s", len(ids), reason, _listed(ids))
    for remark, ids in pool.remarks.items():
        log.info("of %d problems, %s: %s", len(ids), remark, _listed(ids))
    if not pool.problems:
        raise ArtifactError(
            f"{sources.source_of(config.dataset)}: Math-Verify can verify the answer of no problem; give answers as "
            "LaTeX or numbers"
        )
    log.info("%d problems in pool %s", len(pool.problems), config.name)
    columns = ("problem_id", "question", "answer", "subject", "level")
    rows = [
        {"dataset": config.name} | {column: getattr(problem, column) for column in columns} for problem in pool.problems
    ]
    provenance = Provenance(
        "load_problems",
        config.model_dump(mode="json"),
        inputs=(Path(config.dataset.path),) if config.dataset.path else (),
        report={"left_out": pool.left_out, "remarks": pool.remarks},
    )
    write_parquet(problems, table(rows, PROBLEMS), provenance)


def _gradable(pool: Pool, grading: GradingConfig) -> Pool:
    """The pool without the problems whose answer does not verify against itself."""
    golds = [problem.answer for problem in pool.problems]
    with Grader(grading) as grader:
        verified = grader.verify_themselves(golds)
        parsed = grader.parses(golds)
    found = list(zip(pool.problems, verified, parsed, strict=True))
    unverifiable = [problem.problem_id for problem, verifies, _ in found if not verifies]
    text_only = [problem.problem_id for problem, verifies, parses in found if verifies and not parses]
    return Pool(
        [problem for problem, verifies, _ in found if verifies],
        pool.left_out | ({UNVERIFIABLE: unverifiable} if unverifiable else {}),
        pool.remarks | ({TEXT_ONLY: text_only} if text_only else {}),
    )


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:NAMED]) + (f", and {len(ids) - NAMED} more" if len(ids) > NAMED else "")


if __name__ == "__main__":
    run_stage(load_problems)
