"""Progress of a long loop: a bar with ETA on a terminal, plain lines with ETA in the log."""

import logging
import sys
import time

from tqdm import tqdm

LINE_EVERY_SECONDS = 10.0

log = logging.getLogger(__name__)


class Progress:
    """Counts `total` units of work; `advance` takes figures to show beside the count."""

    def __init__(self, name: str, total: int, done: int = 0):
        self.name, self.total, self.done = name, total, done
        self.started, self.first, self.last_line = time.monotonic(), done, 0.0
        # Of several processes that train together, one shows it: the others log warnings only.
        shown = sys.stderr.isatty() and log.isEnabledFor(logging.INFO)
        self.bar = tqdm(desc=name, total=total, initial=done) if shown else None

    def advance(self, units: int = 1, **figures: float | str | None) -> None:
        self.done += units
        shown = {
            name: value if isinstance(value, str) else f"{value:.4g}"
            for name, value in figures.items()
            if value is not None
        }
        if self.bar is not None:
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update(units)
            if self.done >= self.total:
                self.bar.close()
        now = time.monotonic()
        if self.done < self.total and now - self.last_line < LINE_EVERY_SECONDS:
            return
        self.last_line = now
        elapsed = now - self.started
        left = elapsed / max(1, self.done - self.first) * max(0, self.total - self.done)
        details = "".join(f" {name}={value}" for name, value in shown.items())
        log.info("%s: %d/%d, %.0f s, about %.0f s left%s", self.name, self.done, self.total, elapsed, left, details)
