"""The long tables of a run, as `make_tables` wrote them: its figures as data, which everything shown is made from."""

from dataclasses import dataclass
from pathlib import Path

from soar_pipeline.reporting.csv_files import read_csv
from soar_pipeline.reporting.tables import PasskRow, SizeRow, SoarRunRow, VendiRow
from soar_pipeline.reporting.taxonomy_table import TaxonomyRow


@dataclass(frozen=True)
class Tables:
    """One list of rows per long table."""

    passk: list[PasskRow]
    sizes: list[SizeRow]
    vendi: list[VendiRow]
    runs: list[SoarRunRow]
    taxonomy: list[TaxonomyRow]


def read_tables(passk: Path, sizes: Path, vendi: Path, runs: Path, taxonomy: Path) -> Tables:
    """Raises ArtifactError where a file is no such table."""
    return Tables(
        passk=read_csv(passk, PasskRow),
        sizes=read_csv(sizes, SizeRow),
        vendi=read_csv(vendi, VendiRow),
        runs=read_csv(runs, SoarRunRow),
        taxonomy=read_csv(taxonomy, TaxonomyRow),
    )
