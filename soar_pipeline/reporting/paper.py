"""The paper's own figures (`resources/paper/*.csv`) as frames, to be merged with ours by the paper's row names."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import ArmConfig, Config, ConfigError

# The data set that each pass@k table is about, as tables 1 and 2 call it.
TABLE_DATASETS = {"table4_math": "MATH", "table5_harp": "HARP", "table6_olympiadbench": "OlympiadBench"}
# The paper's category -> our column, in the order of table 7.
CATEGORY_COLUMNS = {
    "well_posed_percent": "paper_well_posed_percent",
    "correct_percent": "paper_correct_percent",
    "arithmetic_error_percent": "paper_arithmetic_percent",
    "logic_error_percent": "paper_logical_fallacy_percent",
    "impossibility_error_percent": "paper_ill_posed_percent",
    "ambiguity_error_percent": "paper_ambiguous_percent",
    "total_samples": "paper_judged",
}


def paper_name(config: Config, dataset: str) -> str:
    """What the paper calls a data set; empty if it stands for none of its data sets."""
    return TABLE_DATASETS.get(config.datasets[dataset].paper_table, "")


@dataclass(frozen=True)
class PaperFigures:
    """The paper's tables, in the order of their rows.

    passk: `paper_table`, `paper` (the row), `k`, `paper_mean_percent`, `paper_sd_percent`;
    vendi: `paper`, `paper_vendi`, `paper_sd`; sizes: `paper_dataset`, `paper_pool`, `paper_train`, `paper_test`;
    hyperparameters: `scope`, `name`, `teacher`, `student`, as printed;
    taxonomy: `paper` (the method) and the columns of CATEGORY_COLUMNS.
    """

    passk: pd.DataFrame
    vendi: pd.DataFrame
    sizes: pd.DataFrame
    hyperparameters: pd.DataFrame
    taxonomy: pd.DataFrame

    def vendi_row(self, config: Config, dataset: str, arm: ArmConfig) -> str:
        """Table 1's row for an arm, or empty; its names differ: `PQ` for SOAR-PQ, and teachers carry their data set."""
        if arm.paper is None:
            return ""
        names = (arm.paper, arm.paper.removeprefix("SOAR-"), f"{arm.paper} ({paper_name(config, dataset)})")
        return next((name for name in names if name in set(self.vendi["paper"])), "")

    def judged_method(self, arm: ArmConfig) -> str:
        """Table 7's column for an arm, or empty."""
        method = (arm.paper or "").removeprefix("SOAR-")
        return method if method in set(self.taxonomy["paper"]) else ""


def read_paper(config: Config, tables: list[Path]) -> PaperFigures:
    """The paper's tables by the names of their files; ConfigError if an arm names a row that is in none of them."""
    frames = {path.stem: _read(path) for path in tables}
    passk = pd.concat(frame.assign(paper_table=name) for name, frame in frames.items() if "k" in frame)
    taxonomy = frames["table7_taxonomy"].set_index("category").T.rename(columns=CATEGORY_COLUMNS)
    figures = PaperFigures(
        passk=passk.rename(
            columns={"method": "paper", "mean_percent": "paper_mean_percent", "sd_percent": "paper_sd_percent"}
        ).astype({"k": int, "paper_mean_percent": float, "paper_sd_percent": float}),
        vendi=frames["table1_vendi"]
        .set_axis(["paper", "paper_vendi", "paper_sd"], axis="columns")
        .astype({"paper_vendi": float, "paper_sd": float}),
        sizes=frames["table2_datasets"]
        .set_axis(["paper_dataset", "paper_pool", "paper_train", "paper_test"], axis="columns")
        .astype({"paper_pool": "Int64", "paper_train": "Int64", "paper_test": "Int64"}),
        hyperparameters=frames["table3_hyperparameters"],
        taxonomy=taxonomy.astype(float).astype({"paper_judged": "Int64"}).rename_axis("paper").reset_index(),
    )
    known = set(figures.passk["paper"]) | set(figures.vendi["paper"])
    for name, arm in config.arms.items():
        if arm.paper is not None and arm.paper not in known:
            raise ConfigError(
                f"arms.{name}.paper: the paper's tables have no row {arm.paper!r}; they have {sorted(known)}"
            )
    return figures


def _read(path: Path) -> pd.DataFrame:
    """Every cell as the text that the file holds."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
