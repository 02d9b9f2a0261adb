"""SOAR meta-RL: train a teacher by its student's measured progress (spec section 5)."""

import atexit
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

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
from soar_pipeline.config import ConfigError
from soar_pipeline.generation.engines import generator_of
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import (
    Policy,
    PromptFormat,
    Weights,
    check_context,
    copy_weights,
    load_policy,
    save_policy,
)
from soar_pipeline.seeds import derive
from soar_pipeline.slices import SoarSlice
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.soar.objective import Objective, load_reward
from soar_pipeline.soar.progression import Progression, RunState
from soar_pipeline.soar.questions import check_teacher_context, question_writer
from soar_pipeline.soar.rewards import TeacherReward, Tools
from soar_pipeline.soar.run import SoarRun
from soar_pipeline.soar.students import Executor, InProcess, StudentPool, StudentWorker, WorkerProcesses
from soar_pipeline.soar.teacher import Teacher
from soar_pipeline.stages.command import run_stage
from soar_pipeline.tracking import Tracker
from soar_pipeline.training.checkpoints import CheckpointFolder
from soar_pipeline.training.schedules import Question
from soar_pipeline.training.student import StudentTrainer
from soar_pipeline.training.teacher import TeacherTrainer


def train_soar(
    config: SoarSlice,
    base_model: Path,
    train: Path,
    teacher_seed: int,
    workers: int,
    ray_nodes: int,
    gpus: int,
    report_to: str,
    state: Path,
    steps: Path,
    questions: Path,
    students: Path,
    promotions: Path,
    teacher: Path,
    student: Path,
) -> None:
    """Run the meta-RL loop of one teacher seed; killed at any point, the same command continues it.

    `workers` processes train the students: on this machine, or, where `ray_nodes` is not 0, over the nodes of a Ray
    cluster with `gpus` devices each, one for each worker. The result depends on none of these.
    """
    # The job's threads are shared out, so that the processes do not contend.
    threads = max(1, torch.get_num_threads() * max(1, ray_nodes) // workers)
    torch.set_num_threads(threads)
    build = partial(student_worker, config, base_model, threads)
    reward = load_reward(config.objective_name, config.objective, config.reward_sha256)
    hard = [Question(row["problem_id"], row["question"], row["answer"]) for row in read_rows(train, HARD)]
    folder = CheckpointFolder(state, config.model_dump_json(), str(teacher_seed), digest(base_model), digest(train))
    with folder.locked(), Grader(config.sampling.grading) as grader:
        executor = _processes(build, workers, ray_nodes, gpus)
        tracker = Tracker(report_to, "soar", state / "tracking")
        policy = load_policy(base_model, config.sampling.dtype)
        run = _assembled(config, base_model, policy, hard, reward, grader, folder, tracker, teacher_seed, executor)
        checkpoint = folder.load()
        final = run.run(RunState.of(checkpoint) if checkpoint else _fresh_state(run, copy_weights(policy.model)))
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
        save_policy(teacher, policy, final.teacher)
        save_policy(student, policy, final.best)
        run.pool.clear()
        folder.remove()


def _fresh_state(run: SoarRun, base: Weights) -> RunState:
    """Teacher and baseline student both start as the base model (spec section 5)."""
    run.examiner.set_weights(base)
    accuracy = run.examiner.greedy_accuracy(run.train)
    progression = Progression(baseline_train_accuracy=accuracy, best_train_accuracy=accuracy)
    return RunState(progression, teacher=base, moments={}, baseline=base, best=base)


def _assembled(
    config: SoarSlice,
    base_model: Path,
    policy: Policy,
    hard: list[Question],
    reward: TeacherReward,
    grader: Grader,
    folder: CheckpointFolder,
    tracker: Tracker,
    teacher_seed: int,
    executor: Executor | None,
) -> SoarRun:
    sampling, generation, soar = config.sampling, config.sampling.generation, config.soar
    seed = derive(sampling.seed, "soar", teacher_seed)
    prompts = PromptFormat(sampling.prompts, sampling.chat_template, policy.tokenizer)
    student_prompts = {item.question_id: prompts.student(item.question) for item in hard}
    check_context(policy, student_prompts, generation.student_max_new_tokens)
    check_teacher_context(policy, prompts, generation)
    examiner = Examiner(policy, generator_of(policy, generation), grader, prompts, generation)
    if executor is None:
        trainer = StudentTrainer(policy, prompts, grader, config.student, generation)
        executor = InProcess(StudentWorker(trainer, examiner))
    pool = StudentPool(executor, examiner, folder.folder / "students", seed)
    tools = Tools(students=pool, examiner=examiner, grader=grader, soar=soar, seed=seed)
    return SoarRun(
        config=soar,
        name=f"t{teacher_seed}",
        seed=seed,
        teacher=_teacher(config, base_model, grader, seed),
        objective=Objective(config.objective_name, config.objective, reward, tools),
        pool=pool,
        examiner=examiner,
        train=hard,
        folder=folder,
        tracker=tracker,
    )


def _processes(build: Callable[[], StudentWorker], workers: int, ray_nodes: int, gpus: int) -> Executor | None:
    """What trains the students beside this process; None where this process does."""
    if ray_nodes:
        # Ray is an extra, and takes seconds to import.
        try:
            from soar_pipeline.soar.ray_students import RayActors
        except ImportError:
            raise ConfigError("resources.train_soar.ray_nodes: Ray is not installed; pip install -e '.[ray]'") from None
        actors = RayActors(build, workers, gpus_per_worker=1 if gpus else 0)
        actors.connect()
        return actors
    return WorkerProcesses(build, workers) if workers > 1 else None


def _teacher(config: SoarSlice, base_model: Path, grader: Grader, seed: int) -> Teacher:
    sampling, generation = config.sampling, config.sampling.generation
    policy = load_policy(base_model, sampling.dtype)
    prompts = PromptFormat(sampling.prompts, sampling.chat_template, policy.tokenizer)
    trainer = TeacherTrainer(
        policy,
        prompts,
        config.teacher,
        generation,
        datasets=config.soar.datasets,
        questions_per_dataset=config.soar.questions_per_dataset,
        total_steps=config.soar.outer_steps,
    )
    writer = question_writer(
        generator_of(policy, generation),
        grader,
        prompts,
        generation,
        max_draws_per_question=config.teacher.max_draws_per_question,
    )
    return Teacher(trainer, writer, seed)


def student_worker(config: SoarSlice, base_model: Path, threads: int) -> StudentWorker:
    """A student worker with a model and a grader of its own; lives as long as its process."""
    torch.set_num_threads(threads)
    sampling, generation = config.sampling, config.sampling.generation
    policy = load_policy(base_model, sampling.dtype)
    prompts = PromptFormat(sampling.prompts, sampling.chat_template, policy.tokenizer)
    grader = Grader(sampling.grading)
    atexit.register(grader.close)
    examiner = Examiner(policy, generator_of(policy, generation), grader, prompts, generation)
    return StudentWorker(StudentTrainer(policy, prompts, grader, config.student, generation), examiner)


if __name__ == "__main__":
    run_stage(train_soar)
