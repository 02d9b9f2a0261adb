"""What was run: seconds per rule, counts of verdicts, versions, digests."""

import platform
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from soar_pipeline.artifacts.provenance import digest, package_versions
from soar_pipeline.artifacts.schemas import VERDICTS
from soar_pipeline.config import Config
from soar_pipeline.reporting.frames import read_frame


def rule_costs(benchmarks: Path) -> pd.DataFrame:
    """What the jobs of each rule took, the longest rule first: `rule`, `jobs`, `seconds` and `peak_mb`.

    peak_mb is of the largest job, with the processes that it started.
    """
    jobs = [
        pd.read_csv(file, sep="\t", usecols=["s", "max_rss"]).assign(rule=file.parent.name)
        for file in sorted(benchmarks.glob("*/*.tsv"))
    ]
    measured = pd.concat([pd.DataFrame(columns=["rule", "s", "max_rss"], dtype=float), *jobs])
    costs = measured.groupby("rule").agg(jobs=("s", "size"), seconds=("s", "sum"), peak_mb=("max_rss", "max"))
    return costs.reset_index().sort_values("seconds", ascending=False, kind="stable")


def attempt_counts(files: list[Path], schema: pa.Schema) -> pd.DataFrame:
    """Completions per dataset over all rows of the files (ATTEMPTS or EVALUATION): a column per verdict, `truncated`.

    A timeout could not be scored; it counts as not solved.
    """
    columns = ["dataset", "verdict", "truncated"]
    # File by file: the attempts of a large run do not fit in memory.
    parts = [read_frame(some, schema, columns).value_counts() for some in ([], *([file] for file in files))]
    counts = pd.concat(parts)
    verdicts = counts.groupby(["dataset", "verdict"]).sum().unstack(fill_value=0)
    verdicts = verdicts.reindex(columns=list(VERDICTS), fill_value=0)
    truncated = counts[counts.index.get_level_values("truncated")].groupby("dataset").sum()
    return verdicts.assign(truncated=truncated.reindex(verdicts.index, fill_value=0))


def provenance(config: Config, inputs: list[Path]) -> dict[str, Any]:
    """The whole configuration, the versions and the digests of the files behind a report."""
    return {
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "inputs": {path.as_posix(): digest(path) for path in sorted(inputs)},
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **package_versions()}
