"""The tables of a run beside the paper's figures (spec section 9)."""

from pathlib import Path

from soar_pipeline.artifact_paths import teacher_run
from soar_pipeline.artifacts import DIVERSITY, PASSK, PROMOTIONS, STEPS, TAXONOMY, read_rows
from soar_pipeline.reporting import tables
from soar_pipeline.reporting.csv_files import write_csv
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.taxonomy_table import TaxonomyRow, taxonomy_rows
from soar_pipeline.slices import ReportSlice
from soar_pipeline.stages.command import run_stage


def make_tables(
    config: ReportSlice,
    passk: Path,
    diversity: Path,
    problems: list[Path],
    train: list[Path],
    test: list[Path],
    steps: list[Path],
    promotions: list[Path],
    taxonomy: list[Path],
    paper: list[Path],
    passk_table: Path,
    sizes_table: Path,
    vendi_table: Path,
    runs_table: Path,
    taxonomy_table: Path,
) -> None:
    """Summarise seeds and write the long tables; `taxonomy` are the judged question sets, which may be none."""
    whole = config.config
    figures = read_paper(whole, paper)
    promoted = {teacher_run(path): read_rows(path, PROMOTIONS) for path in promotions}
    taken = {teacher_run(path): read_rows(path, STEPS) for path in steps}
    scores = read_rows(diversity, DIVERSITY)
    verdicts = [row for path in taxonomy for row in read_rows(path, TAXONOMY)]
    write_csv(passk_table, tables.PasskRow, tables.passk_rows(whole, read_rows(passk, PASSK), promoted, figures))
    write_csv(sizes_table, tables.SizeRow, tables.size_rows(whole, problems, train, test, figures))
    write_csv(vendi_table, tables.VendiRow, tables.vendi_rows(whole, scores, promoted, figures))
    write_csv(runs_table, tables.SoarRunRow, tables.soar_run_rows(whole, taken, promoted))
    write_csv(taxonomy_table, TaxonomyRow, taxonomy_rows(whole, verdicts, promoted, figures.taxonomy))


if __name__ == "__main__":
    run_stage(make_tables)
