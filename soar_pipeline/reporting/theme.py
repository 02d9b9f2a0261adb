"""The colours of figures, on white paper and on a dark screen, and matplotlib's settings.

A figure is drawn once, for paper. Its SVG says how each colour looks where the reader prefers dark: viewers that know
no such preference show it as on paper.
"""

import matplotlib

# Text and axes, remarks, grid, and the paper itself. No pure black: matplotlib leaves that out of an SVG, and what is
# not there cannot be changed in the dark.
INK, GREY, LIGHT_GREY, GRID, PAPER = "#1b1f24", "#5f6872", "#b9bec4", "#e3e6e9", "#ffffff"
# Okabe & Ito 2008, without the yellow that vanishes on white; ordered so that neighbours differ in lightness too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
# A sequence from light to dark for ordered classes: also ordered in grey.
ORDERED = ("#d0e5f2", "#8fc1e3", "#4a93c9", "#1f649d", "#0b3a63")
IN_THE_DARK = {
    INK: "#e6e9ec",
    GREY: "#9aa5af",
    LIGHT_GREY: "#5b656e",
    GRID: "#2c3339",
    PAPER: "#14181c",
    **dict(zip(COLOURS, ("#3d9be0", "#f0803c", "#2fbf95", "#dd94bd", "#86cbf5", "#f0b432"), strict=True)),
    **dict(zip(ORDERED, ("#cfe6f5", "#93c5e6", "#559fd4", "#2f78b5", "#255783"), strict=True)),
}

LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.facecolor": PAPER,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "savefig.edgecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "hatch.color": PAPER,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 3.0,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "figure.constrained_layout.use": True,
    # Equal data must give equal bytes: element ids from a fixed salt.
    "svg.hashsalt": "soar_pipeline",
}


def svg_in_the_dark(svg: str) -> str:
    """An SVG of matplotlib's with the rules that change its colours in the dark."""
    # Colours stand in styles, and those of hatches in attributes.
    rules = "".join(
        f'[style*="{kind}: {light}"],[{kind}="{light}"]{{{kind}:{dark}!important}}'
        for light, dark in IN_THE_DARK.items()
        for kind in ("fill", "stroke")
    )
    opening = '<style type="text/css">'
    return svg.replace(opening, f"{opening}@media (prefers-color-scheme: dark){{{rules}}}", 1)


# For the whole process: matplotlib reads some of these when an axes is made, others at each call.
matplotlib.rcParams.update(LOOK)
