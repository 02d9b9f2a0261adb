"""The parts of the meta-RL loop: windows, promotions, rewards, rejection sampling, the student population."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import GenerationConfig, GradingConfig, SoarConfig, StudentConfig
from soar_pipeline.generation.generator import Completion
from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat, copy_weights, load_policy
from soar_pipeline.slices import Prompts
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.soar.promotion import RewardWindow, best_dataset, median_repeat
from soar_pipeline.soar.questions import SingleTurnWriter, TeacherOutputError, acceptance_rate
from soar_pipeline.soar.rewards import OuterStep, Tools, grounded
from soar_pipeline.soar.students import InProcess, StudentPool, StudentWorker, Trial, WorkerProcesses
from soar_pipeline.training.checkpoints import Checkpoint, CheckpointFolder
from soar_pipeline.training.schedules import Question
from soar_pipeline.training.student import StudentTrainer

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(student_max_new_tokens=30, teacher_max_new_tokens=120, batch_size=64)
QUESTIONS = [Question(str(i), f"{number}aLbV", "x") for i, number in enumerate((482917, 123456, 987654, 135792))]


def trial(dataset_index: int, repeat: int, reward: float) -> Trial:
    return Trial(dataset_index, repeat, 0.25, 0.25 + reward, seconds=1.0, tokens=10)


def test_moving_average_needs_a_full_window_and_restarts_after_a_promotion():
    window = RewardWindow(3, [])
    averages = []
    for reward in (0.3, 0.0, 0.3, 0.9):
        window.add(reward)
        averages.append(window.average)
    assert averages == [None, None, pytest.approx(0.2), pytest.approx(0.4)]
    window.restart()
    window.add(1.0)
    assert window.average is None


def test_promotion_picks_the_lower_median_repeat_of_the_best_dataset():
    rewards = [0.1, 0.3, 0.3]
    assert best_dataset(rewards) == 1
    trials = [trial(1, repeat, reward) for repeat, reward in enumerate((0.9, 0.1, 0.4, 0.2))]
    assert median_repeat([*trials, trial(0, 0, 0.3)], 1).repeat == 3
    assert median_repeat(trials[:3], 1).repeat == 2
    assert median_repeat(trials[:1], 1).repeat == 0


class MadePool:
    """Hands back made trials and remembers how it was asked."""

    def train(self, outer_step, datasets, *, baseline, reward_questions, repeats, inner_steps, learning_rate):
        self.inner_steps, self.learning_rate = inner_steps, learning_rate
        return [trial(k, j, 0.1 * k + 0.2 * j) for k in range(len(datasets)) for j in range(repeats)]


@pytest.mark.parametrize(("stage", "inner_steps", "learning_rate"), [(0, 10, None), (1, 15, 1e-6)])
def test_grounded_reward_is_the_mean_improvement_of_a_datasets_students(stage, inner_steps, learning_rate):
    pool = MadePool()
    soar = SoarConfig(repeats=2, learning_rate_after_promotion=1e-6)
    tools = Tools(students=pool, examiner=None, grader=None, soar=soar, seed=0)
    scores = grounded(OuterStep(1, stage, [QUESTIONS, QUESTIONS], QUESTIONS, {}), tools)
    assert scores.rewards == pytest.approx([0.1, 0.2])
    assert len(scores.trials) == 4
    assert (pool.inner_steps, pool.learning_rate) == (inner_steps, learning_rate)


class CannedTeacher:
    """Writes the given completions over and over."""

    def __init__(self, *texts: str):
        self.texts, self.drawn = texts, 0

    def sample(self, prompts, *, samples, max_new_tokens, temperature, seed):
        texts = [self.texts[(self.drawn + i) % len(self.texts)] for i in range(samples)]
        self.drawn += samples
        return [[Completion(text, tokens=5, truncated=False) for text in texts]]


class PlainPrompts:
    def teacher(self):
        return "<teacher>"


def good(answer: int) -> str:
    return f"<question>What is it?</question><answer>\\boxed{{{answer}}}</answer>"


def test_rejected_draws_are_counted_before_the_accepted_one():
    teacher = CannedTeacher("no tags", good(1), "<question>x</question>", "\\boxed{3}", good(2))
    with Grader(GradingConfig()) as grader:
        drawn = SingleTurnWriter(teacher, grader, PlainPrompts(), GENERATION, max_draws_per_question=9).write(4, seed=0)
    assert [item.answer for item in drawn] == ["1", "2", "1", "2"]
    assert [item.rejected_before for item in drawn] == [1, 2, 1, 2]
    assert acceptance_rate(drawn) == 0.4


def test_a_teacher_without_valid_questions_stops_the_run_with_its_last_outputs():
    with Grader(GradingConfig()) as grader, pytest.raises(TeacherOutputError, match=r"0 acceptable.*\n.*'no tags'"):
        writer = SingleTurnWriter(
            CannedTeacher("no tags"), grader, PlainPrompts(), GENERATION, max_draws_per_question=3
        )
        writer.write(4, seed=0)


def student_worker(base_model: Path) -> StudentWorker:
    policy = load_policy(base_model, "float32")
    prompts = PromptFormat(PROMPTS, False, policy.tokenizer)
    grader = Grader(GradingConfig())
    config = StudentConfig(learning_rate=1e-3, kl_coefficient=0.1, batch_size=2, group_size=4)
    trainer = StudentTrainer(policy, prompts, grader, config, GENERATION)
    return StudentWorker(trainer, Examiner(policy, TransformersGenerator(policy, 64), grader, prompts, GENERATION))


def killed_once(base_model: Path, marker: Path) -> StudentWorker:
    """A worker whose first job dies as by kill -9, after it has said so in `marker`."""
    worker = student_worker(base_model)
    run = worker.run

    def run_or_die(job):
        if not marker.exists():
            marker.write_text(json.dumps([job.dataset_index, job.repeat]))
            os.kill(os.getpid(), signal.SIGKILL)
        return run(job)

    worker.run = run_or_die
    return worker


def population(executor, worker: StudentWorker, base, folder: Path) -> tuple[list[Trial], dict[str, torch.Tensor]]:
    pool = StudentPool(executor, worker.examiner, folder, seed=5)
    trials = pool.train(
        1, [QUESTIONS[:2], QUESTIONS[2:]], baseline=base, reward_questions=QUESTIONS, repeats=2, inner_steps=2
    )
    asked = copy_weights(worker.trainer.policy.model)
    assert all(torch.equal(asked[name], base[name]) for name in base), "the examiner asks the baseline afterwards"
    return [replace(item, seconds=0.0) for item in trials], pool.weights(trials[-1])


def test_a_killed_worker_costs_one_training_and_changes_nothing(base_model, tmp_path):
    worker = student_worker(base_model)
    base = copy_weights(worker.trainer.policy.model)
    expected, expected_weights = population(InProcess(worker), worker, base, tmp_path / "one")
    marker = tmp_path / "died"
    processes = WorkerProcesses(partial(killed_once, base_model, marker), workers=2)
    try:
        found, found_weights = population(processes, worker, base, tmp_path / "two")
    finally:
        processes.close()
    assert marker.exists()
    assert found == expected
    assert [(item.dataset_index, item.repeat) for item in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(torch.equal(found_weights[name], expected_weights[name]) for name in expected_weights)


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"done": step}, {"model": {"weight": torch.full((2, 2), float(step))}})


def test_an_interrupted_checkpoint_leaves_the_one_before(tmp_path):
    folder = CheckpointFolder(tmp_path, "run")
    assert folder.load() is None
    folder.save(checkpoint(1))
    # Killed while writing step 2: its weights are there, its marker is not.
    (tmp_path / "step-000002").mkdir()
    (tmp_path / "step-000002" / "model.safetensors").write_bytes(b"half")
    assert folder.load().record == {"done": 1}
    folder.save(checkpoint(2))
    found = folder.load()
    assert found.step == 2
    assert torch.equal(found.weights["model"]["weight"], torch.full((2, 2), 2.0))
    folder.save(checkpoint(3))
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-000002", "step-000003"]


def test_a_checkpoint_of_another_training_is_not_resumed(tmp_path):
    CheckpointFolder(tmp_path, "run", "seed 1").save(checkpoint(1))
    assert CheckpointFolder(tmp_path, "run", "seed 2").load() is None


def test_a_second_job_on_the_same_folder_is_refused_by_name(tmp_path):
    other = CheckpointFolder(tmp_path, "run")
    expected = pytest.raises(ArtifactError, match=rf"another job.*process {os.getpid()}")
    with CheckpointFolder(tmp_path, "run").locked(), expected, other.locked():
        pass
    with other.locked():
        pass


def never_ready(marker: Path) -> StudentWorker:
    marker.write_text(str(os.getpid()))
    time.sleep(60)


def test_workers_end_when_their_run_is_killed(tmp_path):
    marker = tmp_path / "worker"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from functools import partial; from pathlib import Path\n"
        "from test_soar import never_ready; from soar_pipeline.soar.students import WorkerProcesses\n"
        "pool = WorkerProcesses(partial(never_ready, Path(sys.argv[2])), workers=1)\n"
        "from types import SimpleNamespace\n"
        "pool.run([SimpleNamespace(dataset_index=0, repeat=0)], print)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", program, str(Path(__file__).parent), str(marker)])
    try:
        deadline = time.monotonic() + 60
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
