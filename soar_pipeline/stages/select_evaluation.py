"""Keep the test attempts of the steps that the checkpoint rule reports (spec section 6)."""

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from soar_pipeline.artifacts import (
    CURVE,
    EVALUATION,
    Provenance,
    read_parquet,
    read_parts,
    read_rows,
    write_parts,
)
from soar_pipeline.evaluation.checkpoint import reported_steps
from soar_pipeline.slices import SelectionSlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def select_evaluation(config: SelectionSlice, curve: Path, attempts: Path, evaluation: Path) -> None:
    """Copy the attempts of the reported steps; a student that was not trained keeps an empty file."""
    evaluated = pc.unique(read_parquet(attempts, EVALUATION, columns=["step"])["step"]).to_pylist()
    steps = reported_steps(read_rows(curve, CURVE), evaluated, config.checkpoint)
    log.info("%s: reporting steps %s", evaluation, steps)
    reported = pa.array(steps, pa.int32())
    kept = (part.filter(pc.is_in(part["step"], reported)) for part in read_parts(attempts, EVALUATION))
    provenance = Provenance("select_evaluation", config.model_dump(mode="json"), inputs=(curve, attempts))
    write_parts(evaluation, EVALUATION, kept, provenance)


if __name__ == "__main__":
    run_stage(select_evaluation)
