"""The parts of the meta-RL loop: windows, promotions, rewards, rejection sampling, the student population."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import forks
import pytest
import torch
from policies import scripted_policy
from stage_commands import SOAR_OUTPUTS
from student_population import QUESTIONS, Undisturbed, killed_when_asked, student_worker
from workflow_runs import ROOT

from soar_pipeline.artifacts.file_lock import LOCK, file_lock
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import Settings, SoarConfig, SoarRun
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.sampling import Completion
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.questions import Question
from soar_pipeline.runtime import derive
from soar_pipeline.soar.promotion import RewardWindow, best_dataset, median_repeat
from soar_pipeline.soar.questions import SingleTurnWriter, TeacherOutputError, acceptance_rate
from soar_pipeline.soar.rewards import OuterStep, RewardContext, grounded
from soar_pipeline.soar.student_processes import WorkerProcesses
from soar_pipeline.soar.students import InProcess, StudentPopulation, StudentResult, StudentWorker
from soar_pipeline.stages import train_soar
from soar_pipeline.stages.command import call_stage


def result(dataset_index: int, repeat: int, reward: float) -> StudentResult:
    return StudentResult(dataset_index, repeat, 0.25, 0.25 + reward, seconds=1.0, tokens=10)


def test_moving_average_needs_a_full_window_and_restarts_after_a_promotion():
    window = RewardWindow(3)
    averages = [window.add(reward) for reward in (0.3, 0.0, 0.3, 0.9)]
    assert averages == [None, None, pytest.approx(0.2), pytest.approx(0.4)]
    window.restart()
    assert window.add(1.0) is None


def test_promotion_picks_the_lower_median_repeat_of_the_best_dataset():
    rewards = [0.1, 0.3, 0.3]
    assert best_dataset(rewards) == 1
    results = [result(1, repeat, reward) for repeat, reward in enumerate((0.9, 0.1, 0.4, 0.2))]
    assert median_repeat([*results, result(0, 0, 0.3)], 1).repeat == 3
    assert median_repeat(results[:3], 1).repeat == 2
    assert median_repeat(results[:1], 1).repeat == 0


class ScriptedStudents:
    """Hands back results that are made up, and remembers how the students were to be trained."""

    def train(self, outer_step, datasets, *, baseline, reward_questions, repeats, inner_steps, learning_rate):
        self.inner_steps, self.learning_rate = inner_steps, learning_rate
        return [result(k, j, 0.1 * k + 0.2 * j) for k in range(len(datasets)) for j in range(repeats)]


@pytest.mark.parametrize(("stage", "inner_steps", "learning_rate"), [(0, 10, None), (1, 15, 1e-6)])
def test_grounded_reward_is_the_mean_improvement_of_a_datasets_students(stage, inner_steps, learning_rate):
    students = ScriptedStudents()
    soar = SoarConfig(repeats=2, learning_rate_after_promotion=1e-6)
    context = RewardContext(students=students, evaluator=None, grader=None, soar=soar, seed=0)
    scored = grounded(OuterStep(1, stage, [QUESTIONS, QUESTIONS], QUESTIONS, {}), context)
    assert scored.rewards == pytest.approx([0.1, 0.2])
    assert len(scored.results) == 4
    assert (students.inner_steps, students.learning_rate) == (inner_steps, learning_rate)


class CannedTeacher:
    """Writes the given completions over and over."""

    def __init__(self, *texts: str):
        self.texts, self.drawn = texts, 0

    def sample(self, prompts, samples, params):
        texts = [self.texts[(self.drawn + i) % len(self.texts)] for i in range(samples)]
        self.drawn += samples
        return [[Completion(text, tokens=5, truncated=False) for text in texts]]


def good(answer: int) -> str:
    return f"<question>What is it?</question><answer>\\boxed{{{answer}}}</answer>"


def test_rejected_draws_are_counted_before_the_accepted_one():
    teacher = CannedTeacher("no tags", good(1), "<question>x</question>", "\\boxed{3}", good(2))
    with Grader() as grader:
        drawn = SingleTurnWriter(scripted_policy(teacher, grader), max_draws_per_question=9).write(list("abcd"), seed=0)
    assert [item.question for item in drawn] == [
        Question(name, "What is it?", answer) for name, answer in zip("abcd", "1212", strict=True)
    ]
    assert [item.rejected_before for item in drawn] == [1, 2, 1, 2]
    assert acceptance_rate(drawn) == 0.4


def test_a_teacher_without_valid_questions_stops_the_run_with_its_last_outputs():
    with Grader() as grader, pytest.raises(TeacherOutputError, match=r"0 acceptable.*\n.*'no tags'"):
        writer = SingleTurnWriter(scripted_policy(CannedTeacher("no tags"), grader), max_draws_per_question=3)
        writer.write(list("abcd"), seed=0)


def killed_once(base_model: Path, folder: Path, run: int) -> StudentWorker:
    """A worker that bears a SIGTERM. The first dies as by kill -9, which `folder` says, and so does what makes them.

    So does the first that is asked for a student that it has trained.
    """
    worker = killed_when_asked(base_model, folder)
    train = worker.run

    def train_or_die(job):
        processes = {"worker": os.getpid(), "maker": os.getppid()}
        if processes["maker"] == run:
            del processes["maker"]
        for process in processes.values():
            # A cluster sends it to all processes of a job.
            os.kill(process, signal.SIGTERM)
        for name, process in processes.items():
            if not (folder / name).exists():
                (folder / name).touch()
                os.kill(process, signal.SIGKILL)
        return train(job)

    worker.run = train_or_die
    return worker


def test_a_killed_worker_costs_a_training_and_changes_nothing(base_model, tmp_path):
    undisturbed = Undisturbed.trained(base_model, tmp_path / "one")
    died = tmp_path / "died"
    died.mkdir()
    processes = WorkerProcesses(partial(killed_once, base_model, died, os.getpid()), workers=2)
    try:
        undisturbed.assert_same_with(processes, tmp_path / "two")
    finally:
        processes.close()
    killed = {"worker", "asked"} | ({"maker"} if sys.platform == "linux" else set())
    assert {path.name for path in died.iterdir()} == killed
    students = [(item.dataset_index, item.repeat) for item in undisturbed.results]
    assert students == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_run_that_fails_ends_its_workers_before_its_lock_is_free(
    smoke, base_model, hard_problems, tmp_path, monkeypatch
):
    ended = []

    class Workers:
        has_device = False

        def close(self) -> None:
            with pytest.raises(ArtifactError, match="another job is writing this run"), file_lock(lock):
                pass
            ended.append(True)

    def full(*args, **options):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(train_soar, "_executor", lambda *args: Workers())
    monkeypatch.setattr(train_soar, "_opened", full)
    run, lock = SoarRun("shuffles", "grounded", 1), tmp_path / "state" / LOCK
    outputs = {Path(name).stem: tmp_path / name for name in SOAR_OUTPUTS}
    with pytest.raises(torch.OutOfMemoryError):
        call_stage(
            train_soar.train_soar,
            Settings.of(smoke, "train_soar", run),
            run,
            base_model=base_model,
            train=hard_problems,
            judge=[],
            **outputs,
        )
    assert ended == [True]


def test_accuracy_is_a_pass_rate_of_student_and_baseline_alike(base_model, tmp_path):
    worker = student_worker(base_model)
    base = copy_weights(worker.trainer.policy.model)
    # Of one to four operations: greedily all or nothing, sampled by degrees.
    problems = [digit_shuffles.sample(random.Random(d), d) for d in (1, 2, 3, 4)]
    questions = [Question(str(i), one.question, one.answer) for i, one in enumerate(problems)]
    students = StudentPopulation(InProcess(worker), worker.evaluator, tmp_path, seed=5, reward_samples=8)

    def trained(learning_rate: float) -> StudentResult:
        [result] = students.train(
            1, [questions], baseline=base, reward_questions=questions, repeats=1, inner_steps=2,
            learning_rate=learning_rate,
        )  # fmt: skip
        return result

    moved, unmoved = trained(3e-3), trained(1e-30)
    rates = worker.evaluator.solve_rates(questions, 8, derive(5, "reward samples", 1))
    assert moved.baseline_accuracy == unmoved.baseline_accuracy == pytest.approx(sum(rates) / 4)
    assert 0 < unmoved.baseline_accuracy < 1
    assert unmoved.reward == 0
    assert moved.reward != 0
    assert (moved.reward_samples, unmoved.reward_samples) == (8, 8)


def test_workers_end_when_their_run_is_killed(tmp_path):
    marker = tmp_path / "worker"
    program = ROOT / "tests" / "support" / "waiting_worker.py"
    run = subprocess.Popen(forks.forked([sys.executable, program, marker]), env=forks.environment())
    try:
        deadline = time.monotonic() + 300
        while not (marker.exists() and marker.read_text()):
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.kill()
        run.wait()
    worker = int(marker.read_text())
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
