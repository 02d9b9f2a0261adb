"""A teacher that writes the question first and then its answer, with no filter (docs/method.md §3)."""

from typing import ClassVar

import pytest
from policies import scripted_policy

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import QUESTION_SET
from soar_pipeline.config import (
    Config,
    ConfigError,
    GenerationConfig,
    PromptConfig,
    Prompts,
    QuestionSet,
    Settings,
    Shard,
    SoarRun,
    StudentConfig,
    load,
    read_prompts,
)
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.reward import student_reward
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.prompts import PromptFormat
from soar_pipeline.policy.sampling import Completion
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.soar.questions import TwoTurnWriter, acceptance_rate, check_teacher_context, question_writer
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.sample_questions import sample_questions

ONE_TURN = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(teacher_max_new_tokens=120, batch_size=64)
TWO_TURNS = ONE_TURN.model_copy(update={"teacher_answer": "<teacher><question>{question}</question>"})


def writer_of(teacher: "ScriptedTurns") -> TwoTurnWriter:
    prompts = PromptFormat(TWO_TURNS, False, teacher.tokenizer)
    return TwoTurnWriter(scripted_policy(teacher, None, prompts, GENERATION, teacher.tokenizer))


def test_two_turns_end_with_their_tags_and_the_second_is_asked_with_the_first(base_model):
    policy = load_policy(base_model, "float32")
    with Grader() as grader:
        writer = question_writer(OpenPolicy.around(policy, TWO_TURNS, GENERATION, grader), max_draws_per_question=1)
        drawn = writer.write([str(i) for i in range(64)], seed=1)
    # Nothing is refused, though the base model closes about one question in ten with no tag at all.
    assert len(drawn) == 64
    assert acceptance_rate(drawn) == 1.0
    closed = [item for item in drawn if item.turns[0].completion.text.endswith("</question>")]
    assert 40 < len(closed) < 64
    for item in drawn:
        asked, answered = item.turns
        assert asked.prompt == "<teacher>"
        assert answered.prompt == f"<teacher><question>{item.question.question}</question>"
        for turn in item.turns:
            completion = turn.completion
            assert completion.tokens == len(completion.token_ids)
            assert policy.tokenizer.decode(completion.token_ids, skip_special_tokens=True) == completion.text
        assert item.text == f"{asked.completion.text}\n\n{answered.completion.text}"
    for item in closed:
        # The opening tag may be missing.
        assert item.turns[0].completion.text.removeprefix("<question>") == f"{item.question.question}</question>"
        assert policy.tokenizer.eos_token_id not in item.turns[0].completion.token_ids
    problems = [digit_shuffles.parse(item.question.question) for item in drawn]
    right = sum(
        problem is not None and not problem.ambiguous and problem.answer == item.question.answer
        for item, problem in zip(drawn, problems, strict=True)
    )
    # A good third of the base model's questions is ambiguous.
    assert right > 16


class ScriptedTurns:
    """Writes the questions first, then the answers; remembers what it was asked with."""

    def __init__(self, tokenizer, questions: list[str], answers: list[str]):
        self.tokenizer, self.turns, self.prompts = tokenizer, [questions, answers], []

    def sample(self, prompts, samples, params):
        self.prompts.append(prompts)
        ids = [tuple(self.tokenizer(text)["input_ids"]) for text in self.turns.pop(0)]
        assert samples == 1
        return [[Completion(self.tokenizer.decode(row), len(row), False, row)] for row in ids]


class AsciiTokenizer:
    """One token per character."""

    chat_template = bos_token_id = None
    added_tokens_decoder: ClassVar = {}

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(character) for character in text]}

    def decode(self, ids, skip_special_tokens=False) -> str:
        return "".join(map(chr, ids))


@pytest.mark.parametrize(
    ("written", "question"),
    [
        ("Here: <question> What is 1+1? </question> Its answer is 2. <question>3</question>", "What is 1+1?"),
        ("What is 1+1?", "What is 1+1?"),
        ("What is 1+1?</question>", "What is 1+1?"),
        ("<question>What is 1+1?", "What is 1+1?"),
        ("<question></question>", ""),
        ("What\x00 is {question}?", "What is {question}?"),
    ],
)
def test_any_first_turn_is_a_question(written, question):
    teacher = ScriptedTurns(AsciiTokenizer(), [written], ["\\boxed{2}"])
    (item,) = writer_of(teacher).write(["id"], seed=0)
    assert item.question == Question("id", question, "2")
    assert teacher.prompts == [["<teacher>"], [f"<teacher><question>{question}</question>"]]


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("So \\boxed{1}, no: <answer>\\boxed{2}</answer> and then \\boxed{3}", "2"),
        ("It is \\boxed{x\x07+1}", "x+1"),
        ("<answer>two apples</answer>", "two apples"),
        ("I cannot say.", "I cannot say."),
        ("\\boxed{}", ""),
        ("", ""),
    ],
)
def test_any_second_turn_is_an_answer_and_no_student_crashes_on_it(written, answer):
    teacher = ScriptedTurns(AsciiTokenizer(), ["What is it?"], [written])
    (item,) = writer_of(teacher).write(["id"], seed=0)
    assert item.question == Question("id", "What is it?", answer)
    with Grader() as grader:
        (grade,) = grader.grade([(answer, "The final answer is: \\boxed{7}")])
    assert student_reward(answer, grade, StudentConfig()) == 10


