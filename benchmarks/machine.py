"""The machine and the versions behind the figures of the other benchmarks.

python benchmarks/machine.py
"""

import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from soar_pipeline.artifacts.provenance import package_versions


def processor() -> str:
    """The processor's name where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    print(f"{processor()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {platform.system()}")
    if torch.cuda.is_available():
        print(f"{torch.cuda.device_count()} × {torch.cuda.get_device_name()}")
    versions = {"python": platform.python_version(), **package_versions()}
    print(", ".join(f"{package} {version}" for package, version in versions.items()))


if __name__ == "__main__":
    main()
