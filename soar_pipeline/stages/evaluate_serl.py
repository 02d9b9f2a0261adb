"""Attempts on test of every evaluated step of a SeRL training (docs/method.md §10)."""

from soar_pipeline.artifacts.files import Artifacts
from soar_pipeline.config import SerlRun, Settings
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Output, run_stage
from soar_pipeline.stages.evaluate_student import evaluate


def evaluate_serl(
    settings: Settings,
    run: SerlRun,
    artifacts: Artifacts,
    base_model: Input,
    test: Input,
    training: Input,
    evaluated: Input,
    curve: Output,
    attempts: Output,
) -> None:
    """As `evaluate_student`."""
    seed = derive(settings.seed, "serl", run.student_seed)
    evaluate(settings, run, artifacts, seed, base_model, test, training, evaluated, curve, attempts)


if __name__ == "__main__":
    run_stage(evaluate_serl)
