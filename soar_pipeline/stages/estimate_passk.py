"""pass@k of every evaluated run (spec section 6)."""

from pathlib import Path

from soar_pipeline.artifact_paths import student_run
from soar_pipeline.artifacts import EVALUATION, PASSK, ArtifactError, Provenance, read_parquet, table, write_parquet
from soar_pipeline.evaluation.passk import ATTEMPT_COLUMNS, mean_pass_at_k
from soar_pipeline.slices import PassKSlice
from soar_pipeline.stages.command import run_stage


def estimate_passk(config: PassKSlice, evaluations: list[Path], passk: Path) -> None:
    """One row per run and k; a run without attempts (no promotion, so no student) has no row."""
    rows = []
    for path in evaluations:
        attempts = read_parquet(path, EVALUATION, columns=ATTEMPT_COLUMNS)
        if not attempts.num_rows:
            continue
        try:
            values = mean_pass_at_k(attempts, config.k)
        except ValueError as error:
            raise ArtifactError(f"{path}: {error}") from None
        rows += [{**student_run(path)._asdict(), "k": k, "value": value} for k, value in values.items()]
    provenance = Provenance("estimate_passk", config.model_dump(mode="json"))
    write_parquet(passk, table(rows, PASSK), provenance)


if __name__ == "__main__":
    run_stage(estimate_passk)
