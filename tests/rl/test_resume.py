"""A training killed with SIGKILL and started again ends as the uninterrupted one did, bit for bit."""

import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import forks
import psutil
import pytest
import torch
from forks import forked
from safetensors.torch import load_file
from several_processes import in_processes
from stage_commands import SOAR_OUTPUTS, command, digests, settings_beside, soar_command
from workflow_runs import ROOT

from soar_pipeline.artifacts.files import read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance, digest
from soar_pipeline.artifacts.schemas import CURVE, EVALUATION, SCHEDULE, SERL_QUESTIONS, STUDENTS
from soar_pipeline.config import Lora, ObjectiveConfig, ResourceConfig, SerlRun, StudentRun
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.weights import copy_weights, load_weights
from soar_pipeline.rl.checkpoints import CheckpointFolder


@pytest.fixture(scope="module")
def config(smoke):
    """The smoke configuration, long enough to be killed half-way."""
    soar = smoke.soar.model_copy(update={"outer_steps": 3, "sampled_teacher_step": 2})
    fresh = smoke.fresh_student.model_copy(update={"steps": 6})
    # Grounded rewards of so few questions are all equal: these are not, so the teacher moves.
    two_turns = ObjectiveConfig(reward="learnability", promotion=False, turns=2)
    return smoke.model_copy(
        update={"soar": soar, "fresh_student": fresh, "objectives": {**smoke.objectives, "two_turns": two_turns}}
    )


def in_type(config, dtype: str):
    """The configuration with models of this type."""
    models = {name: model.model_copy(update={"dtype": dtype}) for name, model in config.models.items()}
    return config.model_copy(update={"models": models})


RUN = StudentRun("shuffles", "hard_only", 0, 1)


def types_of(file: Path) -> set[torch.dtype]:
    return {tensor.dtype for tensor in load_file(file).values()}


