"""docs/artifacts.md names every column, and its examples run."""

import re

import pyarrow as pa
import pytest
from doc_examples import output, python_blocks
from fake_results import SOLVED

from soar_pipeline.artifacts import schemas
from soar_pipeline.reporting.long_tables import COLUMNS

SECTIONS = {
    "problems.parquet": schemas.PROBLEMS.names,
    "hard.parquet": schemas.HARD.names,
    "hard_audit.parquet": schemas.HARD_AUDIT.names,
    "attempts/<shard>.parquet": schemas.ATTEMPTS.names,
    "test_attempts.parquet": schemas.EVALUATION.names,
    "soar/<objective>/t<seed>/steps.parquet": schemas.STEPS.names,
    "soar/<objective>/t<seed>/questions.parquet": schemas.SOAR_QUESTIONS.names,
    "questions/<arm>/t<seed>.parquet": schemas.QUESTION_SET.names,
    "soar/<objective>/t<seed>/students.parquet": schemas.STUDENTS.names,
    "soar/<objective>/t<seed>/promotions.parquet": schemas.PROMOTIONS.names,
    "students/<arm>/t<seed>-s<seed>/schedule.parquet": schemas.SCHEDULE.names,
    "students/<arm>/t<seed>-s<seed>/curve.parquet": schemas.CURVE.names,
    "serl/s<seed>/questions.parquet": schemas.SERL_QUESTIONS.names,
    "passk.parquet": schemas.PASSK.names,
    "diversity.parquet": schemas.DIVERSITY.names,
    "step_diversity.parquet": schemas.STEP_DIVERSITY.names,
    "taxonomy/<arm>/t<seed>.parquet": schemas.TAXONOMY.names,
    "soar/<objective>/t<seed>/taxonomy.parquet": schemas.SOAR_TAXONOMY.names,
    **{f"tables/{name}.csv": list(columns) for name, columns in COLUMNS.items()},
}


@pytest.fixture(scope="module")
def page(project):
    return (project / "docs" / "artifacts.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examples(project):
    return python_blocks(project / "docs" / "artifacts.md")


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
    columns = [value.names for value in vars(schemas).values() if isinstance(value, pa.Schema)]
    assert [names for names in columns if names not in SECTIONS.values()] == []


def test_pandas_example_shows_the_mean_over_seeds(examples, results):
    solved = [count / 4 for (arm, _, _), count in SOLVED.items() if arm == "soar_pq"]
    assert re.search(rf"soar_pq +{sum(solved) / len(solved):.4f}", output(examples[0], results))


def test_pandas_example_puts_the_runs_of_a_folder_together(examples, results):
    promotions = re.findall(r"^shuffles +soar +1 +(\d+)|^ +2 +(\d+)$", output(examples[1], results), flags=re.MULTILINE)
    assert [int(one or two) for one, two in promotions] == [2, 2]


def test_pandas_example_shows_the_promoted_steps(examples, results):
    promoted = re.findall(r"^\d+ +(\d+) .* True$", output(examples[2], results), flags=re.MULTILINE)
    assert promoted == ["5", "9"]


def test_duckdb_example_counts_the_right_attempts_of_an_arm(examples, results):
    solved = sum(count for (arm, _, _), count in SOLVED.items() if arm == "soar_pq")
    assert re.search(rf"soar_pq *│ *right *│ *{solved} *│", output(examples[3], results))


def test_provenance_example_names_the_stage(examples, results):
    assert output(examples[4], results).startswith("made ")
