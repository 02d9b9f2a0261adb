"""What was run: seconds per rule, counts of verdicts, versions, digests."""

import csv
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from soar_pipeline.artifacts import digest, package_versions, read_parquet
from soar_pipeline.config import Config


@dataclass(frozen=True)
class RuleCost:
    """What the jobs of one rule took; `peak_mb` is of the largest job, None where it was too short to be measured."""

    rule: str
    jobs: int
    seconds: float
    peak_mb: float | None


@dataclass(frozen=True)
class AttemptCounts:
    """Completions by verdict. A timeout could not be scored; it counts as not solved."""

    name: str
    completions: int
    right: int
    no_box: int
    timeouts: int
    truncated: int


def rule_costs(benchmarks: Path) -> list[RuleCost]:
    """From Snakemake's benchmark files `<benchmarks>/<rule>/….tsv`, the longest rule first; none: an empty list."""
    costs = []
    for folder in sorted(path for path in benchmarks.glob("*") if path.is_dir()):
        files = sorted(folder.rglob("*.tsv"))
        lines = [line for file in files for line in _lines(file)]
        if lines:
            peaks = [peak for line in lines if (peak := _number(line.get("max_rss"))) is not None]
            seconds = sum(_number(line["s"]) or 0.0 for line in lines)
            costs.append(RuleCost(folder.name, len(files), seconds, max(peaks, default=None)))
    return sorted(costs, key=lambda cost: -cost.seconds)


def attempt_counts(name: str, files: list[Path], schema: pa.Schema) -> AttemptCounts:
    """Counted over all rows of the files (ATTEMPTS or EVALUATION)."""
    verdicts, truncated = {}, 0
    for file in files:
        rows = read_parquet(file, schema, columns=["verdict", "truncated"])
        for entry in pc.value_counts(rows["verdict"]).to_pylist():
            verdicts[entry["values"]] = verdicts.get(entry["values"], 0) + entry["counts"]
        truncated += pc.sum(rows["truncated"]).as_py() or 0
    return AttemptCounts(
        name=name,
        completions=sum(verdicts.values()),
        right=verdicts.get("right", 0),
        no_box=verdicts.get("no_box", 0),
        timeouts=verdicts.get("timeout", 0),
        truncated=truncated,
    )


def provenance(config: Config, inputs: list[Path]) -> dict[str, Any]:
    """The whole configuration, the versions and the digests of the files behind a report."""
    return {
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "inputs": {path.as_posix(): digest(path) for path in sorted(inputs)},
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **package_versions()}


def _lines(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def _number(text: str | None) -> float | None:
    # Snakemake writes "-" or "NA" where a job ended before it was measured.
    return None if text in (None, "", "-", "NA") else float(text)
