"""The paper's own figures (`resources/paper/*.csv`), looked up by the row names that the config gives its arms."""

import csv
from dataclasses import dataclass
from pathlib import Path

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import Config, ConfigError

# The dataset that each pass@k table is about, as table 1 and 2 call it.
TABLE_DATASETS = {"table4_math": "MATH", "table5_harp": "HARP", "table6_olympiadbench": "OlympiadBench"}


@dataclass(frozen=True)
class PaperFigures:
    """passk: (row, k) -> (mean %, SD %); vendi: method -> (score, SD); sizes: dataset -> (pool, train, test)."""

    passk: dict[tuple[str, int], tuple[float, float]]
    vendi: dict[str, tuple[float, float]]
    sizes: dict[str, tuple[int, int, int]]
    dataset: str

    def vendi_of(self, row: str | None) -> tuple[float | None, float | None]:
        """Table 1's entry for an arm; its names differ: `PQ` for SOAR-PQ, and teachers carry their dataset."""
        if row is None:
            return None, None
        names = (row, row.removeprefix("SOAR-"), f"{row} ({self.dataset})")
        return next((self.vendi[name] for name in names if name in self.vendi), (None, None))


def read_paper(config: Config, passk: Path, vendi: Path, sizes: Path) -> PaperFigures:
    """The three tables; ConfigError where an arm names a row that is in none of them."""
    figures = PaperFigures(
        passk={
            (line["method"], int(line["k"])): (float(line["mean_percent"]), float(line["sd_percent"]))
            for line in _lines(passk)
        },
        vendi={line["method"]: (float(line["vendi_score"]), float(line["std"])) for line in _lines(vendi)},
        sizes={
            line["dataset"]: (int(line["initial_pool"]), int(line["fail128_train"]), int(line["fail128_test"]))
            for line in _lines(sizes)
        },
        dataset=TABLE_DATASETS[config.report.paper_table],
    )
    rows = {row for row, _ in figures.passk}
    for name, arm in config.arms.items():
        if arm.paper is not None and arm.paper not in rows and figures.vendi_of(arm.paper) == (None, None):
            raise ConfigError(
                f"arms.{name}.paper: no row {arm.paper!r} in {passk} or {vendi}; there are {sorted(rows)}"
            )
    return figures


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
