"""One pinned set, whatever installs it; and everything imported is declared."""

import ast
import re
import sys
import tomllib
from importlib import metadata

import pytest
import yaml

from soar_pipeline import __version__

# Modules that are imported only where an extra is installed.
OPTIONAL = {"sentence_transformers": "embeddings", "ray": "ray", "peft": "lora", "vllm": "vllm"}
# Installed by hand: its pins and the project's have no common solution.
BY_HAND = {"reasoning_gym": "docs/data.md"}


@pytest.fixture(scope="module")
def declared(project):
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name_of(requirement: str) -> str:
    return re.split(r"[=<>\[]", requirement)[0].lower().replace("-", "_")


def test_the_conda_environment_has_all_that_a_gpu_needs_in_the_versions_of_make_run(project, declared):
    environment = yaml.safe_load((project / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    extras = ",".join(sorted({"dev", *OPTIONAL.values(), "slurm"}))
    assert "python=3.13" in environment["dependencies"]
    assert pip == ["--constraint constraints.txt", f"--editable .[{extras}]"]
    assert set(extras.split(",")) <= set(declared["optional-dependencies"])
    assert "--constraint constraints.txt" in (project / "Makefile").read_text(encoding="utf-8")


def test_the_constraints_hold_every_pin_and_no_address(project, declared):
    lines = (project / "constraints.txt").read_text(encoding="utf-8").splitlines()
    # One version each, or one for each kind of machine and Python; pip reads no extra, address or option here.
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9._-]+==[^ /@]+( ; [^/@]+)?", line)] == []
    pinned = {name_of(line): line.partition("==")[2] for line in lines if " ; " not in line}
    everything = {
        *declared["dependencies"],
        *(pin for pins in declared["optional-dependencies"].values() for pin in pins),
    }
    wanted = {name_of(pin): pin.partition("==")[2] for pin in everything}
    assert {name: pinned.get(name.replace(".", "_")) for name in wanted} == wanted


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


def test_the_version_is_the_same_everywhere(project, declared):
    citation = yaml.safe_load((project / "CITATION.cff").read_text(encoding="utf-8"))
    assert declared["version"] == __version__ == citation["version"]


def test_the_citation_file_has_what_its_format_requires(project):
    citation = yaml.safe_load((project / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    known = "cff-version message type title abstract keywords version license authors references doi url date-released"
    assert set(citation) <= set(known.split())
    for entry in (citation, *citation["references"]):
        assert entry["type"] in {"software", "conference-paper", "article"}
        assert entry["authors"]
        assert all({"name"} <= set(one) or {"family-names", "given-names"} <= set(one) for one in entry["authors"])


def test_the_changelog_lists_versions_from_the_newest_with_dates_and_known_kinds(project):
    headings = re.findall(r"^## (.*)$", (project / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d{2}-\d{2}", heading) for heading in headings[1:]]
    assert all(released)
    versions = [tuple(map(int, match.groups())) for match in released]
    assert versions == sorted(versions, reverse=True)
    kinds = re.findall(r"^### (.*)$", (project / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_github_runs_targets_of_make_that_exist(project):
    checks = yaml.safe_load((project / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8"))
    targets = checks["jobs"]["check"]["strategy"]["matrix"]["target"]
    assert {"lint", "test", "smoke"} <= set(targets)
    made = re.findall(r"^([\w-]+):", (project / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(targets) <= set(made)


def test_issue_templates_ask_for_what_helps(project):
    templates = sorted((project / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    forms = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in templates}
    forms.pop("config")
    assert {"bug", "idea"} <= set(forms)
    for form in forms.values():
        assert {"name", "description", "body"} <= set(form)
        names = [field["id"] for field in form["body"]]
        assert len(names) == len(set(names))
        assert all(field["type"] == "textarea" and field["attributes"]["label"] for field in form["body"])
