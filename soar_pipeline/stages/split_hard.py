"""The survivors split at random into train and test, half and half (spec section 2)."""

import random
from pathlib import Path

from soar_pipeline.artifacts import HARD, Provenance, read_rows, table, write_parquet
from soar_pipeline.seeds import derive
from soar_pipeline.slices import SplitSlice
from soar_pipeline.stages.command import run_stage


def split_hard(config: SplitSlice, hard: Path, train: Path, test: Path) -> None:
    """Train gets the smaller half of an odd number; the split depends on the ids and the seed only."""
    rows = sorted(read_rows(hard, HARD), key=lambda row: row["problem_id"])
    random.Random(derive(config.seed, "split")).shuffle(rows)
    half = len(rows) // 2
    provenance = Provenance("split_hard", config.model_dump(mode="json"), config.seed, (hard,))
    write_parquet(train, table(rows[:half], HARD), provenance)
    write_parquet(test, table(rows[half:], HARD), provenance)


if __name__ == "__main__":
    run_stage(split_hard)
