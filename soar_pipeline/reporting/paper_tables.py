"""The paper's tables in the paper's shape: its rows in its order with ours beside them (spec section 9).

They are made from the long tables (`long_tables.py`), which stay the data. After the paper's rows stand the arms of
ours that it lacks. What was not run is None, and blank wherever it is shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from soar_pipeline.config import PASS_AT_K, Config
from soar_pipeline.reporting.finding import counted, seeds_of
from soar_pipeline.reporting.hyperparameters import hyperparameters
from soar_pipeline.reporting.long_tables import Tables
from soar_pipeline.reporting.paper import PaperFigures
from soar_pipeline.reporting.table_names import TITLES, own_table, table_names
from soar_pipeline.reporting.tables import PasskRow
from soar_pipeline.reporting.taxonomy_table import PAPER_CATEGORIES

Value = float | int | str | None
Arm = tuple[str, str]


# What stands in our cells; said of no table whose cells explain themselves.
OVER_RUNS = "Ours: mean ± standard deviation over all runs of an arm."
OVER_SETS = "Ours: mean over question sets ± the bootstrap's standard deviation. Scores of different embedders differ."
OVER_QUESTIONS = "Ours: share of the questions with a verdict ± standard deviation between question sets."


@dataclass(frozen=True)
class Cell:
    """One figure of ours beside the paper's, with standard deviations where there are any."""

    ours: Value = None
    sd: float | None = None
    paper: Value = None
    paper_sd: float | None = None


@dataclass(frozen=True)
class Row:
    """`label` as in the paper; `ours` says which arm or data set stands for it, `seeds` what its figures rest on."""

    label: str
    ours: str
    seeds: str
    cells: tuple[Cell, ...]

    @property
    def was_run(self) -> bool:
        return any(cell.ours is not None for cell in self.cells)


@dataclass(frozen=True)
class PaperTable:
    """`columns`: name in the CSV -> heading; every row has one cell per column. `decimals` of means and SDs.

    `note` says what our cells are, and may be empty.
    """

    name: str
    title: str
    columns: dict[str, str]
    rows: list[Row]
    decimals: int = 1
    note: str = ""

    @property
    def names_ours(self) -> bool:
        """Whether rows stand for arms or data sets of ours; those of tables 3 and 7 do not."""
        return any(row.ours for row in self.rows)

    @property
    def rows_run(self) -> int:
        return sum(row.was_run for row in self.rows)


def paper_tables(config: Config, tables: Tables, paper: PaperFigures) -> list[PaperTable]:
    """All tables of `table_names`, in its order."""
    made = {
        "table1_vendi": _vendi_table(config, tables, paper),
        "table2_datasets": _sizes_table(tables, paper),
        "table3_hyperparameters": _hyperparameter_table(config, paper),
        "table7_taxonomy": _taxonomy_table(config, tables, paper),
    }
    return [made.get(name) or _passk_table(name, config, tables, paper) for name in table_names(config)]


def _passk_table(name: str, config: Config, tables: Tables, paper: PaperFigures) -> PaperTable:
    ours: dict[Arm, dict[int, PasskRow]] = {}
    for row in tables.passk:
        table = config.arms[row.arm].paper_table or config.datasets[row.dataset].paper_table
        if (table or own_table(row.dataset)) == name:
            ours.setdefault((row.dataset, row.arm), {})[row.k] = row
    ks = PASS_AT_K if name in TITLES else config.pass_at_k
    papers_row = {arm: config.arms[arm[1]].paper for arm in ours}

    def cell(label: str, arm: Arm | None, k: int) -> Cell:
        row = ours[arm].get(k) if arm else None
        figures = paper.passk.get((name, label, k), (None, None))
        return Cell(row and row.mean_percent, row and row.sd_percent, *figures)

    rows = []
    for label, shown, arm in _in_the_papers_order(config, paper.rows_of(name), papers_row):
        last = ours[arm][max(ours[arm])] if arm else None
        seeds = seeds_of(last) if last and last.student_runs else ""
        seeds = ", ".join(filter(None, (seeds, last.status if last else "")))
        rows.append(Row(shown, arm[1] if arm else "", seeds, tuple(cell(label, arm, k) for k in ks)))
    title = TITLES.get(name) or f"pass@k on {name.removeprefix('passk_')}, %"
    return PaperTable(name, title, {f"pass_at_{k}": f"pass@{k}" for k in ks}, rows, note=OVER_RUNS)


