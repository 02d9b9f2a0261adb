"""Hint withdrawal: what is shown of a worked solution, when it shrinks, and what the student is evaluated on."""

from pathlib import Path

import pytest
from minimal_config import MINIMAL
from workflow_runs import changed_config, snakemake

from soar_pipeline.artifacts.files import read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import CURVE, HARD
from soar_pipeline.baselines.hints import HintedTrainer, HintWithdrawal, beginning
from soar_pipeline.config import ConfigError, GenerationConfig, HintConfig, Prompts, Settings, StudentRun, validate
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.questions import Question, read_problems, read_solutions
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.train_fresh_student import train_fresh_student
from soar_pipeline.stages.write_schedule import write_schedule

RUN = StudentRun("shuffles", "hint_withdrawal", 0, 1)
WORKED = "We have $x + 1 = 3$, so $x = 2$ and the answer is $\\boxed{2}$, as $2 + 1 = 3$."


@pytest.mark.parametrize(
    ("solution", "fraction", "shown"),
    [
        (WORKED, 0.0, ""),
        (WORKED, 0.25, "We have $x +"),
        (WORKED, 0.5, "We have $x + 1 = 3$, so $x"),
        # Up to the box: neither the answer in it nor what is said of it.
        (WORKED, 1.0, "We have $x + 1 = 3$, so $x = 2$ and the answer is $"),
        ("a829174b482917", 0.5, "a829174"),
        ("a829174b482917", 1.0, "a829174b482917"),
        ("word", 0.5, "wo"),
        ("two words", 0.2, ""),
        ("", 1.0, ""),
        (r"\boxed{5}", 1.0, ""),
    ],
)
def test_a_hint_is_the_beginning_of_a_solution_without_its_box(solution, fraction, shown):
    assert beginning(solution, fraction) == shown


