"""The paper's tables in the paper's shape: its rows in its order with ours beside them, as CSV and Markdown.

They are made from the long tables (`long_tables.py`), which stay the data. After the paper's rows stand the arms of
ours that it lacks. What was not run is missing, and blank wherever it is shown.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from soar_pipeline.config import PASS_AT_K, Config
from soar_pipeline.reporting.finding import counted, seeds_of
from soar_pipeline.reporting.frames import rows
from soar_pipeline.reporting.hyperparameters import hyperparameters
from soar_pipeline.reporting.long_tables import Tables
from soar_pipeline.reporting.paper import CATEGORY_COLUMNS, PaperFigures
from soar_pipeline.reporting.table_names import TITLES, own_table, table_names

# What stands in our cells; said of no table whose cells explain themselves.
OVER_RUNS = "Ours: mean ± standard deviation over all runs of an arm."
OVER_SETS = (
    "Ours: mean ± standard deviation over subsamples of all questions of an arm. Scores of different embedders differ."
)
OVER_QUESTIONS = "Ours: share of the questions with a verdict ± standard deviation between question sets."
BLANK = "Beside each figure of ours stands the paper's. Blank: not run here, or not in the paper."
NAMES = ["row", "ours", "seeds"]


@dataclass(frozen=True)
class PaperTable:
    """A table by its name.

    headings: name of a column in the CSV -> heading.
    frame: `row` as in the paper, `ours` (the arm or data set that stands for it), `seeds` (what its figures rest on),
    and for each column `c` of headings `c`, `c_sd`, `paper_c`, `paper_c_sd`.
    decimals: of means and SDs; note: what our cells are, and may be empty.
    """

    name: str
    title: str
    headings: dict[str, str]
    frame: pd.DataFrame
    decimals: int = 1
    note: str = ""

    @property
    def names_ours(self) -> bool:
        """Whether rows stand for arms or data sets of ours; those of tables 3 and 7 do not."""
        return bool((self.frame["ours"] != "").any())

    @property
    def rows_run(self) -> int:
        return int(self.frame[list(self.headings)].notna().any(axis="columns").sum())

    def figures(self) -> pd.DataFrame:
        """To compute with: the frame, with SD columns only if the table has SDs."""
        spreads = [name for column in self.headings for name in (f"{column}_sd", f"paper_{column}_sd")]
        return self.frame if self.frame[spreads].notna().any(axis=None) else self.frame.drop(columns=spreads)

    def texts(self) -> pd.DataFrame:
        """To be read: NAMES, then per column ours and the paper's, such as `18.9 ± 2.1`, `359`, `cosine` or nothing."""
        texts = self.frame[NAMES].copy()
        for column in self.headings:
            for name in (column, f"paper_{column}"):
                pairs = zip(self.frame[name], self.frame[f"{name}_sd"], strict=True)
                texts[name] = [_shown(value, sd, self.decimals) for value, sd in pairs]
        return texts

    def markdown(self) -> str:
        """The table with its title, as GitHub shows it."""
        texts = self.texts()
        texts["ours"] = [f"`{name}`" if name else "" for name in texts["ours"]]
        if not self.names_ours:
            texts = texts.drop(columns=["ours", "seeds"])
        names = ["", "ours", "seeds"] if self.names_ours else [""]
        figures = [text for heading in self.headings.values() for text in (heading, "paper")]
        table = texts.map(_escaped).to_markdown(
            index=False,
            tablefmt="pipe",
            headers=[_escaped(text) for text in names + figures],
            colalign=["left"] * len(names) + ["right"] * len(figures),
            disable_numparse=True,
        )
        return f"## {_escaped(self.title)}\n\n{table}\n\n{f'{self.note} {BLANK}'.strip()}\n"


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
    ks = PASS_AT_K if name in TITLES else config.pass_at_k
    columns = {f"pass_at_{k}": f"pass@{k}" for k in ks}
    ours = tables.passk[tables.passk.apply(lambda row: _table_of(config, row) == name, axis="columns")]
    figures = {"mean_percent": "", "sd_percent": "_sd"}
    ours = _wide(ours, ["dataset", "arm", "paper"], figures).merge(_last_rows(ours), on=["dataset", "arm"])
    papers = paper.passk[paper.passk["paper_table"] == name]
    papers = _wide(papers, ["paper"], {"paper_mean_percent": "", "paper_sd_percent": "_sd"}, prefix="paper_")
    frame = _complete(_beside(papers, _labelled(ours)), columns)
    title = TITLES.get(name) or f"pass@k on {name.removeprefix('passk_')}, %"
    return PaperTable(name, title, columns, frame, note=OVER_RUNS)


