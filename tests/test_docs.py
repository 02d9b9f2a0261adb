"""docs/artifacts.md names every column; its examples and those of the README run."""

import re
import subprocess
import sys
from dataclasses import fields

import pytest
from made_run import SOLVED, MadeRun, made_config

from soar_pipeline import artifacts
from soar_pipeline.reporting.tables import PasskRow, SizeRow, SoarRunRow, VendiRow
from soar_pipeline.reporting.taxonomy_table import TaxonomyRow

SECTIONS = {
    "problems.parquet": artifacts.PROBLEMS.names,
    "hard.parquet": artifacts.HARD.names,
    "attempts/<shard>.parquet": artifacts.ATTEMPTS.names,
    "test_attempts.parquet": artifacts.EVALUATION.names,
    "soar/<objective>/t<seed>/steps.parquet": artifacts.STEPS.names,
    "soar/<objective>/t<seed>/questions.parquet": artifacts.QUESTIONS.names,
    "soar/<objective>/t<seed>/students.parquet": artifacts.STUDENTS.names,
    "soar/<objective>/t<seed>/promotions.parquet": artifacts.PROMOTIONS.names,
    "students/<arm>/t<seed>-s<seed>/schedule.parquet": artifacts.SCHEDULE.names,
    "students/<arm>/t<seed>-s<seed>/curve.parquet": artifacts.CURVE.names,
    "serl/s<seed>/questions.parquet": artifacts.SERL_QUESTIONS.names,
    "passk.parquet": artifacts.PASSK.names,
    "diversity.parquet": artifacts.DIVERSITY.names,
    "taxonomy/<arm>/t<seed>.parquet": artifacts.TAXONOMY.names,
    "tables/passk.csv": [field.name for field in fields(PasskRow)],
    "tables/sizes.csv": [field.name for field in fields(SizeRow)],
    "tables/vendi.csv": [field.name for field in fields(VendiRow)],
    "tables/runs.csv": [field.name for field in fields(SoarRunRow)],
    "tables/taxonomy.csv": [field.name for field in fields(TaxonomyRow)],
}


@pytest.fixture(scope="module")
def page(project):
    return (project / "docs" / "artifacts.md").read_text(encoding="utf-8")


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def examples(page):
    return python_blocks(page)


@pytest.fixture(scope="module")
def readme_examples(project):
    return python_blocks((project / "README.md").read_text(encoding="utf-8"))


def section(page: str, file: str) -> str:
    """The text below the heading that names the file."""
    parts = re.split(r"^##+ (.*)$", page, flags=re.MULTILINE)[1:]
    return next(text for heading, text in zip(parts[::2], parts[1::2], strict=True) if f"`{file}`" in heading)


@pytest.mark.parametrize("file", SECTIONS)
def test_every_column_is_named_in_the_section_of_its_file(page, file):
    text = section(page, file)
    assert [name for name in SECTIONS[file] if f"`{name}`" not in text] == []


@pytest.mark.parametrize("file", [file for file in SECTIONS if file.endswith(".parquet")])
def test_no_row_describes_a_column_that_does_not_exist(page, file):
    described = re.findall(r"^\| `(\w+)` \|", section(page, file), flags=re.MULTILINE)
    assert set(described) <= set(SECTIONS[file])


def test_every_schema_has_a_section():
    schemas = [value.names for value in vars(artifacts).values() if isinstance(value, artifacts.pa.Schema)]
    assert [names for names in schemas if names not in SECTIONS.values()] == []


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A working directory with `results/embedded/`, its SOAR runs named as in the shipped configuration."""
    folder = tmp_path_factory.mktemp("docs")
    run = MadeRun(made_config(), folder / "results" / "embedded")
    run.write_inputs()
    run.summarise()
    (run.data / "soar" / "soar").rename(run.data / "soar" / "grounded")
    return folder


def output(example: str, folder) -> str:
    done = subprocess.run([sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pandas_example_shows_the_mean_over_seeds(examples, results):
    solved = [count / 4 for (arm, _, _), count in SOLVED.items() if arm == "soar_pq"]
    assert re.search(rf"soar_pq +{sum(solved) / len(solved):.4f}", output(examples[0], results))


def test_pandas_example_shows_the_promoted_steps(examples, results):
    promoted = re.findall(r"^\d+ +(\d+) .* True$", output(examples[1], results), flags=re.MULTILINE)
    assert promoted == ["5", "9"]


def test_duckdb_example_counts_the_right_attempts_of_an_arm(examples, results):
    solved = sum(count for (arm, _, _), count in SOLVED.items() if arm == "soar_pq")
    assert re.search(rf"soar_pq *│ *right *│ *{solved} *│", output(examples[2], results))


def test_provenance_example_names_the_stage(examples, results):
    assert output(examples[3], results).startswith("made ")


def test_readme_examples_show_pass_at_32_and_the_best_questions(readme_examples, results):
    passk, questions = (output(example, results) for example in readme_examples)
    assert re.search(r"^soar_pq +\d", passk, flags=re.MULTILINE)
    assert "dataset_reward" in questions
