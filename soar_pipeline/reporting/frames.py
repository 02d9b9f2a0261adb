"""Artifacts as frames, and frames as rows to write sentences from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from soar_pipeline.artifacts.files import read_parquet
from soar_pipeline.config import SoarRun

Row = Any
"""A named tuple with the columns of a frame."""


def read_frame(paths: Iterable[Path], schema: pa.Schema, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of all files, whose columns say which run each row belongs to; without a file, no rows."""
    wanted = pa.schema([schema.field(name) for name in columns or schema.names])
    tables = [read_parquet(path, schema, wanted.names).cast(wanted) for path in paths]
    return pa.concat_tables([wanted.empty_table(), *tables]).to_pandas()


def by_soar_run(frame: pd.DataFrame) -> list[tuple[SoarRun, pd.DataFrame]]:
    """The rows of each SOAR run, sorted by data set, objective and seed."""
    groups = frame.groupby(["dataset", "objective", "teacher_seed"])
    return [(SoarRun(dataset, objective, int(seed)), group) for (dataset, objective, seed), group in groups]


def of_objective(frame: pd.DataFrame, dataset: str, objective: str) -> pd.DataFrame:
    """The rows of one objective's SOAR runs on a data set."""
    return frame[(frame["dataset"] == dataset) & (frame["objective"] == objective)]


def rows(frame: pd.DataFrame) -> list[Row]:
    """One named tuple per row; what is missing is None."""
    return list(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name="Row"))
