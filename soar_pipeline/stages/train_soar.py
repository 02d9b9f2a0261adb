"""SOAR meta-RL: train a teacher by its student's measured progress (docs/method.md §5)."""

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch

from soar_pipeline.artifacts.files import Artifacts
from soar_pipeline.artifacts.schemas import PROMOTIONS, SOAR_QUESTIONS, STEPS, STUDENTS
from soar_pipeline.config import ConfigError, GenerationConfig, ResourceConfig, Settings, SoarRun
from soar_pipeline.evaluation.judges.configured import configured_judge
from soar_pipeline.evaluation.judges.reply_cache import ReplyCache
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import save_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.questions import Question, read_problems
from soar_pipeline.rl.checkpoints import CheckpointFolder
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.rl.time_limit import TimeLimit
from soar_pipeline.runtime import Tracker, derive, set_up_process
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.loop import SoarLoop
from soar_pipeline.soar.objective import Objective, load_reward
from soar_pipeline.soar.questions import check_teacher_context
from soar_pipeline.soar.rewards import RewardContext, TeacherReward
from soar_pipeline.soar.state import SoarState
from soar_pipeline.soar.student_processes import WorkerProcesses
from soar_pipeline.soar.students import Executor, InProcess, StudentPopulation, StudentWorker
from soar_pipeline.soar.teacher import Teacher
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage


def train_soar(
    settings: Settings,
    run: SoarRun,
    artifacts: Artifacts,
    base_model: Input,
    train: Input,
    judge: Inputs,
    steps: Output,
    questions: Output,
    students: Output,
    promotions: Output,
    teacher: Output,
    student: Output,
) -> None:
    """Run the meta-RL loop of one teacher seed; killed at any point, the same command continues it.

    `resources.workers` processes train the students: on this machine, or, if `ray_nodes` is not 0, over the nodes of a
    Ray cluster with `gpu` devices each, one for each worker. The result depends on none of these. judge: the model
    folder of a local judge, if the reward asks one.
    """
    # No output: Snakemake deletes the outputs of a failed job, and this is what the next one resumes from.
    state = steps.parent / "state"
    # The job's threads are shared out, so that the processes do not contend.
    nodes, workers = max(1, settings.resources.ray_nodes), settings.resources.workers
    threads = max(1, torch.get_num_threads() * nodes // workers)
    torch.set_num_threads(threads)
    build = partial(student_worker, settings, base_model, threads)
    reward = load_reward(settings.objective_name, settings.objective, settings.reward_sha256)
    inputs = map(artifacts.digest, (base_model, train, *judge))
    folder = CheckpointFolder(state, settings.identity, str(run.teacher_seed), *inputs)
    with folder.locked(), Grader(**dict(settings.grading)) as grader, ExitStack() as stack:
        executor = _executor(build, settings.resources)
        if executor is not None:
            # Before the lock is free: whoever holds it next wants the workers' memory.
            stack.callback(executor.close)
        generation = settings.generation
        if executor is not None and not executor.has_device:
            # A worker computes on this device too, while this process waits for it.
            generation = generation.model_copy(update={"vllm_stays_awake": False})
        tracker = Tracker(settings.tracking.report_to, "soar", state / "tracking")
        # If other processes train the students, this one only measures their baseline.
        policy = _opened(settings, base_model, grader, generation, trained=executor is None)
        trained_teacher = _opened(settings, base_model, grader, generation, trained=True)
        loop = _soar_loop(
            settings, run, policy, trained_teacher, read_problems(train), judge, reward, folder, tracker, executor
        )
        checkpoint = folder.load()
        final = loop.run(SoarState.of(checkpoint) if checkpoint else loop.first_state(loop.teacher.start))
        tracker.finish()
        artifacts.write(steps, final.record.steps, STEPS)
        artifacts.write(questions, final.record.questions, SOAR_QUESTIONS)
        artifacts.write(students, final.record.students, STUDENTS)
        artifacts.write(promotions, final.record.promotions, PROMOTIONS)
        save_policy(teacher, policy, final.teacher_to_sample)
        save_policy(student, policy, final.best_student)
        loop.students.clear()
        artifacts.finish()
        folder.remove()


def _soar_loop(
    settings: Settings,
    run: SoarRun,
    policy: OpenPolicy,
    teacher: OpenPolicy,
    train: list[Question],
    judge: list[Path],
    reward: TeacherReward,
    folder: CheckpointFolder,
    tracker: Tracker,
    executor: Executor | None,
) -> SoarLoop:
    seed = derive(settings.seed, "soar", run.teacher_seed)
    policy.check_questions(train)
    check_teacher_context(policy)
    evaluator = Evaluator(policy)
    if executor is None:
        executor = InProcess(StudentWorker(StudentTrainer(policy, settings.student), evaluator))
    students = StudentPopulation(executor, evaluator, folder.folder / "students", seed, settings.soar.reward_samples)
    # Replies outlive a kill, as the checkpoints do: they cost money, and the run goes on with the same ones.
    cache = ReplyCache(folder.folder / "replies")
    judges = configured_judge(settings, judge, cache, policy.grader) if settings.objective.needs_judge else None
    context = RewardContext(students, evaluator, policy.grader, settings.soar, seed, judges)
    return SoarLoop(
        config=settings.soar,
        name=f"{run.dataset}/{run.objective}/t{run.teacher_seed}",
        seed=seed,
        teacher=_teacher(settings, teacher, seed),
        objective=Objective(settings.objective_name, settings.objective, reward, context),
        students=students,
        evaluator=evaluator,
        train=train,
        folder=folder,
        tracker=tracker,
        limit=TimeLimit(settings.resources.runtime),
    )


def _executor(build: Callable[[], StudentWorker], resources: ResourceConfig) -> Executor | None:
    """What trains the students in other processes; None: this process trains them."""
    if resources.ray_nodes:
        # Ray is an extra, and takes seconds to import.
        try:
            from soar_pipeline.soar.ray_students import RayActors
        except ImportError:
            raise ConfigError("resources.train_soar.ray_nodes: Ray is not installed; pip install -e '.[ray]'") from None
        actors = RayActors(build, resources.workers, gpus_per_worker=1 if resources.gpu else 0)
        actors.connect()
        return actors
    return None if resources.one_process else WorkerProcesses(build, resources.workers)


def _teacher(settings: Settings, policy: OpenPolicy, seed: int) -> Teacher:
    return Teacher(
        policy,
        settings.teacher,
        datasets=settings.soar.datasets,
        groups=settings.soar.groups,
        questions_per_dataset=settings.soar.questions_per_dataset,
        total_steps=settings.soar.outer_steps,
        seed=seed,
    )


def _opened(
    settings: Settings, base_model: Path, grader: Grader, generation: GenerationConfig, trained: bool
) -> OpenPolicy:
    return OpenPolicy.load(
        base_model,
        model=settings.model,
        prompts=settings.prompts,
        generation=generation,
        grader=grader,
        trained=trained,
    )


def student_worker(settings: Settings, base_model: Path, threads: int) -> StudentWorker:
    """A student worker with a model and a grader of its own; lives as long as its process."""
    set_up_process()
    torch.set_num_threads(threads)
    grader = Grader(**dict(settings.grading))
    atexit.register(grader.close)
    policy = _opened(settings, base_model, grader, settings.generation, trained=True)
    return StudentWorker(StudentTrainer(policy, settings.student), Evaluator(policy))


if __name__ == "__main__":
    run_stage(train_soar)
