"""What a figure shows, in words, for those who do not see it: read from what was drawn, so it cannot differ from it."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D


def text_alternative(figure: Figure) -> str:
    """The heading, then for every panel its title, its axes, and where each labelled line, group of bars or set of
    points begins and ends, or where points at one height are; a panel of text is its text."""
    parts = [figure.get_suptitle(), *(_panel(axes) for axes in figure.axes)]
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)


def _panel(axes: Axes) -> str:
    axis = f"{axes.get_ylabel()} by {axes.get_xlabel()}" if axes.get_xlabel() and axes.get_ylabel() else ""
    title = " — ".join(filter(None, (axes.get_title(loc="left"), axis or axes.get_xlabel() or axes.get_ylabel())))
    shown = [f"{label}: {text}" for label, text in _labelled(axes)] or [text.get_text() for text in axes.texts]
    return ": ".join(filter(None, (title, "; ".join(" ".join(text.split()) for text in shown))))


def _labelled(axes: Axes) -> Iterator[tuple[str, str]]:
    """What has a label of its own; matplotlib's begin with an underscore."""
    errorbars = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
    in_containers = {id(one.lines[0]) for one in errorbars}
    for one in [*axes.containers, *axes.lines, *axes.collections]:
        label = str(one.get_label())
        if label and not label.startswith("_") and id(one) not in in_containers:
            x, y = _points(one)
            known = np.isfinite(x) & np.isfinite(y)
            if known.any() and isinstance(one, PathCollection) and len(set(y)) == 1:
                yield label, "at " + ", ".join(_number(value) for value in x)
            elif known.any():
                yield label, _from_to(x[known], y[known])


def _points(one: object) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(one, ErrorbarContainer):
        one = one.lines[0]
    if isinstance(one, Line2D):
        return np.asarray(one.get_xdata(orig=False), float), np.asarray(one.get_ydata(orig=False), float)
    if isinstance(one, BarContainer):
        return (
            np.array([bar.get_x() + bar.get_width() / 2 for bar in one]),
            np.array([bar.get_height() for bar in one]),
        )
    if isinstance(one, PathCollection):
        points = np.ma.filled(np.ma.asarray(one.get_offsets(), float), np.nan)
        return points[:, 0], points[:, 1]
    return np.array([]), np.array([])


def _from_to(x: np.ndarray, y: np.ndarray) -> str:
    """Its first and last point, and its highest if that is another."""
    ends = [0] if len(x) == 1 else [0, len(x) - 1]
    top = int(np.argmax(y))
    text = " to ".join(f"{_number(y[end])} at {_number(x[end])}" for end in ends)
    return text if y[top] in y[ends] else f"{text}, at most {_number(y[top])} at {_number(x[top])}"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
