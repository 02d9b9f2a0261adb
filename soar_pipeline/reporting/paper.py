"""The paper's own figures (`resources/paper/*.csv`), looked up by the row names that the config gives its arms."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import ArmConfig, Config, ConfigError

# The data set that each pass@k table is about, as tables 1 and 2 call it.
TABLE_DATASETS = {"table4_math": "MATH", "table5_harp": "HARP", "table6_olympiadbench": "OlympiadBench"}


def paper_name(config: Config, dataset: str) -> str:
    """What the paper calls a data set; empty where it stands for none of its data sets."""
    return TABLE_DATASETS.get(config.datasets[dataset].paper_table, "")


PaperTaxonomy = Mapping[str, Mapping[str, float]]
"""Row name of the paper -> category -> figure."""


@dataclass(frozen=True)
class PaperFigures:
    """The tables in the order of their rows.

    passk: (table, row, k) -> (mean %, SD %); vendi: method -> (score, SD); sizes: dataset -> (pool, train, test);
    hyperparameters: (scope, name) -> (teacher, student), as printed; taxonomy: method -> category -> %, or the number
    of questions.
    """

    passk: dict[tuple[str, str, int], tuple[float, float]]
    vendi: dict[str, tuple[float, float]]
    sizes: dict[str, tuple[int, int, int]]
    hyperparameters: dict[tuple[str, str], tuple[str, str]]
    taxonomy: PaperTaxonomy

    def rows_of(self, table: str) -> list[str]:
        """The rows of a pass@k table."""
        return list(dict.fromkeys(row for name, row, _ in self.passk if name == table))

    def passk_of(self, config: Config, dataset: str, arm: ArmConfig, k: int) -> tuple[float | None, float | None]:
        """The entry for an arm in its own table, or in that of the data set."""
        table = arm.paper_table or config.datasets[dataset].paper_table
        return self.passk.get((table, arm.paper, k), (None, None))

    def vendi_row(self, config: Config, dataset: str, arm: ArmConfig) -> str | None:
        """Table 1's row for an arm; its names differ: `PQ` for SOAR-PQ, and teachers carry their data set."""
        if arm.paper is None:
            return None
        names = (arm.paper, arm.paper.removeprefix("SOAR-"), f"{arm.paper} ({paper_name(config, dataset)})")
        return next((name for name in names if name in self.vendi), None)

    def vendi_of(self, config: Config, dataset: str, arm: ArmConfig) -> tuple[float | None, float | None]:
        """Score and SD of that row."""
        row = self.vendi_row(config, dataset, arm)
        return (None, None) if row is None else self.vendi[row]

    def judged_method(self, arm: ArmConfig) -> str | None:
        """Table 7's column for an arm."""
        method = (arm.paper or "").removeprefix("SOAR-")
        return method if method in self.taxonomy else None


def read_paper(config: Config, tables: list[Path]) -> PaperFigures:
    """The paper's tables by the names of their files; ConfigError where an arm names a row that is in none of them."""
    lines = {path.stem: _lines(path) for path in tables}
    figures = PaperFigures(
        passk={
            (table, line["method"], int(line["k"])): (float(line["mean_percent"]), float(line["sd_percent"]))
            for table, rows in lines.items()
            for line in rows
            if "k" in line
        },
        vendi={line["method"]: (float(line["vendi_score"]), float(line["std"])) for line in lines["table1_vendi"]},
        sizes={
            line["dataset"]: (int(line["initial_pool"]), int(line["fail128_train"]), int(line["fail128_test"]))
            for line in lines["table2_datasets"]
        },
        hyperparameters={
            (line["scope"], line["name"]): (line["teacher"], line["student"])
            for line in lines["table3_hyperparameters"]
        },
        taxonomy=read_paper_taxonomy(next(path for path in tables if path.stem == "table7_taxonomy")),
    )
    rows = {row for _, row, _ in figures.passk} | set(figures.vendi)
    for name, arm in config.arms.items():
        if arm.paper is not None and arm.paper not in rows:
            raise ConfigError(
                f"arms.{name}.paper: no row {arm.paper!r} in the paper's tables; there are {sorted(rows)}"
            )
    return figures


def read_paper_taxonomy(path: Path) -> PaperTaxonomy:
    """`resources/paper/table7_taxonomy.csv`: one line per category, one column per method."""
    lines = _lines(path)
    methods = [name for name in lines[0] if name != "category"]
    return {method: {line["category"]: float(line[method]) for line in lines} for method in methods}


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
