"""What README.md and docs/results-toy.md say of runs is what the runs' files say."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fake_results import JUDGED, VERDICTS, FakeResults, fake_config
from result_tables import FIGURES, MARKED, PAGES, filled, markdown, write_figures

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.reporting import record
from soar_pipeline.sharing.finished import FinishedRun


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> FakeResults:
    run = FakeResults(fake_config(taxonomy=JUDGED), tmp_path_factory.mktemp("results") / "made", verdicts=VERDICTS)
    run.write_inputs()
    run.summarise()
    write_text(run.folder / "provenance.json", json.dumps(record.provenance(run.config, [])))
    return run


@pytest.fixture(scope="module")
def figures(made, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    assert len(write_figures(FinishedRun.read(made.folder), folder)) == 6
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_pages_tables_are_those_of_the_files(page):
    text = page.read_text(encoding="utf-8")
    assert filled(text, FIGURES) == text


def test_every_table_of_results_in_readme_is_of_a_file():
    results = PAGES[0].read_text(encoding="utf-8").partition("## What came out")[2].partition("\n## ")[0]
    assert MARKED.search(results)
    assert "|" not in MARKED.sub("", results)


def intervals_of(run: str) -> set[tuple[str, ...]]:
    """Means with their intervals, as the files have them: shares of questions and their diversity, and pass@k, which
    prose may round.
    """
    found = set()
    for name in ("teachers", "questions"):
        text = (FIGURES / run / f"{name}.csv").read_text(encoding="utf-8")
        found |= set(re.findall(r"(\d+(?:\.\d+)?) \((\d+(?:\.\d+)?) to (\d+(?:\.\d+)?)\)", text))
    for row in pd.read_csv(FIGURES / run / "arms.csv").to_dict("records"):
        shown = str(row["pass@32, %"]), *row["95 % interval of pass@32"].split(" to ")
        found |= {shown, tuple(f"{float(value):.0f}" for value in shown)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_intervals_in_sentences_are_those_of_the_files(page):
    text = MARKED.sub("", page.read_text(encoding="utf-8"))
    said = re.findall(r"(\d+(?:\.\d+)?)(?:\s%)?\s\((\d+(?:\.\d+)?)\sto\s(\d+(?:\.\d+)?)\)", text)
    assert len(said) >= 8
    assert not set(said) - intervals_of("toy_findings")


@pytest.mark.parametrize(("steps", "arm"), [(40, "Hard-Only"), (120, "Hard-Only (120 steps)")])
def test_hard_only_is_on_the_tasks_page_what_it_is_in_the_files(steps, arm, project):
    row = pd.read_csv(FIGURES / "toy_findings" / "arms.csv").set_index("arm").loc[arm]
    page = (project / "docs" / "toy-task.md").read_text(encoding="utf-8")
    [cells] = re.findall(rf"^\| {steps} steps[^|]* \| (.*) \|$", page, re.MULTILINE)
    students, *solved, unstuck = cells.split(" | ")
    assert f"{students} seeds" == row["seeds"]
    assert [float(cell.partition(" %")[0]) for cell in solved] == [row["pass@1, %"], row["pass@32, %"]]
    assert unstuck.partition(" (")[0] == row["came unstuck"]


def test_tables_are_the_runs_own_figures(figures):
    tables = {file.stem: markdown(file) for file in (figures / "made").iterdir()}
    # The finding in test_report.py has the same figures.
    assert "| SOAR-PQ | 2 teacher × 2 student seeds |" in tables["arms"]
    assert "| 93.8 | 14.3 to 100.0 |" in tables["arms"]
    assert "| Hard-Only | 2 seeds |" in tables["arms"]
    assert "| SOAR-PQ | 81.2 |" in tables["differences"] and "Hard-Only" not in tables["differences"].split("\n", 2)[2]
    # By hand, as in test_report.py.
    assert "| SOAR-PQ | 2 | 87.5 (−26.1 to 100.0) |" in tables["verdicts"]
    assert "| Base-T | 2 | 37.5 |" in tables["verdicts"]
    share = r" \d+ \(\d+ to \d+\) \|"
    assert re.search(rf"^\| soar \| 2 \| 1 to 4 \|({share}){{6}} 0\.\d\d \(0", tables["teachers"], re.MULTILINE)
    assert "| soar | 2 | 9 to 12 |" in tables["teachers"]
    assert re.search(rf"^\| Base-T \| 2 \| 16 \|({share}){{6}} \d\.\d \(", tables["questions"], re.MULTILINE)


def test_promotions_are_those_of_each_teacher(figures, made):
    rows = {row.teacher_seed: [] for row in made.rows("runs")}
    for row in made.rows("promoted_students"):
        rows[row.teacher_seed].append(str(row.outer_step))
    assert all(rows.values())
    table = markdown(figures / "made" / "soar_runs.csv")
    assert all(f"| soar, seed {seed} | 12 | {', '.join(steps)} |" in table for seed, steps in rows.items())


def test_a_changed_figure_is_seen_and_a_missing_file_is_one_line(figures):
    page = "text\n<!-- table made/arms -->\n<!-- end of table -->\nmore\n"
    right = filled(page, figures)
    assert markdown(figures / "made" / "arms.csv") in right
    assert right.startswith("text\n") and right.endswith("\nmore\n")
    assert filled(right.replace("93.8", "94.8"), figures) == right
    with pytest.raises(ArtifactError, match=r"other/arms\.csv: is missing; benchmarks/result_tables\.py writes it"):
        filled(page.replace("made/", "other/"), figures)


def test_a_table_that_the_run_has_no_more_is_removed(made, tmp_path):
    run = shutil.copytree(made.folder, tmp_path / "results" / "made")
    shares = run / "tables" / "question_shares.csv"
    shares.write_text(shares.read_text(encoding="utf-8").partition("\n")[0] + "\n", encoding="utf-8")
    left = tmp_path / "made" / "verdicts.csv"
    left.parent.mkdir()
    left.touch()
    assert left not in write_figures(FinishedRun.read(run), tmp_path)
    assert not left.exists()
