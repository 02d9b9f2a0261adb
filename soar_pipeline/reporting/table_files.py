"""A table in the paper's shape as CSV (figures to compute with) and as Markdown (to be read)."""

import csv
import html
import io

from soar_pipeline.reporting.csv_files import DECIMALS
from soar_pipeline.reporting.paper_tables import Cell, PaperTable, Row, Value

BLANK = "Beside each figure of ours stands the paper's. Blank: not run here, or not in the paper."


def as_csv(table: PaperTable) -> str:
    """One line per row: `row`, `ours`, `seeds`, then per column its figure, `…_sd`, `paper_…`, `paper_…_sd`.

    SD columns stand only where the table has SDs.
    """
    spread = any(cell.sd is not None or cell.paper_sd is not None for row in table.rows for cell in row.cells)
    header = ["row", "ours", "seeds"]
    for name in table.columns:
        header += [name, f"{name}_sd", f"paper_{name}", f"paper_{name}_sd"] if spread else [name, f"paper_{name}"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        line: list[Value] = [row.label, row.ours, row.seeds]
        for cell in row.cells:
            line += [cell.ours, cell.sd, cell.paper, cell.paper_sd] if spread else [cell.ours, cell.paper]
        writer.writerow([round(value, DECIMALS) if isinstance(value, float) else value for value in line])
    return text.getvalue()


def as_markdown(table: PaperTable) -> str:
    """The table with its title, as GitHub shows it."""
    header = ["", "ours", "seeds"] if table.names_ours else [""]
    for heading in table.columns.values():
        header += [heading, "paper"]
    lines = [f"## {_escaped(table.title)}", "", _line(header)]
    texts = 3 if table.names_ours else 1
    lines.append(_line(["---"] * texts + ["---:"] * (len(header) - texts)))
    lines += [_line(_texts(table, row)) for row in table.rows]
    return "\n".join([*lines, "", f"{table.note} {BLANK}".strip(), ""])


def shown(value: Value, sd: float | None, decimals: int) -> str:
    """`18.9 ± 2.1`, `359`, `cosine`; empty for None."""
    if value is None:
        return ""
    text = f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
    return text if sd is None else f"{text} ± {sd:.{decimals}f}"


def _texts(table: PaperTable, row: Row) -> list[str]:
    texts = [row.label, f"`{row.ours}`" if row.ours else "", row.seeds] if table.names_ours else [row.label]
    for cell in row.cells:
        texts += _pair(cell, table.decimals)
    return texts


def _pair(cell: Cell, decimals: int) -> list[str]:
    return [shown(cell.ours, cell.sd, decimals), shown(cell.paper, cell.paper_sd, decimals)]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
