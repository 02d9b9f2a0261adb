"""Figures that compare arms at their reported steps: improvement, bars, sweeps; the paper's figures beside ours."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from soar_pipeline.config import Config
from soar_pipeline.reporting.paper import paper_name
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.student_figures import REFERENCE, arm_styles
from soar_pipeline.reporting.style import (
    GREY,
    HOLLOW,
    LIGHT_GREY,
    Style,
    empty,
    legend_below,
    line_handle,
    panels,
    styles,
    wrapped_panels,
)
from soar_pipeline.reporting.tables import PasskRow

ByArm = dict[tuple[str, int], PasskRow]
NOT_RUN = "not run"


def improvement(shown: Selection, passk: list[PasskRow]) -> Figure:
    """Improvement over the baseline arm in points at each k: ours in the left column, the paper's in the right."""
    config, looks, baseline = shown.config, arm_styles(shown), shown.config.report.baseline_arm
    figure, grid = panels(len(shown.datasets), 2)
    for dataset, (ours, papers) in zip(shown.datasets, grid, strict=True):
        rows = _by_arm(passk, dataset)
        others = [name for name in shown.arms_on(dataset) if name != baseline]
        _improvements(ours, shown, others, rows, looks, "mean_percent", "sd_percent")
        _improvements(papers, shown, others, rows, looks, "paper_mean_percent", "paper_sd_percent")
        ours.set_title(f"{dataset}: this run")
        papers.set_title(_paper_title(config, dataset))
        ours.set_ylabel(f"points over {config.arms[baseline].label}")
    legend_below(figure, [line_handle(arm.label, looks[name]) for name, arm in shown.arms.items() if name != baseline])
    return figure


def _improvements(
    axes: Axes, shown: Selection, others: list[str], rows: ByArm, looks: dict[str, Style], mean: str, sd: str
) -> None:
    ks, baseline, drawn = shown.ks, shown.config.report.baseline_arm, False
    for position, name in enumerate(others):
        pairs = [(k, rows.get((name, k)), rows.get((baseline, k))) for k in ks]
        points = [
            (k, getattr(row, mean) - getattr(base, mean), getattr(row, sd) or 0.0)
            for k, row, base in pairs
            if row and base and getattr(row, mean) is not None and getattr(base, mean) is not None
        ]
        if not points:
            continue
        drawn = True
        at, gains, spreads = (np.array(column, dtype=float) for column in zip(*points, strict=True))
        # Neighbouring arms stand a little apart, so that their error bars can be told apart.
        apart = 2.0 ** (0.07 * (position - (len(others) - 1) / 2))
        look = looks[name]
        axes.errorbar(
            at * apart, gains, spreads, color=look.color, ls=look.linestyle, marker=look.marker, elinewidth=0.9
        )
    if not drawn:
        empty(axes, "no figures for these arms")
        return
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("k")


def bars(shown: Selection, passk: list[PasskRow]) -> Figure:
    """pass@k of arms side by side, a group of bars for each k, error bars of one SD; the paper's as hollow diamonds."""
    looks = arm_styles(shown)
    figure, [row] = wrapped_panels(1, len(shown.datasets), widest=2)
    papers_shown = False
    for dataset, axes in zip(shown.datasets, row, strict=True):
        papers_shown |= _bars(axes, shown, dataset, _by_arm(passk, dataset), looks)
        axes.set_title(dataset)
    handles: list[Patch | Line2D] = [
        Patch(fc=_fill(looks[name]), ec="white", hatch=looks[name].hatch, label=arm.label)
        for name, arm in shown.arms.items()
    ]
    legend_below(figure, [*handles, *_paper_handle(papers_shown)])
    return figure


def _bars(axes: Axes, shown: Selection, dataset: str, rows: ByArm, looks: dict[str, Style]) -> bool:
    """Whether the paper has figures for any of these arms."""
    ks, arms = shown.ks, list(shown.arms_on(dataset))
    width, papers = 0.8 / max(1, len(arms)), []
    for position, name in enumerate(arms):
        for group, k in enumerate(ks):
            row, look = rows.get((name, k)), looks[name]
            place = group + (position - (len(arms) - 1) / 2) * width
            if row is None or row.mean_percent is None:
                continue
            axes.bar(
                place, row.mean_percent, 0.92 * width, color=_fill(look), hatch=look.hatch, edgecolor="white", lw=0
            )
            axes.errorbar(place, row.mean_percent, row.sd_percent or 0.0, color="black", elinewidth=1, capsize=2.5)
            if row.paper_mean_percent is not None:
                papers.append((place, row.paper_mean_percent))
    if not axes.patches:
        empty(axes, NOT_RUN)
        return False
    axes.plot([place for place, _ in papers], [value for _, value in papers], marker="D", **HOLLOW)
    axes.set_xticks(range(len(ks)), [f"pass@{k}" for k in ks])
    axes.set(ylabel="test problems solved, %", ylim=(0, None))
    axes.grid(False, axis="x")
    return bool(papers)


