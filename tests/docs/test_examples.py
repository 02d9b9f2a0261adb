"""What a reader copies from any page: configurations are valid, and commands name what is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_examples import output, python_blocks
from minimal_config import MINIMAL
from snakemake.cli import get_argument_parser
from workflow_runs import ROOT

from soar_pipeline.commands import run as commands
from soar_pipeline.commands.main import COMMANDS, main
from soar_pipeline.config import validate

PAGES = [ROOT / "README.md", ROOT / "config" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
# Files that the page has its reader write or get.
OWN = {
    "my_run.yaml",
    "mine.yaml",
    "toy_base_model.yaml",
    "my_site",
    "results/toy",
    "results/mine",
    "make_problems.py",
    "look.py",
}


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` laid over `base`, section by section."""
    both = {
        key: merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in changes.items()
    }
    return base | both


CONFIGURATIONS = [(page.name, text) for page in PAGES for text in blocks(page, "yaml")]


@pytest.mark.parametrize(("page", "text"), CONFIGURATIONS, ids=[page for page, _ in CONFIGURATIONS])
def test_a_configuration_of_a_page_is_valid(page: str, text: str):
    values = yaml.safe_load(text)
    # Most show the keys that they speak of.
    validate(values if {"datasets", "arms"} <= set(values) else merged(MINIMAL, values), page)


def commands_of(page: Path) -> Iterator[str]:
    for text in blocks(page, "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            # A command may follow `&&`, and may be of the environment that `make` installs into.
            for command in line.partition("  #")[0].split(" && "):
                yield command.strip().removeprefix(".venv/bin/")


COMMAND_LINES = [(page.name, command) for page in PAGES for command in commands_of(page) if command]


@pytest.mark.parametrize(("page", "command"), COMMAND_LINES, ids=[f"{page}: {line}" for page, line in COMMAND_LINES])
def test_a_command_of_a_page_names_what_is_there(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    program, *words = shlex.split(command.replace("$(soar-pipeline snakefile)", "Snakefile"), comments=True)
    if program == "make":
        targets = [word for word in words if "=" not in word]
        assert targets
        assert set(targets) <= TARGETS
    elif program == "snakemake":
        check_snakemake(words)
    elif program == "soar-pipeline":
        assert words[0] in COMMANDS
        asked: list[list[str]] = []
        monkeypatch.chdir(tmp_path)
        for name in OWN:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(yaml.safe_dump(MINIMAL))
        monkeypatch.setattr(commands, "_call", lambda words, environment: asked.append(words[3:]) or 0)
        if words[0] == "run":
            assert main(words) == 0
            check_snakemake(asked[0])
    for word in words:
        looks_like_a_file = re.fullmatch(r"(config|benchmarks|docs|workflow)/[\w/]+(\.\w+)?|\w+\.(py|yaml|md)", word)
        if looks_like_a_file and word not in OWN | {"throughput.yaml"}:
            assert (ROOT / word).exists(), word


def check_snakemake(words: list[str]) -> None:
    """Every option is one of Snakemake's, and the files that are asked for are no configurations."""
    options = get_argument_parser().parse_args(words)
    assert not [target for target in options.targets if str(target).endswith(".yaml")]
    assert len(options.configfile or ["one"]) == 1


def test_the_provenance_example_of_data_prints_a_report(results: Path):
    [example] = python_blocks(ROOT / "docs" / "data.md")
    assert output(example, results).startswith("{")


def test_the_examples_of_verdicts_give_their_verdicts(tmp_path: Path):
    grading, verifier = python_blocks(ROOT / "docs" / "verdicts.md")
    assert output(grading, tmp_path) == "right\n"
    defined: dict[str, Any] = {}
    exec(verifier, defined)
    assert defined["same_city"]("Paris", "paris, France")
    assert not defined["same_city"]("Paris", "Rome")