def said(command: list[str]) -> str:
    """What a command says that succeeds."""
    done = subprocess.run(forked(command), env=forks.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def run_killed_at(marker: Path, checkpoint: str, command: list[str]) -> None:
    """Start the command and kill it as soon as `marker` names the checkpoint; what torchrun started ends with it."""
    process = subprocess.Popen(command, env=forks.environment(), stderr=subprocess.PIPE, text=True)
    try:
        while not (marker.exists() and marker.read_text() == checkpoint):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        if "soar_pipeline.fork_server" in command:
            # They stand for forks, which are not torchrun's children and do not see it end.
            for child in children:
                child.kill()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def run_terminated_at(marker: Path, checkpoint: str, command: list[str]) -> str:
    """Start the command, send it a SIGTERM as soon as `marker` names the checkpoint, and let it end: what it said."""
    process = subprocess.Popen(forked(command), env=forks.environment(), stderr=subprocess.PIPE, text=True)
    try:
        while not (marker.exists() and marker.read_text() == checkpoint):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 1
        return said
    finally:
        process.kill()
        process.wait()


def student_files(base_model: Path, schedule: Path, test: Path, folder: Path) -> dict[str, Path]:
    made = {"training": folder / "training.parquet", "evaluated": folder / "evaluated", "model": folder / "model"}
    return {"base_model": base_model, "schedule": schedule, "test": test, "solutions": [], **made}


@pytest.mark.parametrize(("objective", "ended_by"), [("grounded", "SIGKILL"), ("two_turns", "SIGTERM")])
def test_a_killed_soar_run_resumes_bit_identically(objective, ended_by, config, base_model, hard_problems, tmp_path):
    def killable(folder: Path) -> list[str]:
        return soar_command(config, objective, base_model, hard_problems, folder)

    said(killable(tmp_path / "whole"))
    killed = tmp_path / "killed"
    if ended_by == "SIGKILL":
        run_killed_at(killed / "state" / "current", "step-000002", forked(killable(killed)))
    else:
        # It ends by itself after the step that it is at, and says so in one line.
        last = run_terminated_at(killed / "state" / "current", "step-000001", killable(killed))
        assert "error: stopped after outer step 2 of 3, because of a SIGTERM" in last
        assert "Traceback" not in last
        assert (killed / "state" / "current").read_text() == "step-000002"
    assert not (killed / "steps.parquet").exists()
    sampled = load_weights(killed / "state" / "step-000002" / "teacher.safetensors")
    again = said(killable(killed))
    assert "resuming after step 2" in again
    assert digests(killed, SOAR_OUTPUTS) == digests(tmp_path / "whole", SOAR_OUTPUTS)
    assert not list((killed / "state").glob("step-*"))
    if objective == "two_turns":
        assert digest(killed / "teacher") != digest(base_model)
    # The teacher of step 2, not of the last.
    kept = copy_weights(load_policy(killed / "teacher", "float32").model)
    assert all(torch.equal(kept[name], sampled[name]) for name in sampled)


def test_ray_changes_nothing_in_a_soar_run(config, base_model, hard_problems, tmp_path):
    """In bfloat16, as only then the process that trains no student has other weights than those that do."""
    config = in_type(config, "bfloat16")
    one, on_ray = tmp_path / "one", tmp_path / "on ray"
    said(soar_command(config, "grounded", base_model, hard_problems, one))
    spread = soar_command(config, "grounded", base_model, hard_problems, on_ray, workers=2, ray_nodes=1)
    done = said(spread)
    assert "student worker on" in done
    assert digests(on_ray, SOAR_OUTPUTS) == digests(one, SOAR_OUTPUTS)
    # Not all the same by default: what a student writes depends on what it has learnt.
    assert len({row["tokens"] for row in read_rows(on_ray / "students.parquet", STUDENTS)}) > 1


@pytest.mark.parametrize(
    ("processes", "sharding", "lora", "dtype", "arm"),
    [
        (1, "none", None, "float32", "hard_only"),
        (2, "none", None, "float32", "hint_withdrawal"),
        (2, "full", None, "bfloat16", "hard_only"),
        (1, "none", Lora(rank=4, alpha=8), "float32", "hard_only"),
    ],
)
def test_a_killed_student_resumes_bit_identically(
    processes, sharding, lora, dtype, arm, config, base_model, hard_problems, tmp_path
):
    config, run = in_type(config, dtype), RUN._replace(arm=arm)
    schedule = tmp_path / "schedule.parquet"
    files = {"train": hard_problems, "questions": [], "schedule": schedule}
    write = command(tmp_path / "settings", config, "write_schedule", run, **files)
    said(write)
    config = config.model_copy(update={"resources": {"train_fresh_student": ResourceConfig(sharding=sharding)}})
    # Several processes share the attempts of a training that keeps no weights.
    evaluation = config.evaluation.model_copy(update={"keep_weights": processes == 1})
    config = config.model_copy(update={"evaluation": evaluation})
    if lora:
        fresh = config.fresh_student.model_copy(update={"lora_rank": lora.rank, "lora_alpha": lora.alpha})
        config = config.model_copy(update={"fresh_student": fresh})
    if sharding == "full":
        # Processes that share a model decode in step with each other.
        generation = config.generation.model_copy(update={"segment_tokens": None})
        config = config.model_copy(update={"generation": generation})

    def killable(folder: Path) -> list[str]:
        files = student_files(base_model, schedule, hard_problems, folder)
        files["solutions"] = [hard_problems] if arm == "hint_withdrawal" else []
        alone = command(settings_beside(folder), config, "train_fresh_student", run, **files)
        if sharding == "full":
            alone[1:3] = [str(ROOT / "tests" / "support" / "sharded_student.py")]
        return in_processes(processes, alone)

    names = ["training.parquet", "evaluated", "model"]
    said(killable(tmp_path / "whole"))
    killed = tmp_path / "killed"
    # One of several, by torchrun alone.
    start = killable if (processes, sharding) == (2, "none") else lambda folder: forked(killable(folder))
    run_killed_at(killed / "state" / "current", "step-000002", start(killed))
    # A checkpoint holds all that a small update changes.
    assert types_of(killed / "state" / "step-000002" / "student.safetensors") == {torch.float32}
    again = said(killable(killed))
    # In the log of one of them.
    assert again.count("resuming after step 2") == 1
    assert types_of(killed / "model" / "model.safetensors") == {getattr(torch, dtype)}
    assert digests(killed, names) == digests(tmp_path / "whole", names)
    # A plain model, like the one it started as.
    trained, base = (copy_weights(load_policy(path, "float32").model) for path in (killed / "model", base_model))
    assert trained.keys() == base.keys()
    assert digest(killed / "model") != digest(base_model)

    curve = read_rows(tmp_path / "whole" / "training.parquet", CURVE)
    assert [row["step"] for row in curve] == list(range(1, 7))
    assert [row["hint_fraction"] is not None for row in curve] == [arm == "hint_withdrawal"] * 6
    files = sorted((tmp_path / "whole" / "evaluated").iterdir())
    assert [file.stem for file in files] == ["step-000002", "step-000004", "step-000006"]
    if processes > 1:
        attempts = [row for file in files for row in read_rows(file, EVALUATION)]
        assert [(row["step"], row["problem_id"], row["sample"]) for row in attempts] == [
            (step, f"p{i}", sample) for step in (2, 4, 6) for i in range(4) for sample in range(8)
        ]


def test_a_student_goes_on_with_other_processes_and_draws_other_rollouts(config, base_model, hard_problems, tmp_path):
    schedule = tmp_path / "schedule.parquet"
    files = {"train": hard_problems, "questions": [], "schedule": schedule}
    write = command(tmp_path / "settings", config, "write_schedule", RUN, **files)
    said(write)

    def train(folder: Path) -> list[str]:
        files = student_files(base_model, schedule, hard_problems, folder)
        return command(settings_beside(folder), config, "train_fresh_student", RUN, **files)

    whole, changed = tmp_path / "whole", tmp_path / "changed"
    said(train(whole))
    run_killed_at(changed / "state" / "current", "step-000002", forked(train(changed)))
    again = said(in_processes(2, train(changed)))
    assert again.count("resuming after step 2") == 1

    one, two = ([row["train_reward"] for row in read_rows(it / "training.parquet", CURVE)] for it in (whole, changed))
    assert (len(two), two[:2]) == (6, one[:2])
    assert two[2:] != one[2:]


def test_two_processes_refuse_as_one_where_another_job_trains(config, base_model, hard_problems, tmp_path):
    write_parquet(tmp_path / "schedule.parquet", table([], SCHEDULE), Provenance("test", {}))
    files = student_files(base_model, tmp_path / "schedule.parquet", hard_problems, tmp_path)
    train = [
        *command(settings_beside(tmp_path), config, "train_fresh_student", RUN, **files),
        "--log",
        str(tmp_path / "log"),
    ]
    with CheckpointFolder(tmp_path / "state").locked():
        refused = forked(in_processes(2, train))
        done = subprocess.run(refused, env=forks.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert "another job is writing this run" in line


def serl_command(config, base_model: Path, hard_problems: Path, folder: Path) -> list[str]:
    return command(
        settings_beside(folder),
        config,
        "train_serl",
        SerlRun("shuffles", 1),
        base_model=base_model,
        train=hard_problems,
        test=hard_problems,
        **{name: folder / f"{name}.parquet" for name in ("training", "questions")},
        **{name: folder / name for name in ("evaluated", "model")},
    )


def test_a_killed_serl_run_resumes_bit_identically(config, base_model, hard_problems, tmp_path):
    serl = config.serl.model_copy(update={"steps": 3, "evaluate_at": (1, 3)})
    config = config.model_copy(update={"serl": serl})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    said(serl_command(config, base_model, hard_problems, whole))
    killable = forked(serl_command(config, base_model, hard_problems, killed))
    run_killed_at(killed / "state" / "current", "step-000001", killable)
    assert not (killed / "training.parquet").exists()
    same = serl_command(config, base_model, hard_problems, killed)
    again = said(same)
    assert "resuming after step" in again
    names = ["training.parquet", "evaluated", "questions.parquet", "model"]
    assert digests(killed, names) == digests(whole, names)
    # No checkpoint is left, nor any attempt of them.
    assert {path.name for path in (killed / "state").iterdir()} == {"lock", "tracking"}

    evaluate = command(
        settings_beside(whole),
        config,
        "evaluate_serl",
        SerlRun("shuffles", 1),
        base_model=base_model,
        test=hard_problems,
        training=whole / "training.parquet",
        evaluated=whole / "evaluated",
        **{name: whole / f"{name}.parquet" for name in ("curve", "attempts")},
    )
    said(evaluate)
    curve = read_rows(whole / "curve.parquet", CURVE)
    assert [row["step"] for row in curve] == [1, 2, 3]
    assert [row["pass_at_8"] is not None for row in curve] == [True, False, True]
    # One rollout's KL is that of the base model to itself; from then on the policy has moved.
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert curve[2]["kl"] != pytest.approx(0, abs=1e-5)
    attempts = Counter(row["step"] for row in read_rows(whole / "attempts.parquet", EVALUATION))
    assert attempts == {1: 4 * 8, 3: 4 * 8}
    questions = read_rows(whole / "questions.parquet", SERL_QUESTIONS)
    assert Counter(row["step"] for row in questions if row["trained"]) == {1: 4, 2: 4, 3: 4}
    assert all(row["kept"] == (0.2 <= row["agreement"] <= 0.8) for row in questions)
    assert all(row["kept"] for row in questions if row["trained"])
    assert len({row["question_id"] for row in questions}) == len(questions)
    assert digest(whole / "model") != digest(base_model)
