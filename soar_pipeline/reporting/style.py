"""How every figure is built: line styles and markers that survive grey print, panels, legends, fixed bytes."""

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from soar_pipeline.artifacts.atomic import atomic_path, write_text
from soar_pipeline.reporting.text_alternative import text_alternative
from soar_pipeline.reporting.theme import COLOURS, GREY, INK, PAPER, svg_in_the_dark

# Figures of the paper that stand beside ours: hollow, so that no colour is needed to tell them apart.
HOLLOW = {"mfc": PAPER, "mec": INK, "mew": 0.9, "ls": "", "zorder": 5}

DASHES = ((0, ()), (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (9, 3)), (0, (2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "ooo")

FIGURE_WIDTH, NARROWEST_PANEL, PANEL_HEIGHT, PNG_DPI = 9.4, 3.3, 2.9, 160

# Of a legend's entry without its text, and of a letter of it, in inches.
HANDLE_WIDTH, LETTER_WIDTH = 0.62, 0.068


class Style(NamedTuple):
    color: str
    linestyle: tuple
    marker: str
    hatch: str = ""


def styles(names: Iterable[str]) -> dict[str, Style]:
    """One look per name, by position: the same arm looks the same in every figure."""
    return {
        name: Style(
            COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)], MARKERS[i % len(MARKERS)], HATCHES[i % len(HATCHES)]
        )
        for i, name in enumerate(names)
    }


def panels(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    """A grid of panels that share one figure width, so that text is the same size in every figure; axes by row."""
    width = columns * max(FIGURE_WIDTH / columns, NARROWEST_PANEL)
    figure, axes = plt.subplots(rows, columns, figsize=(width, PANEL_HEIGHT * rows + 0.5), squeeze=False)
    return figure, axes.tolist()


def wrapped_panels(groups: int, per_group: int, widest: int = 3) -> tuple[Figure, list[list[Axes]]]:
    """The same if a row may be too long: every group begins a row and goes on in the next; axes by group."""
    columns = min(per_group, widest)
    rows = math.ceil(per_group / columns)
    figure, grid = panels(groups * rows, columns)
    by_group = [[axes for row in grid[g * rows : (g + 1) * rows] for axes in row] for g in range(groups)]
    for axes in by_group:
        for unused in axes[per_group:]:
            unused.remove()
    return figure, [axes[:per_group] for axes in by_group]


def empty(axes: Axes, text: str) -> None:
    """Say in the panel why there is nothing to draw."""
    axes.set(xlabel="", ylabel="")
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=GREY)


def legend_below(figure: Figure, handles: list[Artist]) -> None:
    """One legend for all panels, outside of them, in rows of similar length that fit the figure."""
    if handles:
        longest = max(len(handle.get_label()) for handle in handles)
        fitting = int(figure.get_figwidth() / (HANDLE_WIDTH + longest * LETTER_WIDTH))
        rows = math.ceil(len(handles) / max(1, min(5, fitting)))
        figure.legend(handles=handles, loc="outside lower center", ncols=math.ceil(len(handles) / rows))


def line_handle(label: str, look: Style, marker: bool = True) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], color=look.color, linestyle=look.linestyle, marker=look.marker if marker else "", label=label)


def promotion_handle() -> Line2D:
    """The legend's entry for the stars of promotions."""
    return Line2D([], [], marker="*", markersize=11, mfc=PAPER, mec=INK, ls="", label="promotion")


def percent_axis(axes: Axes, label: str) -> None:
    """From a little below zero, so that what solves nothing stays visible, to a little above all that was drawn."""
    top = max(5.0, axes.dataLim.y1 if axes.has_data() else 0.0)
    axes.set(ylabel=label, ylim=(-0.03 * top, 1.06 * top))


def svg_of(figure: Figure, name: str) -> str:
    """The figure as SVG, with its heading (or else its name) and what it shows in words, and no date."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={**_words(figure, name), "Date": None, "Creator": None})
    plt.close(figure)
    return svg_in_the_dark(drawn.getvalue())


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both forms atomically, with no date and no program version in them."""
    with atomic_path(png) as temporary:
        figure.savefig(temporary, format="png", dpi=PNG_DPI, metadata={**_words(figure, png.stem), "Software": None})
    write_text(svg, svg_of(figure, svg.stem))


def _words(figure: Figure, name: str) -> dict[str, str]:
    return {"Title": figure.get_suptitle() or name.replace("_", " "), "Description": text_alternative(figure)}
