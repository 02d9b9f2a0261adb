"""Figures that compare arms at their reported steps: improvement, bars, sweeps; the paper's figures beside ours."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from soar_pipeline.config import Config
from soar_pipeline.reporting.frames import rows
from soar_pipeline.reporting.paper import paper_name
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.student_figures import REFERENCE, arm_styles
from soar_pipeline.reporting.style import (
    HOLLOW,
    Style,
    empty,
    legend_below,
    line_handle,
    panels,
    percent_axis,
    styles,
    wrapped_panels,
)
from soar_pipeline.reporting.theme import GREY, INK, LIGHT_GREY, PAPER

NOT_RUN = "not run"


def improvement(selection: Selection, passk: pd.DataFrame) -> Figure:
    """Improvement over the baseline arm in points at each k: ours in the left column, the paper's in the right."""
    config, looks, baseline = selection.config, arm_styles(selection), selection.config.report.baseline_arm
    figure, grid = panels(len(selection.datasets), 2)
    for dataset, (ours, papers) in zip(selection.datasets, grid, strict=True):
        here = passk[passk["dataset"] == dataset]
        _improvements(ours, selection, dataset, here, looks, "mean_percent", "sd_percent")
        _improvements(papers, selection, dataset, here, looks, "paper_mean_percent", "paper_sd_percent")
        ours.set_title(f"{dataset}: this run")
        papers.set_title(_paper_title(config, dataset))
        ours.set_ylabel(f"points over {config.arms[baseline].label}")
    legend_below(
        figure, [line_handle(arm.label, looks[name]) for name, arm in selection.arms.items() if name != baseline]
    )
    return figure


def _improvements(
    axes: Axes, selection: Selection, dataset: str, passk: pd.DataFrame, looks: dict[str, Style], mean: str, sd: str
) -> None:
    ks, baseline = selection.ks, selection.config.report.baseline_arm
    means = passk.pivot(index="k", columns="arm", values=mean).reindex(index=ks).astype(float)
    spreads = passk.pivot(index="k", columns="arm", values=sd).reindex(index=ks).astype(float).fillna(0.0)
    others = [name for name in selection.arms_on(dataset) if name != baseline]
    drawn = False
    for position, name in enumerate(others):
        gains = (means[name] - means[baseline]).dropna() if {name, baseline} <= set(means) else means.iloc[:0, 0:0]
        if gains.empty:
            continue
        drawn = True
        # Neighbouring arms stand a little apart, so that their error bars can be told apart.
        apart = 2.0 ** (0.07 * (position - (len(others) - 1) / 2))
        look = looks[name]
        axes.errorbar(
            gains.index.to_numpy(float) * apart,
            gains.to_numpy(),
            np.hypot(spreads.loc[gains.index, name], spreads.loc[gains.index, baseline]).to_numpy(),
            color=look.color,
            ls=look.linestyle,
            marker=look.marker,
            elinewidth=0.9,
            label=selection.arms[name].label,
        )
    if not drawn:
        empty(axes, "no figures for these arms")
        return
    axes.axhline(0, color=GREY, linewidth=0.8)
    if axes.dataLim.height < 1:
        axes.set_ylim(-5, 5)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("k")


def bars(selection: Selection, passk: pd.DataFrame) -> Figure:
    """pass@k of arms side by side, a group of bars for each k, error bars of one SD; the paper's as hollow diamonds."""
    looks = arm_styles(selection)
    figure, [row] = wrapped_panels(1, len(selection.datasets), widest=2)
    papers_shown = False
    for dataset, axes in zip(selection.datasets, row, strict=True):
        papers_shown |= _bars(axes, selection, dataset, passk, looks)
        axes.set_title(dataset)
    handles: list[Patch | Line2D] = [
        Patch(fc=_fill(looks[name]), ec=PAPER, hatch=looks[name].hatch, label=arm.label)
        for name, arm in selection.arms.items()
    ]
    legend_below(figure, [*handles, *_paper_handle(papers_shown)])
    return figure