def _table_of(config: Config, row: object) -> str:
    """The table that an arm's pass@k stands in."""
    return config.arms[row.arm].paper_table or config.datasets[row.dataset].paper_table or own_table(row.dataset)


def _wide(long: pd.DataFrame, index: list[str], figures: dict[str, str], prefix: str = "") -> pd.DataFrame:
    """One row per `index` in the order of the long table, a column per k and figure: `pass_at_8`, `pass_at_8_sd`."""
    wide = long.pivot(index=index, columns="k", values=list(figures))
    wide.columns = [f"{prefix}pass_at_{k}{figures[figure]}" for figure, k in wide.columns]
    return long[index].drop_duplicates().merge(wide.reset_index(), on=index)


def _last_rows(passk: pd.DataFrame) -> pd.DataFrame:
    """By dataset and arm: label, and what its figures rest on, as the row of the largest k says."""
    last = passk.drop_duplicates(["dataset", "arm"], keep="last")
    seeds = [_listed(seeds_of(row) if row.student_runs else "", row.status) for row in rows(last)]
    return last[["dataset", "arm", "label"]].assign(seeds=seeds)


def _vendi_table(config: Config, tables: Tables, paper: PaperFigures) -> PaperTable:
    ours = _own_questions(config, tables.vendi).rename(
        columns={"vendi_mean": "vendi_score", "vendi_sd": "vendi_score_sd"}
    )
    ours = ours.assign(
        paper=[paper.vendi_row(config, row.dataset, config.arms[row.arm]) for row in ours.itertuples(index=False)],
        seeds=[_listed(_sets(row.teacher_seeds, row.questions), row.status) for row in ours.itertuples(index=False)],
    )
    papers = paper.vendi.set_axis(["paper", "paper_vendi_score", "paper_vendi_score_sd"], axis="columns")
    columns = {"vendi_score": "Vendi score"}
    frame = _complete(_beside(papers, _labelled(ours)), columns)
    return PaperTable("table1_vendi", TITLES["table1_vendi"], columns, frame, decimals=2, note=OVER_SETS)


def _own_questions(config: Config, table: pd.DataFrame) -> pd.DataFrame:
    """Without the questions that were made on another data set, which have their row there."""
    return table[table["arm"].isin([name for name, arm in config.arms.items() if arm.transfer_from is None])]


def _sizes_table(tables: Tables, paper: PaperFigures) -> PaperTable:
    columns = {"pool": "pool", "train": "hard, train", "test": "hard, test"}
    ours = tables.sizes.rename(columns={"paper_dataset": "paper"})
    ours = ours[["dataset", "paper", *columns]].assign(arm=ours["dataset"], label=ours["dataset"], seeds="")
    papers = paper.sizes.rename(columns={"paper_dataset": "paper"})
    return PaperTable("table2_datasets", TITLES["table2_datasets"], columns, _complete(_beside(papers, ours), columns))


def _hyperparameter_table(config: Config, paper: PaperFigures) -> PaperTable:
    columns = {"teacher": "teacher", "student": "student"}
    papers = paper.hyperparameters
    names = (papers["scope"] + ": " + papers["name"]).str.replace("_", " ")
    resolved = hyperparameters(config)
    ours = pd.DataFrame(
        [resolved[key] for key in zip(papers["scope"], papers["name"], strict=True)], columns=list(columns)
    )
    figures = pd.concat([ours, papers[list(columns)].add_prefix("paper_")], axis="columns")
    figures = figures.mask(figures == "")
    frame = _complete(figures.assign(row=names, ours="", seeds=""), columns)
    return PaperTable("table3_hyperparameters", TITLES["table3_hyperparameters"], columns, frame)


