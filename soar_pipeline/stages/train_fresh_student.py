"""Train a fresh student along its schedule (docs/method.md §6)."""

import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path
from shutil import rmtree

from soar_pipeline.artifacts.files import ArtifactError, Artifacts
from soar_pipeline.artifacts.schemas import CURVE
from soar_pipeline.baselines.hints import HintedTrainer, HintWithdrawal
from soar_pipeline.config import Settings, StudentRun
from soar_pipeline.evaluation.heldout import all_kept, keeper, publish
from soar_pipeline.policy.loading import save_policy
from soar_pipeline.policy.open_policy import OpenPolicy, open_policy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import read_problems, read_solutions
from soar_pipeline.rl.checkpoints import CheckpointFolder
from soar_pipeline.rl.distributed import init_distributed, rank0_lock
from soar_pipeline.rl.fresh_student import FreshStudent
from soar_pipeline.rl.schedules import ScheduledQuestion, read_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.rl.time_limit import TimeLimit
from soar_pipeline.runtime import Tracker, derive
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage

log = logging.getLogger(__name__)


def train_fresh_student(
    settings: Settings,
    run: StudentRun,
    artifacts: Artifacts,
    base_model: Input,
    schedule: Input,
    test: Input,
    solutions: Inputs,
    training: Output,
    evaluated: Output,
    model: Output,
) -> None:
    """Train, killed at any point continue; with an empty schedule the student stays the base model, unevaluated.

    `training` is its curve; `evaluated` holds, for each evaluated step, its weights, or attempts on test.

    Started by torchrun, its processes train one student together; which rollouts are sampled depends on their number.
    solutions: the file of hard problems whose worked solutions are its hints, if its arm has hints.
    """
    everyone = init_distributed()
    # No output, see train_soar.
    state = training.parent / "state"
    kept = state / "evaluated"
    planned, problems = read_schedule(schedule), read_problems(test)
    seed = derive(settings.seed, "fresh student", run.teacher_seed, run.student_seed)
    inputs = map(artifacts.digest, (base_model, schedule, test, *solutions))
    folder = CheckpointFolder(state, settings.identity, str(seed), *inputs)
    rows = []
    # Locked to the end: a second job must not resume from what this one is about to remove.
    with (
        rank0_lock(folder.locked()),
        open_policy(
            base_model,
            model=settings.model,
            prompts=settings.prompts,
            generation=settings.generation,
            grading=settings.grading,
            trained=settings.lora is None,
        ) as policy,
    ):
        if planned:
            policy.check_questions([item.question for item in planned] + problems)
            report_to = settings.tracking.report_to if everyone.is_main_process else ()
            tracker = Tracker(report_to, "student", state / "tracking")
            trainer = _trainer(settings, policy, planned, solutions, seed)
            student = FreshStudent(
                trainer=trainer,
                base=copy_weights(policy.model),
                schedule=planned,
                schedule_steps=settings.fresh_student.schedule_steps,
                evaluate_every=settings.fresh_student.evaluate_every,
                keep=keeper(policy, settings.evaluation_in_training, problems, kept, seed, run.columns()).keep,
                all_kept=partial(all_kept, kept),
                folder=folder,
                seed=seed,
                after_step=lambda step: tracker.log(step.step, asdict(step)),
                limit=TimeLimit(settings.resources.runtime),
            )
            rows = student.train()
            tracker.finish()
            trainer.merge()
        trained = copy_weights(policy.model)
        if everyone.is_main_process:
            artifacts.write(training, rows, CURVE)
            publish(kept, evaluated)
            save_policy(model, policy, trained)
            artifacts.finish()
            folder.remove()
            rmtree(kept, ignore_errors=True)
        everyone.wait_for_everyone()


def _trainer(
    settings: Settings, policy: OpenPolicy, planned: list[ScheduledQuestion], solutions: list[Path], seed: int
) -> StudentTrainer:
    options = {"sharded": settings.resources.sharding == "full", "lora": settings.lora, "seed": seed}
    if settings.hints is None:
        return StudentTrainer(policy, settings.student, **options)
    worked = {name: text for path in solutions for name, text in read_solutions(path).items()}
    problems = list({item.question.question_id: item.question for item in planned}.values())
    without = [problem.question_id for problem in problems if problem.question_id not in worked]
    if len(without) == len(problems):
        raise ArtifactError(f"{solutions[0]}: none of its problems has a worked solution, which the arm's `hints` need")
    if without:
        log.warning("%d of %d problems have no worked solution and are shown without hint", len(without), len(problems))
    return HintedTrainer(policy, settings.student, HintWithdrawal(settings.hints, worked), problems, **options)


if __name__ == "__main__":
    run_stage(train_fresh_student)
