"""`soar-pipeline doctor`: what this machine can run, and what is missing."""

import argparse
import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tabulate import tabulate

from soar_pipeline import __version__
from soar_pipeline.config import Config, ConfigError, load
from soar_pipeline.config.packages import missing_packages
from soar_pipeline.config.paths import PROJECT, find, find_config
from soar_pipeline.config.stages import STAGES
from soar_pipeline.cost.assumptions import Options
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.needs import Needs, needs

GIGA = 1e9


@dataclass(frozen=True)
class Here:
    """This machine: bytes of memory, of each GPU that torch sees, and free on the disk of a folder."""

    cores: int
    memory: float
    gpus: tuple[tuple[str, float], ...]
    free: float


def main(arguments: list[str]) -> int:
    """Print this machine, then a line for each shipped configuration, or for those that are named."""
    parser = argparse.ArgumentParser(prog="soar-pipeline doctor", description=__doc__)
    parser.add_argument("configfile", nargs="*", help="configurations to look at (default: those that are shipped)")
    names = parser.parse_args(arguments).configfile
    shipped = [f"config/{path.name}" for path in sorted((PROJECT / "config").glob("*.yaml"))]
    configs = {name: load(find_config(name)) for name in names or shipped}
    here = this_machine(Path.cwd())
    print(f"{_machine(here)}\n{_gpus(here)}\n{_programs()}\n")
    print(tabulate([_row(name, config, here) for name, config in configs.items()], HEADER, tablefmt="plain"))
    print(NOTE)
    return 0


HEADER = ("configuration", "asks for", "disk, and while it runs", "here")
NOTE = "\nWithout measurement: memory of the largest training (docs/memory.md), disk and hours by `soar-pipeline cost`."


def this_machine(folder: Path) -> Here:
    """What there is; `folder` is where results would go."""
    import torch

    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Here(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=min(memory, _container_limit()),
        gpus=tuple((device.name, device.total_memory) for device in devices),
        free=shutil.disk_usage(folder).free,
    )


def _container_limit() -> float:
    """Bytes that a container (cgroup 2) may use; infinite if nothing limits it."""
    try:
        return float(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    # No such file, or the word `max`.
    except (OSError, ValueError):
        return float("inf")


def _machine(here: Here) -> str:
    return (
        f"machine   {here.cores} CPU cores, {_bytes(here.memory)} of memory, {_bytes(here.free)} free on this disk; "
        f"Python {platform.python_version()}, soar-pipeline {__version__}"
    )


def _gpus(here: Here) -> str:
    torch = metadata.version("torch")
    if here.gpus:
        names = ", ".join(f"{name} ({_bytes(size)})" for name, size in here.gpus)
        return f"GPU       {names}; torch {torch}"
    driver = shutil.which("nvidia-smi")
    hint = f"; {driver} is there, so perhaps there is one: install a build of torch for it" if driver else ""
    return f"GPU       none that torch {torch} can use{hint}"


def _programs() -> str:
    """What is optional, and whether it is here."""
    pages = {"vllm": "docs/vllm.md", "ray": "docs/cluster.md"}
    packages = [f"{name} {_version(name) or f'not installed ({page})'}" for name, page in pages.items()]
    slurm = "sbatch found" if shutil.which("sbatch") else "no sbatch"
    plugin = "plugin installed" if _version("snakemake-executor-plugin-slurm") else "no plugin (extra `slurm`)"
    return f"optional  {', '.join(packages)}, Slurm: {slurm}, {plugin}"


def _version(package: str) -> str | None:
    # vLLM's build for CPUs has another name.
    for name in (package, f"{package}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _row(name: str, config: Config, here: Here) -> tuple[str, str, str, str]:
    try:
        asked = needs(Machine(config, PROJECT, Options(), count=False))
    # The model or the data are unknown here.
    except ConfigError as error:
        return name, "?", "?", f"no: {error}"
    where = f"{asked.gpus} GPU{'s' * (asked.gpus > 1)} of" if asked.gpus else "memory"
    lacking = _lacking(config, asked, here)
    verdict = f"no: {', '.join(lacking)}" if lacking else "yes"
    disk = f"{_bytes(asked.kept)} + {_bytes(asked.scratch)}"
    return name, f"{where} {_bytes(asked.memory)}", disk, verdict


def _lacking(config: Config, asked: Needs, here: Here) -> list[str]:
    """What stands between a configuration and its run on this machine."""
    lacking = []
    nodes = config.resources_of("train_soar").ray_nodes
    if asked.gpus > len(here.gpus) and not (nodes > 1 and shutil.which("sbatch")):
        lacking.append(f"{asked.gpus} GPUs" if asked.gpus > 1 else "a GPU")
    elif asked.gpus and any(asked.memory > size for _, size in here.gpus):
        lacking.append(f"GPUs of {_bytes(asked.memory)}")
    elif not asked.gpus and asked.memory > here.memory:
        lacking.append(f"{_bytes(asked.memory)} of memory")
    if asked.kept + asked.scratch > here.free:
        lacking.append("free disk")
    files = [pool.path for pool in (config.datasets | config.pools).values() if pool.path is not None]
    files += [model.path for model in config.models.values() if model.source == "folder"]
    lacking += [path for path in dict.fromkeys(files) if not _is_here(path)]
    return lacking + list(dict.fromkeys(package for _, package in missing_packages(config, STAGES)))


def _is_here(path: str) -> bool:
    try:
        return bool(find(path, PROJECT))
    except FileNotFoundError:
        return False


def _bytes(number: float) -> str:
    """In three digits at most."""
    for size, unit in ((1e12, "TB"), (GIGA, "GB")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number / 1e6:.0f} MB"