def _bars(axes: Axes, selection: Selection, dataset: str, passk: pd.DataFrame, looks: dict[str, Style]) -> bool:
    """Whether the paper has figures for any of these arms."""
    ks, arms = selection.ks, list(selection.arms_on(dataset))
    width, papers = 0.8 / max(1, len(arms)), []
    for row in rows(_with_figures(passk, dataset, arms)):
        if row.k not in ks:
            continue
        position, look = arms.index(row.arm), looks[row.arm]
        place = ks.index(row.k) + (position - (len(arms) - 1) / 2) * width
        label = f"{row.label}, pass@{row.k}"
        bar = {"color": _fill(look), "hatch": look.hatch, "edgecolor": PAPER, "lw": 0, "label": label}
        axes.bar(place, row.mean_percent, 0.92 * width, **bar)
        axes.errorbar(place, row.mean_percent, row.sd_percent or 0.0, color=INK, elinewidth=1, capsize=2.5)
        if row.paper_mean_percent is not None:
            papers.append((place, row.paper_mean_percent))
    if not axes.patches:
        empty(axes, NOT_RUN)
        return False
    axes.plot([place for place, _ in papers], [value for _, value in papers], marker="D", **HOLLOW)
    axes.set_xticks(range(len(ks)), [f"pass@{k}" for k in ks])
    percent_axis(axes, "test problems solved, %")
    axes.set_ylim(bottom=0)
    axes.grid(False, axis="x")
    return bool(papers)


def _with_figures(passk: pd.DataFrame, dataset: str, arms: list[str]) -> pd.DataFrame:
    """The rows of these arms on a data set that have figures, in the order of `arms`."""
    chosen = passk[(passk["dataset"] == dataset) & passk["arm"].isin(arms) & passk["mean_percent"].notna()]
    return chosen.sort_values("arm", key=lambda names: names.map(arms.index), kind="stable")


def _fill(look: Style) -> str:
    """Error bars have the colour of text, so no bar has."""
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


def sweep(selection: Selection, passk: pd.DataFrame) -> Figure:
    """pass@k against the swept value, a line for arms that differ in nothing else; the paper's as hollow diamonds.

    A row of panels per dataset, one for each k; the baseline arm as a level.
    """
    config, against = selection.config, selection.figure.against
    places = {
        dataset: {arm: swept(config, dataset, arm, against) for arm in selection.arms_on(dataset)}
        for dataset in selection.datasets
    }
    looks = styles(dict.fromkeys(place.line for here in places.values() for place in here.values()))
    figure, grid = wrapped_panels(len(selection.datasets), len(selection.ks))
    papers_shown = False
    for dataset, row in zip(selection.datasets, grid, strict=True):
        for k, axes in zip(selection.ks, row, strict=True):
            at_k = passk[passk["k"] == k]
            arms, baseline = list(places[dataset]), [config.report.baseline_arm]
            papers_shown |= _sweep(axes, against, places[dataset], _with_figures(at_k, dataset, arms), looks)
            if axes.lines:
                for level in _with_figures(at_k, dataset, baseline)["mean_percent"]:
                    axes.axhline(level, color=REFERENCE.color, linestyle=REFERENCE.linestyle, linewidth=1.1)
            axes.set_title(f"{dataset}: pass@{k}")
    level = Line2D([], [], color=INK, linewidth=1.1, label=config.arms[config.report.baseline_arm].label)
    handles = [line_handle(line, look) for line, look in looks.items()]
    legend_below(figure, [*handles, level, *_paper_handle(papers_shown)])
    return figure


AXIS = {"size": "questions given to the student", "tau": "promotion threshold τ", "n": "questions per dataset n"}


def _sweep(axes: Axes, against: str, places: dict[str, Swept], passk: pd.DataFrame, looks: dict[str, Style]) -> bool:
    """Whether the paper has figures for any of these arms."""
    if passk.empty:
        empty(axes, NOT_RUN)
        return False
    known = passk.assign(
        value=[places[arm].value for arm in passk["arm"]], line=[places[arm].line for arm in passk["arm"]]
    ).sort_values("value", kind="stable")
    for line, look in looks.items():
        points = known[known["line"] == line]
        if len(points):
            axes.errorbar(
                points["value"],
                points["mean_percent"].astype(float),
                points["sd_percent"].astype(float).fillna(0.0),
                color=look.color,
                ls=look.linestyle,
                marker=look.marker,
                elinewidth=0.9,
                capsize=3,
                label=line,
            )
    papers = known.dropna(subset="paper_mean_percent")
    axes.plot(papers["value"], papers["paper_mean_percent"].astype(float), marker="D", **HOLLOW)
    values = sorted(set(known["value"]))
    if against != "tau":
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.margins(x=0.12)
    axes.set_xlabel(AXIS[against])
    percent_axis(axes, "test problems solved, %")
    return not papers.empty


def _paper_handle(present: bool) -> list[Line2D]:
    return [Line2D([], [], marker="D", label="the paper's", **HOLLOW)] if present else []


def _paper_title(config: Config, dataset: str) -> str:
    table = config.datasets[dataset].paper_table
    if table is None:
        return "paper"
    number = table.removeprefix("table").split("_")[0]
    return f"paper, table {number} ({paper_name(config, dataset) or table.partition('_')[2]})"
