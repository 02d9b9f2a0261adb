"""Train a fresh student along its schedule, with test attempts on the way (spec section 6)."""

from dataclasses import asdict
from pathlib import Path

from soar_pipeline.artifacts import (
    CURVE,
    EVALUATION,
    HARD,
    SCHEDULE,
    Provenance,
    digest,
    read_rows,
    table,
    write_parquet,
    write_parts,
)
from soar_pipeline.evaluation.on_test import AttemptsOnTest, remove_parts
from soar_pipeline.generation.attempts import AttemptDrawer
from soar_pipeline.generation.engines import generator_of
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import (
    PromptFormat,
    check_context,
    copy_weights,
    load_policy,
    save_policy,
)
from soar_pipeline.seeds import derive
from soar_pipeline.slices import FreshStudentSlice
from soar_pipeline.stages.command import run_stage
from soar_pipeline.tracking import Tracker
from soar_pipeline.training.checkpoints import CheckpointFolder
from soar_pipeline.training.fresh_student import FreshStudent
from soar_pipeline.training.processes import held_by_first, join
from soar_pipeline.training.schedules import ScheduledQuestion
from soar_pipeline.training.student import StudentTrainer


def train_fresh_student(
    config: FreshStudentSlice,
    base_model: Path,
    schedule: Path,
    test: Path,
    teacher_seed: int,
    student_seed: int,
    sharding: str,
    report_to: str,
    state: Path,
    curve: Path,
    attempts: Path,
    model: Path,
) -> None:
    """Train, killed at any point continue; with an empty schedule the student stays the base model, unevaluated.

    Started by torchrun, its processes train one student together; which rollouts are drawn depends on their number.
    sharding: none or full, see `resources`.
    """
    everyone = join()
    sampling = config.sampling
    planned = [ScheduledQuestion(**row) for row in read_rows(schedule, SCHEDULE)]
    problems = read_rows(test, HARD)[: config.evaluation.test_limit]
    seed = derive(sampling.seed, "fresh student", teacher_seed, student_seed)
    folder = CheckpointFolder(
        state, config.model_dump_json(), str(seed), digest(base_model), digest(schedule), digest(test)
    )
    policy = load_policy(base_model, sampling.dtype)
    rows, evaluations = [], iter(())
    # Held to the end: a second job must not resume from what this one is about to remove.
    with held_by_first(folder.locked()):
        if planned:
            prompts = PromptFormat(sampling.prompts, sampling.chat_template, policy.tokenizer)
            asked = {item.question_id: item.question for item in planned}
            asked |= {problem["problem_id"]: problem["question"] for problem in problems}
            new_tokens = sampling.generation.student_max_new_tokens
            check_context(policy, {name: prompts.student(text) for name, text in asked.items()}, new_tokens)
            with Grader(sampling.grading) as grader:
                generator = generator_of(policy, sampling.generation)
                drawer = AttemptDrawer(generator, grader, prompts, sampling.generation)
                tests = AttemptsOnTest(drawer, problems, config.evaluation.samples, state, seed)
                tracker = Tracker(report_to if everyone.is_main_process else "none", "student", state / "tracking")
                sharded = sharding == "full"
                trainer = StudentTrainer(
                    policy, prompts, grader, config.student, sampling.generation, sharded, config.lora, seed
                )
                student = FreshStudent(
                    trainer=trainer,
                    base=copy_weights(policy.model),
                    schedule=planned,
                    evaluate_every=config.evaluate_every,
                    evaluate=tests.draw,
                    intact=tests.intact,
                    folder=folder,
                    seed=seed,
                    after_step=lambda step: tracker.log(step.step, asdict(step)),
                )
                rows = student.train()
                tracker.finish()
                trainer.merge()
            evaluations = tests.kept(rows)
        trained = copy_weights(policy.model)
        if everyone.is_main_process:
            provenance = Provenance(
                "train_fresh_student", config.model_dump(mode="json"), student_seed, (base_model, schedule, test)
            )
            write_parquet(curve, table(rows, CURVE), provenance)
            write_parts(attempts, EVALUATION, evaluations, provenance)
            save_policy(model, policy, trained)
            folder.remove()
            remove_parts(state)
        everyone.wait_for_everyone()


if __name__ == "__main__":
    run_stage(train_fresh_student)
