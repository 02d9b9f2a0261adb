"""Numbers that training can come to: each has a behaviour of its own, and the report shows it."""

import math
import re
from statistics import fmean

import pytest
from fake_results import DATASET, FakeResults, fake_config
from small_runs import status_of
from stage_commands import arguments

from soar_pipeline.artifacts.files import read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance, read_run
from soar_pipeline.artifacts.schemas import CURVE, EVALUATION, PROMOTIONS, QUESTION_SET, SOAR_QUESTIONS
from soar_pipeline.config import (
    ConfigError,
    GenerationConfig,
    Prompts,
    QuestionSet,
    Settings,
    SoarRun,
    StudentRun,
    validate,
)
from soar_pipeline.grading.grader import Grade, Grader
from soar_pipeline.policy.loading import DivergedError, load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.evaluate_student import evaluate_student
from soar_pipeline.stages.extract_promotion_questions import extract_promotion_questions
from soar_pipeline.stages.sample_questions import sample_questions
from soar_pipeline.stages.train_fresh_student import train_fresh_student
from soar_pipeline.stages.write_schedule import write_schedule

QUESTIONS_ASKED = [Question(f"q{i}", question, "482917") for i, question in enumerate(("482917aL", "829174aR"))]


class Verdicts(Grader):
    """A grader that gives verdicts from a list, in turn; verdicts that real comparisons give only at random."""

    def __init__(self, *verdicts: str):
        super().__init__()
        self.verdicts, self.given = verdicts, 0

    def grade(self, pairs):
        grades = []
        for _ in pairs:
            grades.append(Grade(self.verdicts[self.given % len(self.verdicts)], "1"))
            self.given += 1
        return grades


def trained(smoke, base_model, grader, steps=2, **changes):
    """Metrics of a short training, and by how much it moved any weight."""
    policy = load_policy(base_model, "float32")
    config = smoke.student.model_copy(update={"batch_size": 2, "group_size": 10, **changes})
    generation = GenerationConfig(batch_size=32, student_max_new_tokens=8)
    prompts = Prompts(student="{question}", teacher="?")
    trainer = StudentTrainer(OpenPolicy.around(policy, prompts, generation, grader), config)
    base = copy_weights(policy.model)
    schedule = constant_schedule(QUESTIONS_ASKED, steps, 2, seed=0)
    metrics = trainer.train(schedule, seed=0, start=base, reference=base)
    now = copy_weights(policy.model)
    return metrics, max(float((now[name] - base[name]).abs().max()) for name in base)


def test_timeouts_at_30_percent_leave_a_training_that_learns_from_the_rest(smoke, base_model):
    grader = Verdicts("right", "timeout", "wrong", "timeout", "wrong", "right", "timeout", "wrong", "wrong", "wrong")
    metrics, moved = trained(smoke, base_model, grader)
    assert 0 < moved < math.inf
    # Of seven that are scored two are right; unscorable is not wrong.
    expected = fmean([smoke.student.reward_right] * 2 + [smoke.student.reward_boxed] * 5)
    assert [step.reward for step in metrics] == [pytest.approx(expected)] * 2


def test_a_step_of_which_nothing_can_be_scored_has_no_reward_and_no_gradient(smoke, base_model):
    metrics, moved = trained(smoke, base_model, Verdicts("timeout"), kl_coefficient=0.0)
    assert [step.reward for step in metrics] == [None, None]
    assert moved == 0


@pytest.mark.parametrize("verdict", ["right", "wrong", "no_box"])
def test_equal_rewards_are_no_signal_and_move_nothing(smoke, base_model, verdict):
    metrics, moved = trained(smoke, base_model, Verdicts(verdict), kl_coefficient=0.0)
    assert [step.zero_std_fraction for step in metrics] == [1.0, 1.0]
    assert moved == 0


# On some machines a smaller rate ends in weights that are large but finite.
@pytest.mark.parametrize("rate", [1e12, 1e30])
def test_a_diverged_training_is_one_error_that_says_what_to_lower(smoke, base_model, rate):
    with pytest.raises(DivergedError, match="diverged; lower its learning_rate") as told:
        trained(smoke, base_model, Verdicts("right", "wrong"), steps=6, learning_rate=rate)
    assert "\n" not in str(told.value)


def test_a_gradient_that_is_no_number_stops_the_training_at_its_step(smoke, base_model):
    policy = load_policy(base_model, "float32")
    prompts = Prompts(student="{question}", teacher="?")
    # `model_copy` does not validate: no configuration can say this.
    config = smoke.student.model_copy(update={"batch_size": 2, "group_size": 4, "reward_right": math.inf})
    generation = GenerationConfig(batch_size=32, student_max_new_tokens=8)
    opened = OpenPolicy.around(policy, prompts, generation, Verdicts("right", "wrong"))
    trainer = StudentTrainer(opened, config)
    base = copy_weights(policy.model)
    with pytest.raises(DivergedError, match=r"training step 1: the gradient's norm is (nan|inf)"):
        trainer.train(constant_schedule(QUESTIONS_ASKED, 2, 2, seed=0), seed=0, start=base, reference=base)


def test_a_diverged_stage_is_one_line_and_writes_neither_checkpoint_nor_artifact(
    made_student, tmp_path, monkeypatch, caplog
):
    run = made_student(tmp_path).with_student(learning_rate=1e30)
    assert run.status(monkeypatch) == 1
    assert "error: " in caplog.text and "training diverged" in caplog.text
    assert "Traceback" not in caplog.text
    assert not list(run.state.glob("step-*"))
    assert not list(tmp_path.glob("*.parquet"))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("key", ["student.learning_rate", "student.reward_right", "soar.promotion_threshold"])