def test_a_student_trains_on_whatever_two_turns_may_leave(base_model):
    prose, tower = "well, " * 200, "9^{9^{9^{9^{9}}}}"
    pairs = [
        ("", ""),
        ("", "123456"),
        ("</question>", "I cannot say."),
        (prose, prose),
        ("482917aL", tower),
        ("9", "}{"),
    ]
    questions = [Question(str(i), *pair) for i, pair in enumerate(pairs)]
    policy = load_policy(base_model, "float32")
    config = StudentConfig(learning_rate=1e-3, batch_size=2, group_size=4)
    generation = GENERATION.model_copy(update={"student_max_new_tokens": 30})
    with Grader(timeout_seconds=1) as grader:
        trainer = StudentTrainer(OpenPolicy.around(policy, TWO_TURNS, generation, grader), config)
        base = copy_weights(policy.model)
        metrics = trainer.train(
            constant_schedule(questions, steps=3, batch_size=2, seed=0), 0, start=base, reference=base
        )
    assert [step.step for step in metrics] == [1, 2, 3]
    assert all(bool(value.isfinite().all()) for value in copy_weights(policy.model).values())


def test_the_second_turns_prompt_must_leave_room_for_a_question(base_model):
    policy = load_policy(base_model, "float32")
    check_teacher_context(OpenPolicy.around(policy, TWO_TURNS, GENERATION, None))
    long = GENERATION.model_copy(update={"teacher_max_new_tokens": 128})
    check_teacher_context(OpenPolicy.around(policy, ONE_TURN, long, None))
    with pytest.raises(ConfigError, match=r"prompt for the answer.* 256"):
        check_teacher_context(OpenPolicy.around(policy, TWO_TURNS, long, None))


@pytest.fixture(scope="module")
def config(project) -> Config:
    return resolve_paths(load(project / "config" / "smoke.yaml"), "smoke.yaml", project)


def prompts_of(config, stage, item) -> dict:
    return Settings.of(config, stage, item).results["prompts"]


def teachers(prompts: Prompts) -> dict:
    return prompts.model_dump(exclude={"student"})


def test_an_objective_of_two_turns_has_prompts_of_its_own(config):
    assert prompts_of(config, "train_soar", SoarRun("shuffles", "grounded", 1)) == ONE_TURN.model_dump()
    assert prompts_of(config, "train_soar", SoarRun("shuffles", "multi_turn", 1)) == TWO_TURNS.model_dump()
    assert prompts_of(config, "sample_questions", QuestionSet("shuffles", "multi_turn_t", 1)) == teachers(TWO_TURNS)
    assert prompts_of(config, "sample_questions", QuestionSet("shuffles", "base_t", 1)) == teachers(ONE_TURN)
    assert prompts_of(config, "sample_attempts", Shard("shuffles", 0)) == {"student": ONE_TURN.student}


def test_the_prompts_for_real_models_ask_for_one_tagged_text_each(config, project):
    shipped = resolve_paths(config.model_copy(update={"prompts": PromptConfig()}), "defaults", project)
    prompts = read_prompts(shipped.prompts, turns=2)
    assert prompts.teacher.count("<question>") == prompts.teacher.count("</question>") == 1
    assert "answer>" not in prompts.teacher
    assert r"<answer>\boxed{" in prompts.teacher_answer
    assert prompts.teacher.endswith("Assistant:")
    assert prompts.teacher_answer.endswith("Assistant:")


def test_an_answer_prompt_without_the_question_is_refused_where_it_is_used(config):
    prompts = config.prompts.model_copy(update={"teacher_answer": config.prompts.teacher_question})
    wrong = config.model_copy(update={"prompts": prompts})
    Settings.of(wrong, "train_soar", SoarRun("shuffles", "grounded", 1))
    with pytest.raises(ConfigError, match=r"prompts\.teacher_answer: .* must hold \{question\} exactly once"):
        Settings.of(wrong, "train_soar", SoarRun("shuffles", "multi_turn", 1))


def test_questions_of_a_trained_two_turn_teacher_are_sampled_in_two_turns(config, base_model, tmp_path):
    run = QuestionSet("shuffles", "multi_turn_t", 3)
    settings = Settings.of(config, "sample_questions", run)
    call_stage(sample_questions, settings, run, policy=base_model, questions=tmp_path / "questions.parquet")
    rows = read_rows(tmp_path / "questions.parquet", QUESTION_SET)
    assert len(rows) == 8
    assert {row["rejected_before"] for row in rows} == {0}
    assert all("\n\n" in row["completion"] for row in rows)
    assert any(row["completion"].startswith(f"<question>{row['question']}</question>\n\n") for row in rows)
