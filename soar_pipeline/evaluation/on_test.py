"""Attempts on test in the course of a training, kept on disk until the training is finished (spec section 6)."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from soar_pipeline.artifacts import EVALUATION, ArtifactError, Provenance, read_parquet, table, write_parquet
from soar_pipeline.config import PASS_AT_K
from soar_pipeline.evaluation.passk import mean_pass_at_k
from soar_pipeline.generation.attempts import AttemptDrawer, Problem
from soar_pipeline.seeds import derive
from soar_pipeline.training.processes import gathered, own_seed, processes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AttemptsOnTest:
    """Draws `samples` attempts at every problem by the policy as it is now; `folder` outlives a killed training."""

    drawer: AttemptDrawer
    problems: list[Problem]
    samples: int
    folder: Path
    seed: int

    def draw(self, step: int) -> dict[str, float]:
        """Attempts after a training step, each process at a share of the problems; the curve's pass@k columns."""
        seed = own_seed(derive(self.seed, "test", step))
        with processes().split_between_processes(self.problems) as share:
            # Of equal size everywhere: the processes of a sharded model can only generate in step with each other.
            size = math.ceil(len(self.problems) / processes().num_processes)
            asked = share + self.problems[-1:] * (size - len(share))
        rows = self.drawer.draw(asked, samples=self.samples, seed=seed)[: len(share) * self.samples]
        attempts = table(gathered([{"step": step, **row} for row in rows]), EVALUATION)
        if processes().is_main_process:
            write_parquet(self._part(step), attempts, Provenance("test attempts", {}))
        ks = tuple(k for k in PASS_AT_K if k <= self.samples)
        return {f"pass_at_{k}": value for k, value in mean_pass_at_k(attempts, ks).items()}

    def intact(self, curve: list[dict[str, Any]]) -> bool:
        """Whether the attempts of all evaluated steps of an unfinished curve can be read."""
        try:
            for _ in self.kept(curve):
                pass
        except ArtifactError as error:
            log.warning("%s", error)
            return False
        return True

    def kept(self, curve: list[dict[str, Any]]) -> Iterator[pa.Table]:
        """The attempts of the evaluated steps of a finished curve, step by step: EVALUATION rows."""
        for row in curve:
            if row.get("pass_at_1") is not None:
                yield read_parquet(self._part(row["step"]), EVALUATION)

    def _part(self, step: int) -> Path:
        return self.folder / f"test-{step:06d}.parquet"


def remove_parts(folder: Path) -> None:
    """Drop what `AttemptsOnTest` keeps in a folder, once it stands elsewhere."""
    for part in folder.glob("test-*.parquet"):
        part.unlink()