def _taxonomy_table(config: Config, tables: Tables, paper: PaperFigures) -> PaperTable:
    """Its columns are arms: the paper's, each as often as data sets of ours have it, then ours that it lacks."""
    categories = {ours.removeprefix("paper_"): category for category, ours in CATEGORY_COLUMNS.items()}
    names = {column: category.removesuffix("_percent").replace("_", " ") for column, category in categories.items()}
    names |= {
        "judged": "questions with a verdict",
        "unjudged": "questions without one",
        "teacher_seeds": "teacher seeds",
    }
    ours = _own_questions(config, tables.taxonomy)
    ours = ours[["dataset", "arm", "label", *names, *(name for name in ours if name.endswith("_sd_percent"))]]
    ours = ours.rename(columns=lambda name: name.replace("_sd_percent", "_percent_sd"))
    ours = ours.assign(paper=[paper.judged_method(config.arms[name]) for name in ours["arm"]], seeds="")
    arms = _beside(paper.taxonomy, _labelled(ours))
    several = len(config.datasets) > 1
    dataset = arms["dataset"] + "_" if several else ""
    keys = (dataset + arms["ours"]).where(arms["ours"] != "", arms["row"])
    columns = dict(zip(keys, arms["row"], strict=True))
    frame = pd.DataFrame({"row": names.values(), "ours": "", "seeds": ""})
    cells = arms.reindex(columns=_cells(names)).astype(object)
    for number, key in enumerate(columns):
        for place, column in enumerate(_cells([key])):
            frame[column] = cells.iloc[number, place::4].array
    return PaperTable("table7_taxonomy", TITLES["table7_taxonomy"], columns, frame, note=OVER_QUESTIONS)


def _labelled(ours: pd.DataFrame) -> pd.DataFrame:
    """With the data set in the labels, if there are several."""
    if ours["dataset"].nunique() > 1:
        return ours.assign(label=ours["label"] + ", " + ours["dataset"])
    return ours


def _beside(papers: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """The paper's rows in their order with ours merged, then our arms that it lacks.

    papers: `paper` (the row) and `paper_c`, perhaps `paper_c_sd`; ours: `dataset`, `arm`, `label`, `seeds`, `paper` and
    `c`, perhaps `c_sd`. A row that several data sets of ours stand for comes once for each, with the data set in its
    name.
    """
    lacking = ours[~ours["paper"].isin(papers["paper"])]
    both = papers.merge(ours, how="left", on="paper")
    named = both["paper"].where(~both["paper"].duplicated(keep=False), both["paper"] + ", " + both["dataset"])
    frame = pd.concat([both.assign(row=named), lacking.assign(row=lacking["label"])], ignore_index=True)
    texts = frame[["arm", "seeds"]].astype(object).fillna("")
    return frame.assign(ours=texts["arm"], seeds=texts["seeds"])


def _complete(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The frame of a PaperTable with these columns; what there is not is empty."""
    return frame.reindex(columns=[*NAMES, *_cells(columns)])


def _cells(columns: Iterable[str]) -> list[str]:
    """The four columns of a PaperTable's frame for each of its columns."""
    return [f"{prefix}{name}{sd}" for name in columns for prefix in ("", "paper_") for sd in ("", "_sd")]


def _shown(value: object, sd: object, decimals: int) -> str:
    if pd.isna(value):
        return ""
    text = f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
    return text if pd.isna(sd) else f"{text} ± {sd:.{decimals}f}"


def _sets(count: int, questions: int) -> str:
    return f"{counted(count, 'question set')}, {counted(questions, 'question')}" if count else ""


def _listed(*texts: str) -> str:
    return ", ".join(filter(None, texts))


def _escaped(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
