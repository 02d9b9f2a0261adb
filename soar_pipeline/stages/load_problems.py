"""The pool of a data set as a Parquet file (docs/method.md §2)."""

import logging
from typing import Any

from soar_pipeline.artifacts.files import ArtifactError, Artifacts
from soar_pipeline.artifacts.schemas import PROBLEMS
from soar_pipeline.config import DatasetGrading, Pool, Settings
from soar_pipeline.grading.grader import Grader
from soar_pipeline.problems import sources
from soar_pipeline.problems.copies import later_copies
from soar_pipeline.problems.rows import Pool as Problems
from soar_pipeline.problems.rows import Problem
from soar_pipeline.stages.command import Output, Sources, run_stage

log = logging.getLogger(__name__)

UNVERIFIABLE = "no attempt could meet the answer"
TEXT_ONLY = "the answer is not an expression and is compared as text"
COPIES = "the question is that of a problem before it, under another id"
# Ids named in the log; all of them stand in the provenance.
NAMED = 20


def load_problems(settings: Settings, run: Pool, artifacts: Artifacts, source: Sources, problems: Output) -> None:
    """Write the pool without the problems whose answer no attempt could meet; ids begin with the pool's name.

    Rows that were left out, and remarks on problems that were kept, are logged and stand by id in the provenance.
    `source` is the pool's file, if it has one.
    """
    pool = _gradable(sources.load_problems(run.pool, settings.pool), settings.grading)
    for reason, ids in pool.left_out.items():
        log.warning("left out %d rows, since %s: %s", len(ids), reason, _listed(ids))
    for remark, ids in pool.remarks.items():
        log.info("of %d problems, %s: %s", len(ids), remark, _listed(ids))
    if not pool.problems:
        raise ArtifactError(
            f"{sources.source_of(settings.pool)}: no answer of a problem could be met by an attempt; give answers as "
            "LaTeX or numbers"
        )
    log.info("%d problems in pool %s", len(pool.problems), run.pool)
    rows = [_as_row(problem, run.pool) for problem in pool.problems]
    artifacts.write(problems, rows, PROBLEMS, report={"left_out": pool.left_out, "remarks": pool.remarks})


def _as_row(problem: Problem, pool: str) -> dict[str, Any]:
    """A PROBLEMS row; with its pool's name an id is unique in the whole run, though two sources number alike."""
    columns = ("question", "answer", "subject", "level", "solution")
    return {"problem_id": f"{pool}/{problem.problem_id}"} | {column: getattr(problem, column) for column in columns}


def _gradable(pool: Problems, grading: DatasetGrading) -> Problems:
    """The pool without the problems whose answer no attempt could meet, and with remarks on the others."""
    golds = [problem.answer for problem in pool.problems]
    with Grader(**dict(grading)) as grader:
        verified = grader.can_be_met(golds)
        parsed = grader.parses(golds)
    checked = list(zip(pool.problems, verified, parsed, strict=True))
    unverifiable = [problem.problem_id for problem, verifies, _ in checked if not verifies]
    text_only = [problem.problem_id for problem, verifies, parses in checked if verifies and not parses]
    kept = [problem for problem, verifies, _ in checked if verifies]
    copies = later_copies((problem.problem_id, problem.question) for problem in kept)
    remarks = {TEXT_ONLY: text_only, COPIES: copies}
    return Problems(
        kept,
        pool.left_out | ({UNVERIFIABLE: unverifiable} if unverifiable else {}),
        pool.remarks | {remark: ids for remark, ids in remarks.items() if ids},
    )


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:NAMED]) + (f", and {len(ids) - NAMED} more" if len(ids) > NAMED else "")


if __name__ == "__main__":
    run_stage(load_problems)
