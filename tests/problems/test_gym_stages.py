"""A task of Reasoning Gym through every stage that loads, samples, grades or trains on its problems."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("reasoning_gym", reason="package reasoning-gym is not installed (extra `reasoning-gym`)")

import tiny_tokenizers
from tokenizers import AddedToken
from workflow_runs import changed_config

from soar_pipeline.artifacts import schemas
from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.config import (
    Config,
    Dataset,
    Model,
    Pool,
    QuestionSet,
    Settings,
    Shard,
    SoarRun,
    StudentRun,
    WholeRun,
    load,
)
from soar_pipeline.config.items import Item
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.estimate_passk import estimate_passk
from soar_pipeline.stages.evaluate_policy import evaluate_policy
from soar_pipeline.stages.evaluate_student import evaluate_student
from soar_pipeline.stages.extract_promotion_questions import extract_promotion_questions
from soar_pipeline.stages.filter_hard import filter_hard
from soar_pipeline.stages.load_problems import load_problems
from soar_pipeline.stages.measure_diversity import measure_diversity
from soar_pipeline.stages.prepare_base_model import prepare_base_model
from soar_pipeline.stages.sample_attempts import sample_attempts
from soar_pipeline.stages.sample_questions import sample_questions
from soar_pipeline.stages.select_evaluation import select_evaluation
from soar_pipeline.stages.split_hard import split_hard
from soar_pipeline.stages.train_fresh_student import train_fresh_student
from soar_pipeline.stages.train_soar import train_soar
from soar_pipeline.stages.write_schedule import write_schedule

# What the teacher writes, whole texts being tokens of its model. Only the first is an answer to itself.
QUESTIONS = [
    rf"<question>How many legs have {count} cats?</question><answer>\boxed{{{4 * count}}}</answer>"
    for count in range(1, 5)
]
# What the student answers: no task's answer, and no box at all.
ANSWERS = [r"\boxed{-1}", "none"]
# The last characters of the two prompts, after which the model writes.
ASKED, TAUGHT = ">", "!"


def save_model(folder: Path) -> None:
    tokenizer = tiny_tokenizers.gpt2()
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in QUESTIONS + ANSWERS])
    end = tokenizer.eos_token
    following = {ASKED: ANSWERS, TAUGHT: QUESTIONS} | {text: [end] for text in QUESTIONS + ANSWERS}
    tiny_tokenizers.save_bigrams(folder, tokenizer, following)


@pytest.fixture(scope="module")
def config(tmp_path_factory, project: Path) -> Config:
    """The shipped configuration with one of its tasks, and with a model that writes these texts."""
    folder = tmp_path_factory.mktemp("gym")
    save_model(folder / "model")
    (folder / "student.txt").write_text("{question}" + ASKED)
    (folder / "teacher.txt").write_text("Write" + TAUGHT)
    legs = load(project / "config" / "reasoning_gym.yaml").datasets["legs"].model_dump(exclude_defaults=True)
    path = changed_config(
        folder,
        "reasoning_gym.yaml",
        {
            "models": {"base": {"source": "folder", "path": "model", "dtype": "float32"}},
            "prompts": {"student": "student.txt", "teacher": "teacher.txt"},
            "datasets": {"legs": legs | {"size": 6}},
            "filter.rounds": [2],
            "generation": {"student_max_new_tokens": 4, "teacher_max_new_tokens": 4},
            "soar.outer_steps": 1,
            "soar.reward_questions": 2,
            "soar.promotion_threshold": -1.0,
            "soar.moving_average_window": 1,
            "evaluation.test_limit": 2,
        },
    )
    return resolve_paths(load(path), path.name, project, beside=folder)


def test_a_task_passes_through_every_stage(config, tmp_path):
    def run(stage: Callable[..., None], item: Item, **files: Path | list[Path]) -> None:
        call_stage(stage, Settings.of(config, stage.__name__, item), item, **files)

    def file(name: str) -> Path:
        return tmp_path / f"{name}.parquet"

    base, legs = tmp_path / "base", Dataset("legs")
    run(prepare_base_model, Model("base"), source=[Path(config.models["base"].path)], base_model=base)
    run(load_problems, Pool("legs"), source=[], problems=file("problems"))
    run(sample_attempts, Shard("legs", 0), base_model=base, problems=file("problems"), attempts=file("attempts"))
    hard = {"hard": file("hard"), "audit": file("audit")}
    run(filter_hard, legs, problems=file("problems"), attempts=[file("attempts")], **hard)
    run(split_hard, legs, hard=file("hard"), train=file("train"), test=file("test"))
    made = {name: file(name) for name in ("steps", "questions", "students", "promotions")}
    models = {name: tmp_path / name for name in ("teacher", "student")}
    run(train_soar, SoarRun("legs", "grounded", 1), base_model=base, train=file("train"), judge=[], **made, **models)

    assert len(read_rows(file("hard"), schemas.HARD)) == 6
    assert len(read_rows(file("promotions"), schemas.PROMOTIONS)) == 1
    written = read_rows(file("questions"), schemas.SOAR_QUESTIONS)
    assert {row["answer"] for row in written} <= {"4", "8", "12", "16"}

    promoted, sampled = QuestionSet("legs", "soar_pq", 1), QuestionSet("legs", "grounded_t", 1)
    soar = {"soar_questions": file("questions"), "promotions": file("promotions")}
    run(extract_promotion_questions, promoted, **soar, questions=file("soar_pq"))
    run(sample_questions, sampled, policy=models["teacher"], questions=file("grounded_t"))
    diverse = {"soar_questions": [file("questions")], "diversity": file("diversity"), "steps": file("distances")}
    run(measure_diversity, WholeRun(), questions=[file("soar_pq"), file("grounded_t")], **diverse)

    student = StudentRun("legs", "soar_pq", 1, 1)
    run(write_schedule, student, train=file("train"), questions=[file("soar_pq")], schedule=file("schedule"))
    trained = {"training": file("training"), "evaluated": tmp_path / "evaluated"}
    reads = {"base_model": base, "test": file("test")}
    fresh = {"schedule": file("schedule"), "solutions": [], "model": tmp_path / "fresh"}
    run(train_fresh_student, student, **reads, **trained, **fresh)
    run(evaluate_student, student, **reads, **trained, curve=file("curve"), attempts=file("tests"))
    run(select_evaluation, student, curve=file("curve"), attempts=file("tests"), evaluation=file("of_pq"))
    shown = {"policy": models["student"], "test": file("test"), "promotions": [file("promotions")]}
    run(evaluate_policy, StudentRun("legs", "soar_ps", 1, 1), **shown, evaluation=file("of_ps"))
    run(estimate_passk, WholeRun(), evaluations=[file("of_pq"), file("of_ps")], passk=file("passk"))

    phases = [row["phase"] for row in read_rows(file("schedule"), schemas.SCHEDULE)]
    assert set(phases) == {"synthetic", "real"}
    graded = [row["verdict"] for name in ("of_pq", "of_ps") for row in read_rows(file(name), schemas.EVALUATION)]
    assert set(graded) <= {"wrong", "no_box"}
    assert {(row["arm"], row["value"]) for row in read_rows(file("passk"), schemas.PASSK)} == {
        ("soar_pq", 0.0),
        ("soar_ps", 0.0),
    }