def _vendi_table(config: Config, tables: Tables, paper: PaperFigures) -> PaperTable:
    # Questions that were made on another data set have their row there.
    ours = {(row.dataset, row.arm): row for row in tables.vendi if not config.arms[row.arm].transfer_from}
    papers_row = {arm: paper.vendi_row(config, arm[0], config.arms[arm[1]]) for arm in ours}
    rows = []
    for label, shown, arm in _in_the_papers_order(config, list(paper.vendi), papers_row):
        row = ours[arm] if arm else None
        seeds = ", ".join(filter(None, (row and _sets(row.teacher_seeds, row.questions), row and row.status)))
        figures = paper.vendi.get(label, (None, None))
        rows.append(
            Row(shown, arm[1] if arm else "", seeds, (Cell(row and row.vendi_mean, row and row.vendi_sd, *figures),))
        )
    columns = {"vendi_score": "Vendi score"}
    return PaperTable("table1_vendi", TITLES["table1_vendi"], columns, rows, decimals=2, note=OVER_SETS)


def _sizes_table(tables: Tables, paper: PaperFigures) -> PaperTable:
    rows = []
    labels = [*paper.sizes, *(row.dataset for row in tables.sizes if not row.paper_dataset)]
    for label in labels:
        papers = paper.sizes.get(label, (None, None, None))
        found = [row for row in tables.sizes if (row.paper_dataset or row.dataset) == label]
        for row in found or [None]:
            sizes = (row.pool, row.train, row.test) if row else (None, None, None)
            cells = tuple(Cell(ours=size, paper=papers_size) for size, papers_size in zip(sizes, papers, strict=True))
            rows.append(Row(label, row.dataset if row else "", "", cells))
    columns = {"pool": "pool", "train": "hard, train", "test": "hard, test"}
    return PaperTable("table2_datasets", TITLES["table2_datasets"], columns, rows)


def _hyperparameter_table(config: Config, paper: PaperFigures) -> PaperTable:
    ours = hyperparameters(config)
    rows = []
    for key, papers in paper.hyperparameters.items():
        scope, name = key
        cells = tuple(
            Cell(ours=mine or None, paper=papers_value or None)
            for mine, papers_value in zip(ours[key], papers, strict=True)
        )
        rows.append(Row(f"{scope}: {name}".replace("_", " "), "", "", cells))
    columns = {"teacher": "teacher", "student": "student"}
    return PaperTable("table3_hyperparameters", TITLES["table3_hyperparameters"], columns, rows)


def _taxonomy_table(config: Config, tables: Tables, paper: PaperFigures) -> PaperTable:
    """Its columns are arms: the paper's, each as often as data sets of ours have it, then ours that it lacks."""
    ours = {(row.dataset, row.arm): row for row in tables.taxonomy if not config.arms[row.arm].transfer_from}
    papers_column = {arm: paper.judged_method(config.arms[arm[1]]) for arm in ours}
    columns = list(_in_the_papers_order(config, list(paper.taxonomy), papers_column))
    several = len(config.datasets) > 1

    def cells(ours_column: str, papers_category: str) -> Iterator[Cell]:
        for label, _, arm in columns:
            row = ours[arm] if arm else None
            yield Cell(
                row and getattr(row, ours_column),
                row and getattr(row, ours_column.replace("_percent", "_sd_percent")),
                paper.taxonomy.get(label, {}).get(papers_category),
            )

    def counts(ours_column: str, papers_category: str | None = None) -> Iterator[Cell]:
        for label, _, arm in columns:
            count = paper.taxonomy.get(label, {}).get(papers_category)
            yield Cell(getattr(ours[arm], ours_column) if arm else None, paper=None if count is None else int(count))

    rows = [
        Row(category.removesuffix("_percent").replace("_", " "), "", "", tuple(cells(name, category)))
        for name, category in ((name.removeprefix("paper_"), category) for name, category in PAPER_CATEGORIES.items())
    ]
    rows.append(Row("questions with a verdict", "", "", tuple(counts("judged", "total_samples"))))
    rows.append(Row("questions without one", "", "", tuple(counts("unjudged"))))
    rows.append(Row("teacher seeds", "", "", tuple(counts("teacher_seeds"))))
    names = {("_".join(arm) if several else arm[1]) if arm else label: shown for label, shown, arm in columns}
    return PaperTable("table7_taxonomy", TITLES["table7_taxonomy"], names, rows, note=OVER_QUESTIONS)


def _in_the_papers_order(
    config: Config, papers: list[str], ours: dict[Arm, str | None]
) -> Iterator[tuple[str, str, Arm | None]]:
    """(the paper's name, the name to show, our arm or None): the paper's rows, then our arms that it lacks ("").

    A row that several data sets of ours stand for comes once for each, with the data set in its name.
    """
    for label in papers:
        found = [arm for arm, row in ours.items() if row == label]
        for arm in found or [None]:
            yield label, f"{label}, {arm[0]}" if len(found) > 1 else label, arm
    lacking = [arm for arm, row in ours.items() if row not in papers]
    several = len({dataset for dataset, _ in ours}) > 1
    for dataset, name in lacking:
        label = config.arms[name].label
        yield "", f"{label}, {dataset}" if several else label, (dataset, name)


def _sets(count: int, questions: int) -> str:
    return f"{counted(count, 'question set')}, {counted(questions, 'question')}" if count else ""
