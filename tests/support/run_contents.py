"""What a run folder says, so that two runs can be compared file by file.

Left out, because two undisturbed runs differ there too: columns and files that measure time (`seconds` of Parquet and
of tables/runs.csv, benchmarks/), what is made from these times (report.html, which shows them), TensorBoard's events
(state/*/tracking, with a clock in each), sizes and times of files (settings/*/*.seen.json) and the lock files of
finished trainings. Also what trains the students, which changes no result (settings that decide speed, command lines
that name them). And what is not the run's: Snakemake's own mark in a folder, which that of a stage does not get that
outlived its Snakemake.
"""

import hashlib
import json
from pathlib import Path

from soar_pipeline.artifacts.provenance import digest, read_provenance

LEFT_OUT = ("lock", ".snakemake_timestamp")
LEFT_OUT_SETTINGS = (".seen.json", ".speed.json", ".options")


def contents(results: Path) -> dict[str, str]:
    """What each file of a run folder says, as a digest."""
    found = {}
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results)
        if name.parts[0] == "benchmarks" or "tracking" in name.parts or name.name in LEFT_OUT:
            continue
        if not (name.parts[0] == "settings" and name.name.endswith(LEFT_OUT_SETTINGS)):
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
    if name.name == "provenance.json":
        record = json.loads(path.read_text(encoding="utf-8"))
        del record["config"]["resources"]
        return _sha256(json.dumps(record, sort_keys=True))
    if name.name.endswith(".made.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        # Compared above, without what differs.
        for output in ("report.html", "provenance.json"):
            record["outputs"].pop(output, None)
        return _sha256(json.dumps(record, sort_keys=True))
    return digest(path)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
