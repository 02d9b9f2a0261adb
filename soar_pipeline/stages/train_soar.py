"""SOAR meta-RL: train a teacher by its student's measured progress (spec section 5)."""

import hashlib
import shutil
from pathlib import Path

from soar_pipeline.artifacts import (
    HARD,
    PROMOTIONS,
    QUESTIONS,
    STEPS,
    STUDENTS,
    Provenance,
    digest,
    read_rows,
    table,
    write_parquet,
)
from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat, check_context, copy_weights, load_policy, save_policy
from soar_pipeline.seeds import derive
from soar_pipeline.slices import SoarSlice
from soar_pipeline.soar.rewards import GroundedReward, LearnabilityReward
from soar_pipeline.soar.run import SoarRun
from soar_pipeline.soar.state import Progression, RunState, StateFolder
from soar_pipeline.soar.teacher import Teacher
from soar_pipeline.soar.trials import Examiner, LocalPool
from soar_pipeline.stages.command import run_stage
from soar_pipeline.tracking import Tracker
from soar_pipeline.training.schedules import Question
from soar_pipeline.training.student import StudentTrainer
from soar_pipeline.training.teacher import TeacherTrainer


def train_soar(
    config: SoarSlice,
    base_model: Path,
    train: Path,
    teacher_seed: int,
    state: Path,
    steps: Path,
    questions: Path,
    students: Path,
    promotions: Path,
    teacher: Path,
    student: Path,
) -> None:
    """Run the meta-RL loop of one teacher seed; killed at any point, the same command continues it."""
    hard = [Question(row["problem_id"], row["question"], row["answer"]) for row in read_rows(train, HARD)]
    fingerprint = hashlib.sha256(
        "\n".join((config.model_dump_json(), str(teacher_seed), digest(base_model), digest(train))).encode()
    ).hexdigest()
    folder = StateFolder(state, fingerprint)
    with folder.locked(), Grader(config.sampling.grading) as grader:
        tracker = Tracker(config.tracking, "soar", state / "tracking")
        policy = load_policy(base_model, config.sampling.dtype)
        run = _assembled(config, policy, base_model, teacher_seed, hard, grader, folder, tracker)
        final = run.run(folder.load() or _fresh_state(run, copy_weights(policy.model)))
        tracker.finish()
        record = final.progression
        provenance = Provenance("train_soar", config.model_dump(mode="json"), teacher_seed, (base_model, train))
        for path, rows, schema in (
            (steps, record.steps, STEPS),
            (questions, record.questions, QUESTIONS),
            (students, record.students, STUDENTS),
            (promotions, record.promotions, PROMOTIONS),
        ):
            write_parquet(path, table(rows, schema), provenance)
        for model, weights in ((teacher, final.teacher), (student, final.best)):
            # Written beside and renamed: a killed job leaves no half model.
            partial = model.with_name(f".{model.name}.part")
            save_policy(partial, policy, weights)
            shutil.rmtree(model, ignore_errors=True)
            partial.rename(model)
        folder.remove()


def _fresh_state(run: SoarRun, base) -> RunState:
    """Teacher and baseline student both start as the base model (spec section 5)."""
    run.examiner.set_weights(base)
    accuracy = run.examiner.greedy_accuracy(run.train)
    progression = Progression(baseline_train_accuracy=accuracy, best_train_accuracy=accuracy)
    return RunState(progression, teacher=base, moments={}, baseline=base, best=base)


def _assembled(config, student_policy, base_model, teacher_seed, hard, grader, folder, tracker) -> SoarRun:
    sampling, generation = config.sampling, config.sampling.generation
    seed = derive(sampling.seed, "soar", teacher_seed)
    teacher_policy = load_policy(base_model, sampling.dtype)
    prompts = PromptFormat(sampling.prompts, sampling.chat_template, student_policy.tokenizer)
    student_prompts = {item.question_id: prompts.student(item.question) for item in hard}
    check_context(student_policy, student_prompts, generation.student_max_new_tokens)
    check_context(teacher_policy, {"teacher prompt": prompts.teacher()}, generation.teacher_max_new_tokens)
    teacher_trainer = TeacherTrainer(
        teacher_policy,
        prompts,
        config.teacher,
        generation,
        datasets=config.soar.datasets,
        questions_per_dataset=config.soar.questions_per_dataset,
        total_steps=config.soar.outer_steps,
    )
    teacher_generator = TransformersGenerator(teacher_policy, generation.batch_size)
    teacher = Teacher(teacher_trainer, teacher_generator, grader, prompts, config.teacher, generation, seed)
    student_generator = TransformersGenerator(student_policy, generation.batch_size)
    examiner = Examiner(student_policy, student_generator, grader, prompts, generation)
    trainer = StudentTrainer(student_policy, prompts, grader, config.student, generation)
    pool = LocalPool(trainer, examiner, folder.folder / "students", seed)
    if config.objective.reward == "grounded":
        reward = GroundedReward(pool, config.soar)
    else:
        reward = LearnabilityReward(examiner, config.soar, seed)
    return SoarRun(
        config=config.soar,
        promotes=config.objective.promotion,
        name=f"t{teacher_seed}",
        seed=seed,
        teacher=teacher,
        reward=reward,
        pool=pool,
        examiner=examiner,
        train=hard,
        folder=folder,
        tracker=tracker,
    )


if __name__ == "__main__":
    run_stage(train_soar)