def _fill(look: Style) -> str:
    """Error bars are black, so no bar is."""
    return LIGHT_GREY if look == REFERENCE else look.color


@dataclass(frozen=True)
class Swept:
    """Where an arm stands in a sweep: its place, and the line that it belongs to."""

    value: float
    line: str


def swept(config: Config, dataset: str, arm: str, against: str) -> Swept:
    """Arms that differ only in the swept value lie on one line."""
    chosen = config.arms[arm]
    if against == "size":
        questions = chosen.questions
        lines = {
            "teacher": f"{chosen.soar_objective} teachers",
            "pool": f"real questions, {getattr(questions, 'pool', '')}",
            "base_teacher": "base model",
        }
        return Swept(questions.size, lines[questions.source])
    soar = config.soar_of(chosen.transfer_from or dataset, chosen.soar_objective)
    if against == "tau":
        return Swept(soar.promotion_threshold, f"n = {soar.questions_per_dataset}")
    return Swept(soar.questions_per_dataset, f"τ = {soar.promotion_threshold:g}")


def sweep(shown: Selection, passk: list[PasskRow]) -> Figure:
    """pass@k against the swept value, a line for arms that differ in nothing else; the paper's as hollow diamonds.

    A row of panels per dataset, one for each k; the baseline arm as a level.
    """
    config, against = shown.config, shown.figure.against
    places = {
        dataset: {arm: swept(config, dataset, arm, against) for arm in shown.arms_on(dataset)}
        for dataset in shown.datasets
    }
    looks = styles(dict.fromkeys(place.line for here in places.values() for place in here.values()))
    figure, grid = wrapped_panels(len(shown.datasets), len(shown.ks))
    papers_shown = False
    for dataset, row in zip(shown.datasets, grid, strict=True):
        for k, axes in zip(shown.ks, row, strict=True):
            rows = {arm: found for (arm, at), found in _by_arm(passk, dataset).items() if at == k}
            papers_shown |= _sweep(axes, against, places[dataset], rows, looks)
            level = rows.get(config.report.baseline_arm)
            if axes.lines and level and level.mean_percent is not None:
                axes.axhline(level.mean_percent, color=REFERENCE.color, linestyle=REFERENCE.linestyle, linewidth=1.1)
            axes.set_title(f"{dataset}: pass@{k}")
    baseline = Line2D([], [], color="black", linewidth=1.1, label=config.arms[config.report.baseline_arm].label)
    handles = [line_handle(line, look) for line, look in looks.items()]
    legend_below(figure, [*handles, baseline, *_paper_handle(papers_shown)])
    return figure


AXIS = {"size": "questions given to the student", "tau": "promotion threshold τ", "n": "questions per dataset n"}


def _sweep(
    axes: Axes, against: str, places: dict[str, Swept], rows: dict[str, PasskRow], looks: dict[str, Style]
) -> bool:
    """Whether the paper has figures for any of these arms."""
    known = [(place, rows[arm]) for arm, place in places.items() if arm in rows and rows[arm].mean_percent is not None]
    if not known:
        empty(axes, NOT_RUN)
        return False
    for line, look in looks.items():
        points = sorted(
            (place.value, row.mean_percent, row.sd_percent or 0.0) for place, row in known if place.line == line
        )
        if points:
            values, means, spreads = zip(*points, strict=True)
            axes.errorbar(
                values,
                means,
                spreads,
                color=look.color,
                ls=look.linestyle,
                marker=look.marker,
                elinewidth=0.9,
                capsize=3,
            )
    papers = [(place.value, row.paper_mean_percent) for place, row in known if row.paper_mean_percent is not None]
    axes.plot([value for value, _ in papers], [mean for _, mean in papers], marker="D", **HOLLOW)
    values = sorted({place.value for place, _ in known})
    if against != "tau":
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.margins(x=0.12)
    axes.set(xlabel=AXIS[against], ylabel="test problems solved, %", ylim=(0, None))
    return bool(papers)


def _by_arm(passk: list[PasskRow], dataset: str) -> ByArm:
    return {(row.arm, row.k): row for row in passk if row.dataset == dataset}


def _paper_handle(shown: bool) -> list[Line2D]:
    return [Line2D([], [], marker="D", label="the paper's", **HOLLOW)] if shown else []


def _paper_title(config: Config, dataset: str) -> str:
    table = config.datasets[dataset].paper_table
    if table is None:
        return "paper"
    number = table.removeprefix("table").split("_")[0]
    return f"paper, table {number} ({paper_name(config, dataset) or table.partition('_')[2]})"
