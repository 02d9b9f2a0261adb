"""README.md: its examples run, its map names every room, its index every page, its links lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml
from doc_examples import output, python_blocks

from soar_pipeline import __version__


@pytest.fixture(scope="module")
def readme(project) -> str:
    return (project / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examples(project) -> list[str]:
    """Those that can be run: they import what they use."""
    return [block for block in python_blocks(project / "README.md") if "import " in block]


def test_the_lines_of_algorithm_1_stand_in_the_loop(project):
    algorithm = next(block for block in python_blocks(project / "README.md") if block.startswith("for t in"))
    loop = (project / "soar_pipeline" / "soar" / "loop.py").read_text(encoding="utf-8")
    # In their order, and as deep within each other as there.
    lines = iter(line.removeprefix(" " * 8) for line in loop.splitlines())
    assert [line for line in algorithm.splitlines() if line and line not in lines] == []


def test_the_library_example_prints_a_pass_at_k(examples, tmp_path):
    assert output(examples[0], tmp_path) == "[0.5]\n"


def test_the_duckdb_example_shows_steps_of_all_soar_runs(examples, results):
    printed = output(examples[1], results)
    assert re.search(r"soar +│ +1 +│ +1 +│", printed)


def test_the_map_has_one_line_for_every_room_and_no_other(readme, project):
    tree = readme.partition("soar_pipeline/\n")[2].partition("```")[0]
    rooms = {path.parent.name for path in (project / "soar_pipeline").glob("*/__init__.py")}
    assert sorted(re.findall(r"^  (\w+)/ ", tree, flags=re.MULTILINE)) == sorted(rooms)


def test_the_index_has_every_page_of_docs(readme, project):
    pages = {f"docs/{path.name}" for path in (project / "docs").glob("*.md")}
    index = readme.partition("## Where things are")[2].partition("\n## ")[0]
    assert pages - set(re.findall(r"\]\((docs/\w[\w-]*\.md)\)", index)) == set()


@pytest.mark.parametrize("word", ["PQ", "PS", "Hard-Only", "fresh student", "promotion", "arm"])
def test_a_word_of_the_paper_is_explained_before_it_is_used(readme, word):
    assert re.search(rf"^\| [^|]*\b{word}\b", readme, flags=re.MULTILINE)
    assert not re.search(rf"\b{word}\b", readme.partition("## Words")[0])


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))


def test_every_link_of_every_page_leads_to_a_file(project):
    pages = [project / "README.md", project / "config" / "README.md", *(project / "docs").glob("*.md")]
    broken = [(page.name, link) for page in pages for link in links(page) if not (page.parent / link).exists()]
    assert broken == []


def test_the_citation_is_of_this_version_and_of_the_paper(project, readme):
    citation = yaml.safe_load((project / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    [paper] = citation["references"]
    assert paper["title"] in readme
    assert all(
        f"{author['family-names']}, {author['given-names']}" in " ".join(readme.split()) for author in paper["authors"]
    )
