"""Keep the test attempts of the steps that the checkpoint rule reports (docs/method.md §6)."""

import logging

import pyarrow as pa
import pyarrow.compute as pc

from soar_pipeline.artifacts.files import Artifacts, read_parquet, read_parts
from soar_pipeline.artifacts.schemas import CURVE, EVALUATION
from soar_pipeline.config import Settings, StudentRun
from soar_pipeline.evaluation.checkpoint import reported_steps
from soar_pipeline.stages.command import Input, Output, run_stage

log = logging.getLogger(__name__)


def select_evaluation(
    settings: Settings, run: StudentRun, artifacts: Artifacts, curve: Input, attempts: Input, evaluation: Output
) -> None:
    """Copy the attempts of the reported steps; a student that was not trained keeps an empty file."""
    evaluated = pc.unique(read_parquet(attempts, EVALUATION, columns=["step"])["step"]).to_pylist()
    steps = reported_steps(read_parquet(curve, CURVE).to_pandas(), evaluated, settings.checkpoint)
    log.info("%s: reporting steps %s", evaluation, steps)
    reported = pa.array(steps, pa.int32())
    # SeRL's attempts become those of the arm that reports them.
    kept = (part.filter(pc.is_in(part["step"], reported)) for part in read_parts(attempts, EVALUATION))
    artifacts.write_parts(evaluation, EVALUATION, kept)


if __name__ == "__main__":
    run_stage(select_evaluation)
