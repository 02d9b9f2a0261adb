"""What a run folder says, so that two runs can be compared file by file.

Left out, because two undisturbed runs differ there too: columns and files that measure time (`seconds` of Parquet,
`seconds` of tables/runs.csv, benchmarks/), what is made from these times (report.html, which shows them), TensorBoard's
events (state/*/tracking, with a clock in each) and the lock files of finished trainings. And what is not the run's:
Snakemake's own mark in a folder, which that of a stage does not get that outlived its Snakemake.
"""

import csv
import hashlib
import io
import json
from pathlib import Path

from soar_pipeline.artifacts import digest, read_provenance

LEFT_OUT = ("lock", ".snakemake_timestamp")


def contents(results: Path) -> dict[str, str]:
    """What each file of a run folder says, as a digest."""
    found = {}
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results)
        if name.parts[0] != "benchmarks" and "tracking" not in name.parts and name.name not in LEFT_OUT:
            found[str(name)] = _content(path, name)
    return found


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """One line for each file that is missing, should not be there, or says something else."""
    missing = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    stray = [f"stray: {name}" for name in sorted(found.keys() - expected.keys())]
    other = [f"differs: {name}" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]]
    return missing + stray + other


def _content(path: Path, name: Path) -> str:
    if path.suffix == ".parquet":
        # With how it was made: inputs are recorded by digests that leave times out too.
        return _sha256(digest(path) + json.dumps(read_provenance(path), sort_keys=True))
    if name.name == "report.html":
        return "differs in the times that it shows"
    if name.as_posix() == "tables/runs.csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return _sha256(json.dumps([{key: row[key] for key in row if key != "seconds"} for row in rows]))
    if name.name == "provenance.json":
        record = json.loads(path.read_text(encoding="utf-8"))
        # What trains the students changes no result; one table holds times.
        del record["config"]["resources"]
        record["inputs"] = {key: value for key, value in record["inputs"].items() if not key.endswith("runs.csv")}
        return _sha256(json.dumps(record, sort_keys=True))
    return digest(path)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