def test_no_number_of_a_configuration_is_infinite_or_none(key, value):
    section, name = key.split(".")
    values = fake_config().model_dump(exclude_unset=True)
    values.setdefault(section, {})
    values[section] = {**values[section], name: value}
    with pytest.raises(ConfigError, match=rf"{key}: Input should be a finite number"):
        validate(values, "made.yaml")


def test_all_completions_truncated_trains_without_signal_and_is_counted(made_student, tmp_path):
    run = made_student(tmp_path).with_generation(student_max_new_tokens=1).with_evaluation(keep_weights=False).run()
    curve, attempts = run.evaluated()
    assert attempts and all(row["truncated"] and row["verdict"] == "no_box" for row in attempts)
    assert [row["train_reward"] for row in curve] == [0.0] * 4
    assert {row["pass_at_1"] for row in curve} == {None, 0.0}
    assert run.digests()["model"]


def test_a_teacher_that_is_cut_off_stops_after_its_draws_and_keeps_its_last_outputs(
    smoke, base_model, tmp_path, monkeypatch, caplog
):
    generation = smoke.generation.model_copy(update={"teacher_max_new_tokens": 3})
    teacher = smoke.teacher.model_copy(update={"max_draws_per_question": 4})
    config = smoke.model_copy(update={"generation": generation, "teacher": teacher})
    questions, run = tmp_path / "questions.parquet", QuestionSet("shuffles", "base_t", 1)
    words = arguments(tmp_path, config, "sample_questions", run, policy=base_model, questions=questions)
    assert status_of(sample_questions, words, monkeypatch) == 1
    [said] = [record.getMessage() for record in caplog.records if "acceptable questions" in record.getMessage()]
    drawn = int(re.search(r"the teacher wrote 0 acceptable questions in (\d+) samples, and 8 were needed", said)[1])
    # The round in which the limit is reached is still looked at.
    size = config.arms["base_t"].questions.size
    assert 4 * size <= drawn < 4 * size + 4 * size
    assert len(said.split("last refused outputs are:\n")[1].strip().splitlines()) == 5
    assert "Traceback" not in caplog.text
    assert not questions.exists()


def test_an_empty_promotion_set_goes_through_every_stage_after_it(smoke, base_model, hard_problems, tmp_path):
    asked = {"question": "q", "answer": "1", "completion": "", "dataset_reward": 0.0, "rejected_before": 0}
    rows = [{"question_id": "q0", "outer_step": 1, "dataset_index": 0, **asked}]
    soar, promotions, kept = (tmp_path / f"{name}.parquet" for name in ("soar", "promotions", "kept"))
    write_parquet(
        soar, table(rows, SOAR_QUESTIONS, **SoarRun("shuffles", "grounded", 1).columns()), Provenance("test", {})
    )
    write_parquet(promotions, table([], PROMOTIONS), Provenance("test", {}))
    asked_of, run = QuestionSet("shuffles", "soar_pq", 1), StudentRun("shuffles", "soar_pq", 1, 1)

    def call(stage, item, **files):
        call_stage(stage, Settings.of(smoke, stage.__name__, item), item, **files)

    call(extract_promotion_questions, asked_of, soar_questions=soar, promotions=promotions, questions=kept)
    schedule = tmp_path / "schedule.parquet"
    call(write_schedule, run, train=hard_problems, questions=[kept], schedule=schedule)
    curve, attempts = tmp_path / "curve.parquet", tmp_path / "attempts.parquet"
    given = {"base_model": base_model, "test": hard_problems}
    made = {"training": tmp_path / "training.parquet", "evaluated": tmp_path / "evaluated"}
    call(train_fresh_student, run, **given, schedule=schedule, solutions=[], **made, model=tmp_path / "model")
    call(evaluate_student, run, **given, **made, curve=curve, attempts=attempts)
    assert read_rows(kept, QUESTION_SET) == read_rows(curve, CURVE) == read_rows(attempts, EVALUATION) == []


def test_the_report_shows_timeouts_truncation_and_what_had_no_signal(tmp_path):
    run = FakeResults(fake_config(), tmp_path / "numbers", promoted=False)
    run.write_inputs()
    # 30 % of an arm's test attempts timed out, the others were cut off.
    for path in run.found("evaluation/base/*.parquet"):
        rows = read_rows(path, EVALUATION)
        for i, row in enumerate(rows):
            row |= {"verdict": "timeout"} if i % 10 < 3 else {"verdict": "no_box", "truncated": True}
        write_parquet(path, table(rows, EVALUATION), Provenance("test", {}, run=read_run(path)))
    # And a curve of which one step had nothing that could be scored.
    [path, *_] = run.found("students/hard_only/*/curve.parquet")
    curve = read_rows(path, CURVE)
    curve[3]["train_reward"] = None
    write_parquet(path, table(curve, CURVE), Provenance("test", {}, run=read_run(path)))
    run.summarise()
    run.draw()
    page = " ".join(run.report().split())
    assert "No promotion in 2 SOAR runs on shuffles: this run shows no SOAR effect." in page
    assert "No outer step had a reward that differed between datasets." in page
    cells = page.split(f"<td>{DATASET}: evaluation on test</td>")[1].split("</tr>")[0]
    drawn, _, _, timeouts, truncated = (int(cell.split("</td>")[0]) for cell in cells.split("<td>")[1:])
    # Two seeds of 32 attempts each; six other runs with one timeout each.
    assert (drawn, timeouts, truncated) == (8 * 32, 2 * 11 + 6, 2 * 21)
