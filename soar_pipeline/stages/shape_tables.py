"""The paper's tables in the paper's shape, as CSV and as Markdown (spec section 9)."""

from pathlib import Path

from soar_pipeline.artifacts import write_text
from soar_pipeline.reporting.long_tables import read_tables
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.paper_tables import paper_tables
from soar_pipeline.reporting.table_files import as_csv, as_markdown
from soar_pipeline.slices import ReportSlice
from soar_pipeline.stages.command import run_stage


def shape_tables(
    config: ReportSlice,
    passk_table: Path,
    sizes_table: Path,
    vendi_table: Path,
    runs_table: Path,
    taxonomy_table: Path,
    paper: list[Path],
    csv: list[Path],
    markdown: list[Path],
) -> None:
    """Write every table, to the files of its name."""
    long = read_tables(passk_table, sizes_table, vendi_table, runs_table, taxonomy_table)
    shaped = {table.name: table for table in paper_tables(config.config, long, read_paper(config.config, paper))}
    for path in csv:
        write_text(path, as_csv(shaped[path.stem]))
    for path in markdown:
        write_text(path, as_markdown(shaped[path.stem]))


if __name__ == "__main__":
    run_stage(shape_tables)
