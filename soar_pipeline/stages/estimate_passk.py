"""pass@k of every evaluated run (docs/method.md §6)."""

from soar_pipeline.artifacts.files import ArtifactError, Artifacts, read_parquet
from soar_pipeline.artifacts.provenance import read_run
from soar_pipeline.artifacts.schemas import EVALUATION, PASSK
from soar_pipeline.config import Settings
from soar_pipeline.evaluation.passk import ATTEMPT_COLUMNS, mean_pass_at_k
from soar_pipeline.stages.command import Inputs, Output, run_stage


def estimate_passk(settings: Settings, artifacts: Artifacts, evaluations: Inputs, passk: Output) -> None:
    """One row per run and k; a run without attempts (no promotion, so no student) has no row."""
    rows = []
    for path in evaluations:
        attempts = read_parquet(path, EVALUATION, columns=ATTEMPT_COLUMNS)
        if not attempts.num_rows:
            continue
        try:
            values = mean_pass_at_k(attempts, settings.evaluation.pass_at_k)
        except ValueError as error:
            raise ArtifactError(f"{path}: {error}") from None
        rows += [{**read_run(path), "k": k, "value": value} for k, value in values.items()]
    artifacts.write(passk, rows, PASSK)


if __name__ == "__main__":
    run_stage(estimate_passk)
