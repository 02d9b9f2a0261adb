"""Snakemake as a user runs it, in a folder of its own."""

import re
import subprocess
from pathlib import Path
from typing import Any

import forks
import yaml

ROOT = Path(__file__).parent.parent.parent
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))


def snakemake(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the project's Snakefile with `folder` as working directory; nothing is printed, nothing is raised."""
    # As from a shell, not as from a project whose packages pytest has put on the path.
    environment = {name: value for name, value in forks.environment().items() if name != "PYTHONPATH"}
    words = ["--snakefile", ROOT / "Snakefile", "--cores", "1", *arguments]
    return forks.run_python("-m", "snakemake", *words, cwd=folder, env=environment)


def planned_jobs(folder: Path, *arguments: str | Path) -> dict[str, int]:
    """Jobs per rule that a dry run announces; none where there is nothing to do."""
    done = snakemake(folder, "--dry-run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return job_counts(done.stdout + done.stderr)


def job_counts(output: str) -> dict[str, int]:
    """Jobs per rule in what a dry run printed."""
    if "Job stats:" not in output:
        assert "Nothing to be done" in output
        return {}
    stats = output.split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}


def changed_config(folder: Path, shipped: str, changes: dict[str, Any]) -> Path:
    """A copy of a shipped configuration with some keys (`section.key`) changed."""
    values = yaml.safe_load((ROOT / "config" / shipped).read_text(encoding="utf-8"))
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    path = folder / f"changed-{'-'.join(changes)[:100]}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path