def test_a_hint_shrinks_with_success_and_grows_where_there_is_none():
    hints = HintWithdrawal(HintConfig(parts=4, start=3, shorten_at=0.5), {"a": "x" * 8})
    fractions = [hints.fraction("a")]
    for success in (0.5, 0.25, 1.0, 0.0, 0.75, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0):
        hints.observe("a", success)
        fractions.append(hints.fraction("a"))
    assert fractions == [0.75, 0.5, 0.5, 0.25, 0.5, 0.25, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert hints.hint("a") == "x" * 8
    # A problem of its own is as at first, and one without a solution shows nothing.
    other = HintWithdrawal(HintConfig(), {"a": "x" * 8, "b": "y" * 8}, shown={"a": 0})
    assert (other.hint("a"), other.hint("b"), other.hint("c"), other.fraction("c")) == ("", "y" * 6, "", 0.0)


TOY = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")


def test_students_go_on_from_the_hint_which_their_evaluation_lacks(smoke, base_model, hard_problems):
    problems, solutions = read_problems(hard_problems), read_solutions(hard_problems)
    generation = GenerationConfig(student_max_new_tokens=60, teacher_max_new_tokens=120, batch_size=64)
    hints = HintWithdrawal(HintConfig(), solutions)
    student = smoke.student.model_copy(update={"batch_size": 4, "group_size": 8, "learning_rate": 1e-4})
    with Grader() as grader:
        policy = OpenPolicy.around(load_policy(base_model, "float32"), TOY, generation, grader)
        trainer = HintedTrainer(policy, student, hints, problems)
        encoded = []
        tokenize = trainer.trainer._tokenize_prompts

        def watched(prompts: list[str]):
            ids = tokenize(prompts)
            encoded.append([policy.tokenizer.decode(row) for row in ids[0]])
            return ids

        trainer.trainer._tokenize_prompts = watched
        base = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
        steps = trainer.train(constant_schedule(problems, steps=3, batch_size=4, seed=1), 7, reference=base)
    plain = {problem.question_id: policy.prompts.student(problem.question) for problem in problems}
    at_first = {plain[name] + beginning(solution, 0.75) for name, solution in solutions.items()}
    assert set(encoded[0]) == at_first
    assert at_first.isdisjoint(plain.values())
    # The base model finishes what is three quarters done.
    assert steps[0].hint_fraction == 0.75
    assert steps[0].reward > 60
    assert [step.hint_fraction for step in steps] != [0.75] * 3
    shown = {name: beginning(solution, hints.fraction(name)) for name, solution in solutions.items()}
    for name, hint in shown.items():
        assert policy.prompts.student(problems[int(name[1:])].question, hint) == plain[name] + hint


def test_a_conversation_has_a_space_before_the_hint(base_model):
    conversation = Prompts(student="Talk.\nUser: {question}\nAssistant:", teacher="<teacher>")
    policy = OpenPolicy.around(load_policy(base_model, "float32"), conversation, GenerationConfig(), None)
    assert policy.prompts.student("2 + 2?", "We add") == "Talk.\nUser: 2 + 2?\nAssistant: We add"
    # A solution is a data set's text: it cannot end the prompt.
    assert "<eos>" not in policy.prompts.student("2 + 2?", "We <eos> add")


def test_a_problem_whose_solution_exceeds_the_context_is_named(smoke, base_model):
    generation = GenerationConfig(student_max_new_tokens=100, teacher_max_new_tokens=120)
    policy = OpenPolicy.around(load_policy(base_model, "float32"), TOY, generation, None)
    hints = HintWithdrawal(HintConfig(), {"long": "a829174" * 40})
    with pytest.raises(ConfigError, match=r"^long: a prompt of \d+ tokens and 100 new tokens exceed"):
        HintedTrainer(policy, smoke.student, hints, [Question("long", "482917aL", "829174")])


def trained(smoke, base_model: Path, problems: Path, folder: Path) -> list[dict]:
    """The curve of a hinted student on the problems."""
    schedule, training = (folder / f"{name}.parquet" for name in ("schedule", "training"))
    settings = Settings.of(smoke, "write_schedule", RUN)
    call_stage(write_schedule, settings, RUN, train=problems, questions=[], schedule=schedule)
    inputs = {"base_model": base_model, "schedule": schedule, "test": problems, "solutions": [problems]}
    made = {"training": training, **{name: folder / name for name in ("evaluated", "model")}}
    call_stage(train_fresh_student, Settings.of(smoke, "train_fresh_student", RUN), RUN, **inputs, **made)
    return read_rows(training, CURVE)


def test_solutions_may_lack_for_some_problems_but_not_for_all(smoke, base_model, hard_problems, tmp_path):
    rows = read_rows(hard_problems, HARD)

    def without(count: int) -> Path:
        path = tmp_path / f"{count}.parquet"
        cut = [row | {"solution": None} if i < count else row for i, row in enumerate(rows)]
        write_parquet(path, table(cut, HARD), Provenance("test", {}))
        return path

    # Batches of two: the first two steps see every problem once.
    curve = trained(smoke, base_model, without(2), tmp_path / "some")
    assert sum(row["hint_fraction"] for row in curve[:2]) == pytest.approx(0.75)
    with pytest.raises(Exception, match=r"none of its problems has a worked solution"):
        trained(smoke, base_model, without(4), tmp_path / "none")


FIXED = {"hints": {}, "fresh_student": {"checkpoint": {"rule": "fixed", "step": 1500}}}
GYM = {"gym": {"adapter": "reasoning_gym", "task": "leg_counting", "size": 8}}


@pytest.mark.parametrize(
    ("arm", "datasets", "message"),
    [
        ({"hints": {}}, {}, r"fresh_student\.checkpoint\.rule: the training reward of arms\.hint is earned with hints"),
        (FIXED | {"hints": {"start": 5}}, {}, r"arms\.hint\.hints: .*start: 5 is more than parts, 4"),
        (FIXED, {"datasets": GYM}, r"arms\.hint\.hints: problems of reasoning_gym \(gym\) have no worked solutions"),
        (FIXED | {"questions": {"source": "base_teacher"}}, {}, "`hints` are for hard problems alone"),
        ({"hints": {}, "policy": "base"}, {}, "policy base is not a fresh student"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(arm, datasets, message):
    arms = {name: MINIMAL["arms"][name] for name in ("hard_only",)} | {"hint": {"label": "Hints", **arm}}
    report = {"headline_arms": ["hint"]}
    with pytest.raises(ConfigError, match=message) as refused:
        validate(MINIMAL | {"arms": arms, "report": report} | datasets, "here")
    assert "\n" not in str(refused.value)


def test_a_dry_run_refuses_a_data_set_without_solutions_in_one_line(tmp_path):
    (tmp_path / "pool.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n', encoding="utf-8")
    pool = {"adapter": "plain", "path": "pool.jsonl"}
    config = changed_config(tmp_path, "smoke.yaml", {"datasets.shuffles": pool, "taxonomy.judge": {
        "kind": "endpoint", "base_url": "http://localhost:1/v1", "model": "m"}})  # fmt: skip
    done = snakemake(tmp_path, "--dry-run", "--configfile", config)
    assert done.returncode != 0
    told = [line for line in (done.stdout + done.stderr).splitlines() if "worked solution" in line]
    assert len(told) == 1
    assert "datasets.shuffles: no problem of pool.jsonl has a worked solution" in told[0]
