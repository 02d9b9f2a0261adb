"""Training metrics to TensorBoard, W&B or trackio, by one key of the config."""

from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, TensorBoardTracker, TrackioTracker, WandBTracker

from soar_pipeline.config import ConfigError


class Tracker:
    """Sends the numbers of a step to each tracker in `report_to`: names joined by commas, or "none"."""

    def __init__(self, report_to: str, name: str, folder: Path):
        self.trackers: list[GeneralTracker] = []
        for kind in [] if report_to == "none" else report_to.split(","):
            try:
                self.trackers.append(_started(kind, name, folder))
            except ImportError as error:
                raise ConfigError(f"tracking.report_to: {kind} is not installed ({error})") from None

    def log(self, step: int, figures: dict[str, Any]) -> None:
        numbers = {key: float(value) for key, value in figures.items() if isinstance(value, (int, float))}
        for tracker in self.trackers:
            tracker.log(numbers, step=step)

    def finish(self) -> None:
        for tracker in self.trackers:
            tracker.finish()


def _started(kind: str, name: str, folder: Path) -> GeneralTracker:
    if kind == "tensorboard":
        tracker = TensorBoardTracker(name, logging_dir=folder)
    else:
        tracker = WandBTracker("soar") if kind == "wandb" else TrackioTracker("soar")
    tracker.start()
    return tracker
