"""One panel about SOAR runs: composition of the questions, rewards, the baseline student, sampled questions.

All have the outer step on their x axis, step t from t − ½ to t + ½, so that panels can stand under each other.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from soar_pipeline.config import Config, SoarRun
from soar_pipeline.reporting.composition import CLASS_LOOKS
from soar_pipeline.reporting.frames import by_soar_run
from soar_pipeline.reporting.style import Style, line_handle, percent_axis, styles
from soar_pipeline.reporting.theme import GREY, PAPER

# How far the state after the last step reaches beyond it.
AFTERWARDS = 0.4


def outer_step_axis(axes: Axes, outer_steps: int) -> None:
    axes.set(xlabel="outer step", xlim=(0.3, outer_steps + 0.5 + AFTERWARDS))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def composition_panel(axes: Axes, shares: pd.DataFrame, steps: pd.DataFrame) -> None:
    """Shares of the classes of questions as stacked bars, in [0, 1], outer step × class; promotions as stars above.

    steps: rows of STEPS of the same runs.
    """
    bottom = pd.Series(0.0, index=shares.index)
    for name in shares:
        # Bars, not areas: a step is a batch of its own, and a run of one step must show too.
        look, share = CLASS_LOOKS[name], 100.0 * shares[name]
        axes.bar(
            shares.index,
            share,
            1.0,
            bottom,
            color=look.color,
            hatch=look.hatch,
            edgecolor=PAPER,
            linewidth=0.3,
            label=name,
        )
        bottom += share
    promoted = sorted(set(steps.loc[steps["promoted"], "outer_step"]))
    stars = {"marker": "*", "s": 80, "facecolors": PAPER, "edgecolors": GREY, "linewidths": 1.1}
    axes.scatter(promoted, [104.0] * len(promoted), **stars, clip_on=False, zorder=5, label="promotion")
    for step in promoted:
        axes.axvline(step + 0.5, color=PAPER, linewidth=2.2)
    axes.set(ylabel="share of questions, %", ylim=(0, 100))
    axes.grid(False)


def composition_handles(names: list[str]) -> list[Patch]:
    """Entries of a legend for the classes in these panels."""
    return [
        Patch(fc=CLASS_LOOKS[name].color, ec=PAPER, lw=0.3, hatch=CLASS_LOOKS[name].hatch, label=name) for name in names
    ]


def reward_panel(axes: Axes, config: Config, steps: pd.DataFrame, looks: dict[int, Style]) -> None:
    """Mean reward of every outer step as dots, hollow if the step had no signal, their moving average as a line.

    The average is over at most a window of steps since the last promotion; where its window is full, so that it may
    promote, it is drawn heavier. steps: rows of STEPS of one objective's runs on one data set.
    """
    for run, rows in by_soar_run(steps):
        soar, look, name = config.soar_of(run.dataset, run.objective), looks[run.teacher_seed], _name(run)
        for points, face in ((rows[rows["signal"]], look.color), (rows[~rows["signal"]], "none")):
            axes.scatter(
                points["outer_step"],
                points["mean_reward"],
                s=16,
                marker=look.marker,
                facecolors=face,
                edgecolors=look.color,
                linewidths=0.8,
                alpha=0.55,
                label=f"mean reward, {name}" if face != "none" else "",
            )
        for _, stage in rows.groupby("stage"):
            running = stage["mean_reward"].rolling(soar.moving_average_window, min_periods=1).mean()
            line = {"color": look.color, "linestyle": look.linestyle, "linewidth": 0.9, "alpha": 0.7}
            axes.plot(stage["outer_step"], running, **line)
        axes.plot(
            rows["outer_step"],
            rows["moving_average"].astype(float),
            color=look.color,
            linestyle=look.linestyle,
            marker=look.marker,
            markersize=3,
            label=f"moving average, {name}",
        )
        promoted = rows[rows["promoted"]]
        _stars(axes, promoted["outer_step"], promoted["mean_reward"], look)
    low, high = steps["mean_reward"].min(), steps["mean_reward"].max()
    span = max(high - low, 0.02)
    for run in dict.fromkeys(run[:2] for run, _ in by_soar_run(steps)):
        tau = config.soar_of(*run).promotion_threshold
        # One that any reward passes, or none, would squeeze the rewards into a line.
        if config.objectives[run[1]].promotion and low - span <= tau <= high + span:
            axes.axhline(tau, color=GREY, linestyle=":", linewidth=1, label="threshold τ")
            low, high = min(low, tau), max(high, tau)
    axes.set(ylabel="mean reward", ylim=(low - 0.15 * span, high + 0.15 * span))


def baseline_panel(axes: Axes, steps: pd.DataFrame, promotions: pd.DataFrame, looks: dict[int, Style]) -> None:
    """Greedy accuracy of the baseline student on hard train in percent, to the state after the last step."""
    after = dict(by_soar_run(promotions))
    for run, rows in by_soar_run(steps):
        look = looks[run.teacher_seed]
        accuracy = [*rows["baseline_train_accuracy"], accuracy_at_the_end(rows, after.get(run, promotions[:0]))]
        percent = [100.0 * value for value in (*accuracy, accuracy[-1])]
        edges = [*(rows["outer_step"] - 0.5), rows["outer_step"].max() + 0.5]
        axes.step(
            [*edges, edges[-1] + AFTERWARDS],
            percent,
            where="post",
            color=look.color,
            linestyle=look.linestyle,
            label=f"baseline student, {_name(run)}",
        )
        places = [place for place, promoted in enumerate(rows["promoted"], start=1) if promoted]
        _stars(axes, [edges[place] for place in places], [percent[place] for place in places], look)
    percent_axis(axes, "hard train solved, %")


def accuracy_at_the_end(steps: pd.DataFrame, promotions: pd.DataFrame) -> float:
    """The baseline's accuracy on train after the last outer step of one run, in [0, 1]: STEPS has it before each."""
    last = steps.iloc[-1]
    if not last["promoted"]:
        return float(last["baseline_train_accuracy"])
    return float(promotions.set_index("outer_step").loc[last["outer_step"], "train_accuracy"])


def seed_styles(steps: pd.DataFrame) -> dict[int, Style]:
    """A look for each teacher seed."""
    seeds = sorted(steps["teacher_seed"].unique())
    return dict(zip(seeds, styles(map(str, seeds)).values(), strict=True))


def seed_handles(steps: pd.DataFrame) -> list[Line2D]:
    return [line_handle(f"teacher seed {seed}", look) for seed, look in seed_styles(steps).items()]


def _name(run: SoarRun) -> str:
    return f"teacher seed {run.teacher_seed}"


def _stars(axes: Axes, x: object, y: object, look: Style) -> None:
    for step in x:
        axes.axvline(step, color=look.color, linewidth=0.8, alpha=0.4)
    star = {"marker": "*", "s": 110, "facecolors": PAPER, "edgecolors": look.color, "linewidths": 1.2}
    axes.scatter(x, y, **star, zorder=5, clip_on=False)
