"""What a wheel holds besides code: all that lies beside the package in a clone, in the package's folder `shipped`.

Everything else stands in pyproject.toml. `soar_pipeline/config/paths.py` finds these files in both places.
"""

from pathlib import Path
from shutil import copy, copytree

from setuptools import setup
from setuptools.command.build_py import build_py

# `profiles` lies beside the Snakefile, where Snakemake looks for it: in a clone it is a link.
SHIPPED = {
    "Snakefile": "Snakefile",
    "environment.yml": "environment.yml",
    "config": "config",
    "resources": "resources",
    "workflow": "workflow",
    "workflow/profiles": "profiles",
}


def _placed_elsewhere(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or f"{folder}/{name}" in SHIPPED]


class BuildWithShippedFiles(build_py):
    def run(self) -> None:
        super().run()
        # An editable installation uses the files of the clone.
        if self.editable_mode:
            return
        folder = Path(self.build_lib, "soar_pipeline", "shipped")
        folder.mkdir(parents=True, exist_ok=True)
        for source, place in SHIPPED.items():
            if Path(source).is_dir():
                copytree(source, folder / place, ignore=_placed_elsewhere, dirs_exist_ok=True)
            else:
                copy(source, folder / place)


setup(cmdclass={"build_py": BuildWithShippedFiles})
