"""The survivors of the fail@k filter: problems that the base model never solved (docs/method.md §2)."""

import logging
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from soar_pipeline.artifacts.files import ArtifactError, Artifacts, read_parquet, read_rows
from soar_pipeline.artifacts.schemas import ATTEMPTS, HARD, HARD_AUDIT, PROBLEMS
from soar_pipeline.config import Dataset, DatasetGrading, Settings
from soar_pipeline.grading.audit import disputes
from soar_pipeline.grading.grader import Grader
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage

log = logging.getLogger(__name__)


def filter_hard(
    settings: Settings,
    run: Dataset,
    artifacts: Artifacts,
    problems: Input,
    attempts: Inputs,
    hard: Output,
    audit: Output,
) -> None:
    """Keep a problem iff none of its attempts is right; at least two must be left to split.

    `audit` lists the kept problems whose gold may be at fault. They are kept unless the configuration leaves them out;
    the file lists them in either case.
    """
    pool = read_rows(problems, PROBLEMS)
    drawn: dict[str, int] = {}
    solved: set[str] = set()
    for path in attempts:
        shard = read_parquet(path, ATTEMPTS, columns=["problem_id", "sample", "verdict"])
        counts = shard.group_by("problem_id").aggregate([("sample", "count")]).to_pylist()
        drawn |= {row["problem_id"]: row["sample_count"] for row in counts}
        solved |= set(shard.filter(pc.equal(shard["verdict"], "right"))["problem_id"].to_pylist())
    missing = [row["problem_id"] for row in pool if row["problem_id"] not in drawn]
    if missing:
        raise ArtifactError(f"{problems}: {len(missing)} problems have no attempts, the first is {missing[0]}")
    kept = [
        {**row, "attempts_drawn": drawn[row["problem_id"]]}
        for row in pool
        if settings.filter.keep_all or row["problem_id"] not in solved
    ]
    log.info("%d of %d problems survive the filter", len(kept), len(pool))
    listed = _disputed(settings.grading, kept, attempts)
    if settings.filter.leave_out_disputed:
        disputed = {row["problem_id"] for row in listed}
        kept = [row for row in kept if row["problem_id"] not in disputed]
        log.warning("%d disputed problems are left out (filter.leave_out_disputed)", len(disputed))
    if len(kept) < 2:
        raise ArtifactError(
            f"{problems}: {len(kept)} of {len(pool)} problems survive the filter and two are needed; give a larger or "
            "harder pool, or fewer samples in filter.rounds"
        )
    artifacts.write(hard, kept, HARD)
    artifacts.write(audit, listed, HARD_AUDIT)


def _disputed(grading: DatasetGrading, kept: list[dict[str, Any]], attempts: Inputs) -> list[dict[str, Any]]:
    """The HARD_AUDIT rows of the problems that are kept, without their data set."""
    golds = {row["problem_id"]: row["answer"] for row in kept}
    answers: dict[str, list[str | None]] = {name: [] for name in golds}
    for path in attempts:
        shard = read_parquet(path, ATTEMPTS, columns=["problem_id", "extracted_answer"])
        for row in shard.filter(pc.is_in(shard["problem_id"], pa.array(list(golds), pa.string()))).to_pylist():
            answers[row["problem_id"]].append(row["extracted_answer"])
    with Grader(**dict(grading)) as grader:
        disputed = disputes(golds, answers, grader)
    log.info("a second opinion disputes %d of %d kept problems", len(disputed), len(kept))
    return [{"problem_id": name, "answer": golds[name]} | asdict(dispute) for name, dispute in disputed.items()]


if __name__ == "__main__":
    run_stage(filter_hard)
