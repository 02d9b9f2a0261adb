"""The survivors of the fail@k filter: problems that the base model never solved (spec section 2)."""

import logging
from pathlib import Path

import pyarrow.compute as pc

from soar_pipeline.artifacts import (
    ATTEMPTS,
    HARD,
    PROBLEMS,
    ArtifactError,
    Provenance,
    read_parquet,
    read_rows,
    table,
    write_parquet,
)
from soar_pipeline.slices import HardSlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def filter_hard(config: HardSlice, problems: Path, attempts: list[Path], hard: Path) -> None:
    """Keep a problem iff none of its attempts is right; at least two must be left to split."""
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
        if config.keep_all or row["problem_id"] not in solved
    ]
    log.info("%d of %d problems survive the filter", len(kept), len(pool))
    if len(kept) < 2:
        raise ArtifactError(
            f"{problems}: {len(kept)} of {len(pool)} problems survive the filter and two are needed; give a larger or "
            "harder pool, or fewer samples in filter.rounds"
        )
    provenance = Provenance("filter_hard", config.model_dump(mode="json"), inputs=(problems, *attempts))
    write_parquet(hard, table(kept, HARD), provenance)


if __name__ == "__main__":
    run_stage(filter_hard)
