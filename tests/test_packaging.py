"""One pinned set, whatever installs it; and everything imported is declared."""

import ast
import re
import sys
import tomllib
from importlib import metadata

import pytest
import yaml

# Modules that are imported only where an extra is installed.
OPTIONAL = {"sentence_transformers": "embeddings", "ray": "ray", "peft": "lora"}
# Installed by hand: its pins and the project's have no common solution.
BY_HAND = {"vllm": "docs/vllm.md"}


@pytest.fixture(scope="module")
def declared(project):
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name_of(requirement: str) -> str:
    return re.split(r"[=<>\[]", requirement)[0].lower().replace("-", "_")


def test_conda_environment_holds_the_same_pins_as_pyproject(project, declared):
    environment = yaml.safe_load((project / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert sorted(pip) == sorted([*declared["dependencies"], *declared["optional-dependencies"]["dev"], "--editable ."])


def test_every_dependency_is_pinned_to_one_version(declared):
    everything = [
        *declared["dependencies"],
        *(pin for pins in declared["optional-dependencies"].values() for pin in pins),
    ]
    assert [pin for pin in everything if not re.fullmatch(r"[\w-]+==\d[\w.]*", pin)] == []


def test_installed_versions_are_the_pinned_ones(declared):
    pins = dict(pin.split("==") for pin in [*declared["dependencies"], *declared["optional-dependencies"]["dev"]])
    # A build's local label (2.13.0+cpu) is still that version.
    installed = {name: metadata.version(name).partition("+")[0] for name in pins}
    assert installed == pins


def test_every_import_of_the_package_is_declared(project, declared):
    distributions = metadata.packages_distributions()
    pinned = {name_of(pin) for pin in declared["dependencies"]}
    undeclared = set()
    for file in (project / "soar_pipeline").rglob("*.py"):
        for module in imported(file.read_text(encoding="utf-8")):
            if module in sys.stdlib_module_names or module in {*OPTIONAL, *BY_HAND, "soar_pipeline"}:
                continue
            if not pinned & {name_of(name) for name in distributions.get(module, [module])}:
                undeclared.add((file.name, module))
    assert undeclared == set()


def test_optional_imports_have_their_extra(declared):
    assert set(OPTIONAL.values()) <= set(declared["optional-dependencies"])


def test_what_is_installed_by_hand_is_described(project):
    for module, page in BY_HAND.items():
        assert f"pip install {module}==" in (project / page).read_text(encoding="utf-8")


def imported(source: str) -> set[str]:
    """Top-level names of the modules that a file imports."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module.partition(".")[0])
    return modules


def test_templates_are_package_data(project, declared):
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = settings["package-data"]["soar_pipeline.reporting"]
    shipped = {path for pattern in patterns for path in (project / "soar_pipeline/reporting").glob(pattern)}
    others = {p for p in (project / "soar_pipeline").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert others == shipped
