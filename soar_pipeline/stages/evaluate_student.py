"""Attempts on test of every evaluated step of a fresh student, and the learning curve with them (docs/method.md §6)."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree

import pyarrow as pa

from soar_pipeline.artifacts.files import Artifacts, read_rows
from soar_pipeline.artifacts.schemas import CURVE, EVALUATION
from soar_pipeline.config import PASS_AT_K, Lora, SerlRun, Settings, StudentRun
from soar_pipeline.evaluation.heldout import AttemptsOnTest, attempts_of
from soar_pipeline.evaluation.passk import mean_pass_at_k
from soar_pipeline.policy.attempts import AttemptSampler
from soar_pipeline.policy.open_policy import open_policy
from soar_pipeline.questions import read_problems
from soar_pipeline.rl.student import add_adapters
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Output, run_stage


def evaluate_student(
    settings: Settings,
    run: StudentRun,
    artifacts: Artifacts,
    base_model: Input,
    test: Input,
    training: Input,
    evaluated: Input,
    curve: Output,
    attempts: Output,
) -> None:
    """Sample attempts with the weights that the training kept, or collect those that it sampled itself."""
    seed = derive(settings.seed, "fresh student", run.teacher_seed, run.student_seed)
    evaluate(settings, run, artifacts, seed, base_model, test, training, evaluated, curve, attempts, settings.lora)


def evaluate(
    settings: Settings,
    run: StudentRun | SerlRun,
    artifacts: Artifacts,
    seed: int,
    base_model: Path,
    test: Path,
    training: Path,
    evaluated: Path,
    curve: Path,
    attempts: Path,
    lora: Lora | None = None,
) -> None:
    """The same for any training; seed: that of the training. Killed, it goes on after the last step it had sampled."""
    rows = {row["step"]: row for row in read_rows(training, CURVE)}
    state = curve.parent / "state" / f"evaluation-{artifacts.identity[:12]}"
    samples = settings.evaluation.samples
    with ExitStack() as stack:

        def tests() -> AttemptsOnTest:
            opened = open_policy(
                base_model,
                model=settings.model,
                prompts=settings.prompts,
                generation=settings.generation,
                grading=settings.grading,
            )
            policy = stack.enter_context(opened)
            if lora is not None:
                add_adapters(policy.model, lora)
            problems = read_problems(test)[: settings.evaluation.test_limit]
            return AttemptsOnTest(
                AttemptSampler(policy), problems, samples, state, seed, run.columns(), lora is not None
            )

        def parts() -> Iterator[pa.Table]:
            for step, part in attempts_of(evaluated, tests):
                values = mean_pass_at_k(part, [k for k in PASS_AT_K if k <= samples])
                rows[step] |= {f"pass_at_{k}": value for k, value in values.items()}
                yield part

        artifacts.write_parts(attempts, EVALUATION, parts())
    artifacts.write(curve, rows.values(), CURVE)
    artifacts.finish()
    # Also what a killed evaluation of other settings had sampled.
    for sampled in state.parent.glob("evaluation-*"):
        rmtree(sampled)


if __name__ == "__main__":
    run_stage(evaluate_student)
