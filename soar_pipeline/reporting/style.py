"""How every figure looks: colour-blind-safe colours, line styles and markers that survive grey print, fixed bytes."""

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

from soar_pipeline.artifacts import atomic_path

# Figures of the paper that stand beside ours: hollow, so that no colour is needed to tell them apart.
HOLLOW = {"mfc": "white", "mec": "black", "mew": 0.9, "ls": "", "zorder": 5}

# Okabe & Ito 2008, without the yellow that vanishes on white; ordered so that neighbours differ in lightness too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ((0, ()), (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (9, 3)), (0, (2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "ooo")
GREY, LIGHT_GREY = "#6b6b6b", "#b9b9b9"
# A sequence from light to dark for ordered classes: also ordered in grey.
ORDERED = ("#d0e5f2", "#8fc1e3", "#4a93c9", "#1f649d", "#0b3a63")

FIGURE_WIDTH, NARROWEST_PANEL, PANEL_HEIGHT, PNG_DPI = 9.4, 3.3, 2.9, 160

# Of a legend's entry without its text, and of a letter of it, in inches.
HANDLE_WIDTH, LETTER_WIDTH = 0.62, 0.068

LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 3.0,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "figure.constrained_layout.use": True,
    # Equal data must give equal bytes: element ids from a fixed salt.
    "svg.hashsalt": "soar_pipeline",
}
# For the whole process: matplotlib reads some of these when an axes is made, others at each call.
matplotlib.rcParams.update(LOOK)


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
    """The same where a row may be too long: every group begins a row and goes on in the next; axes by group."""
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


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both forms atomically, with no date and no program version in them."""
    with atomic_path(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    with atomic_path(png) as temporary:
        figure.savefig(temporary, format="png", dpi=PNG_DPI, metadata={"Software": None})
    plt.close(figure)
