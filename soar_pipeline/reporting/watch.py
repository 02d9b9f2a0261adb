"""`soar-pipeline watch`: how far a run is, on the terminal and as a page, until it has finished."""

import argparse
import base64
import os
import sys
import time
from pathlib import Path

import pandas as pd

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.config import Config, ConfigError, load
from soar_pipeline.config.paths import find_config
from soar_pipeline.reporting.durations import duration
from soar_pipeline.reporting.figures import FigureData, draw
from soar_pipeline.reporting.page import environment
from soar_pipeline.reporting.progress import RunProgress, Training, run_progress
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import svg_of
from soar_pipeline.reporting.text_alternative import text_alternative

BARS = "▁▂▃▄▅▆▇█"
# Of the figures that a run is configured to have, the first of these kinds that it has is drawn on the way.
ON_THE_WAY = ("teacher_overview", "question_composition", "teacher_reward")


def main(arguments: list[str] | None = None) -> int:
    """Look every so many seconds until all trainings have ended; 1, with one line, if the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="soar-pipeline watch", description=__doc__)
    text = "the YAML file that the run was started with (default: config/config.yaml)"
    parser.add_argument("--configfile", type=Path, default=Path("config/config.yaml"), help=text)
    parser.add_argument("--every", type=float, default=20, help="seconds between two looks (default: 20)")
    parser.add_argument("--once", action="store_true", help="look once")
    options = parser.parse_args(arguments)
    try:
        config = load(find_config(options.configfile))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # The run goes first.
    os.nice(19)
    folder = Path(config.results, config.run)
    while True:
        progress = run_progress(config, folder, Path("logs", config.run))
        page = folder / "progress.html"
        if folder.exists():
            write_text(page, progress_page(config, progress, options.every))
        if sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        print(as_text(config, progress), f"page: {page}" if folder.exists() else f"{folder}: not begun", sep="\n")
        if options.once or progress.finished:
            return 0
        time.sleep(options.every)


def as_text(config: Config, progress: RunProgress) -> str:
    """For the terminal: the whole, then a line for each training, then what the running jobs said last."""
    lines = [headline(config, progress)]
    width = max((len(f"{one.rule} {one.name}") for one in progress.trainings), default=0)
    for one in progress.trainings:
        lines.append(f"{f'{one.rule} {one.name}':<{width}}  {one.done:>4} of {one.total:<4} {details(one)}".rstrip())
    lines += [f"now: {name}: {line}" for name, line in progress.now.items()]
    return "\n".join(lines)


def headline(config: Config, progress: RunProgress) -> str:
    """How far the whole run is."""
    left = progress.seconds_left
    if progress.finished:
        words = "all trainings have ended"
    elif left is None:
        words = "no training step has ended"
    else:
        words = f"about {duration(left)} of training left, one job after another"
    return f"{config.run}: {progress.jobs_done} of {progress.jobs} jobs done; {words}"


def details(training: Training) -> str:
    """Time left, rewards and promotions of one training."""
    parts = []
    if training.done < training.total and training.seconds_left is not None:
        parts.append(f"about {duration(training.seconds_left)} left")
    if training.rewards:
        parts.append(f"reward {sparkline(training.rewards)} {training.rewards[-1]:.3g}".replace("-", "−"))
    if training.promotions:
        parts.append(f"{training.promotions} promotion{'s' * (training.promotions > 1)}")
    return "  ".join(parts)


def sparkline(values: list[float], width: int = 24) -> str:
    """The values as bars from their least to their greatest; of more than `width` values, means of neighbours."""
    every = -(-len(values) // width)
    means = [sum(part) / len(part) for part in (values[i : i + every] for i in range(0, len(values), every))]
    low, high = min(means), max(means)
    if high == low:
        return BARS[0] * len(means)
    return "".join(BARS[round((len(BARS) - 1) * (value - low) / (high - low))] for value in means)


def progress_page(config: Config, progress: RunProgress, every: float) -> str:
    """The same as a page that loads itself again, with a figure of the teachers as far as they are."""
    figure = _figure(config, progress.frames)
    return (
        environment()
        .get_template("progress.html.j2")
        .render(
            config=config,
            headline=headline(config, progress),
            progress=progress,
            details=details,
            figure=figure,
            every=max(5, round(every)),
            moment=time.strftime("%H:%M:%S"),
        )
    )


def _figure(config: Config, frames: dict[str, pd.DataFrame]) -> dict[str, str] | None:
    names = [name for kind in ON_THE_WAY for name, one in config.figures.items() if one.kind == kind]
    if not names or not len(frames.get("steps", ())):
        return None
    data = FigureData(steps=frames["steps"], promoted=frames["promotions"], questions=frames["questions"])
    drawn = draw(Selection(config, names[0]), data)
    words = text_alternative(drawn)
    return {
        "source": "data:image/svg+xml;base64," + base64.b64encode(svg_of(drawn, names[0]).encode()).decode(),
        "words": words,
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
