"""A teacher that writes the question first and then its answer, with no filter (spec section 3)."""

from typing import ClassVar

import pytest

from soar_pipeline.artifacts import QUESTIONS, read_rows
from soar_pipeline.config import Config, ConfigError, GenerationConfig, GradingConfig, PromptConfig, StudentConfig, load
from soar_pipeline.generation.generator import Completion
from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.reward import student_reward
from soar_pipeline.located import located
from soar_pipeline.models.policy import PromptFormat, copy_weights, load_policy
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.slices import AttemptsSlice, Prompts, QuestionSamplingSlice, SoarSlice, prompt_texts
from soar_pipeline.soar.questions import TwoTurnWriter, acceptance_rate, check_teacher_context, question_writer
from soar_pipeline.stages.sample_questions import sample_questions
from soar_pipeline.training.schedules import Question, constant_schedule
from soar_pipeline.training.student import StudentTrainer

ONE_TURN = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(teacher_max_new_tokens=120, batch_size=64)
TWO_TURNS = ONE_TURN.model_copy(update={"teacher_answer": "<teacher><question>{question}</question>"})


def two_turn_prompts(policy) -> PromptFormat:
    return PromptFormat(TWO_TURNS, False, policy.tokenizer)


def test_two_turns_end_with_their_tags_and_the_second_is_asked_with_the_first(base_model):
    policy = load_policy(base_model, "float32")
    prompts = two_turn_prompts(policy)
    with Grader(GradingConfig()) as grader:
        writer = question_writer(
            TransformersGenerator(policy, 64), grader, prompts, GENERATION, max_draws_per_question=1
        )
        drawn = writer.write(64, seed=1)
    # Nothing is refused, though the base model closes about one question in ten with no tag at all.
    assert len(drawn) == 64
    assert acceptance_rate(drawn) == 1.0
    closed = [item for item in drawn if item.turns[0].completion.text.endswith("</question>")]
    assert 40 < len(closed) < 64
    for item in drawn:
        asked, answered = item.turns
        assert asked.prompt == "<teacher>"
        assert answered.prompt == f"<teacher><question>{item.question}</question>"
        for turn in item.turns:
            completion = turn.completion
            assert completion.tokens == len(completion.token_ids)
            assert policy.tokenizer.decode(completion.token_ids, skip_special_tokens=True) == completion.text
        assert item.text == f"{asked.completion.text}\n\n{answered.completion.text}"
    for item in closed:
        assert item.turns[0].completion.text == f"<question>{item.question}</question>"
        assert policy.tokenizer.eos_token_id not in item.turns[0].completion.token_ids
    problems = [digit_shuffles.parse(item.question) for item in drawn]
    right = sum(
        problem is not None and problem.answer == item.answer for item, problem in zip(drawn, problems, strict=True)
    )
    assert right > 32


class ScriptedTurns:
    """Writes the questions first, then the answers; remembers what it was asked with."""

    def __init__(self, tokenizer, questions: list[str], answers: list[str]):
        self.tokenizer, self.turns, self.prompts = tokenizer, [questions, answers], []

    def sample(self, prompts, *, samples, max_new_tokens, temperature, seed):
        self.prompts.append(prompts)
        ids = [tuple(self.tokenizer(text)["input_ids"]) for text in self.turns.pop(0)]
        assert samples == 1
        return [[Completion(self.tokenizer.decode(row), len(row), False, row)] for row in ids]


class AsciiTokenizer:
    """One token per character."""

    chat_template = None
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
    (item,) = TwoTurnWriter(teacher, PromptFormat(TWO_TURNS, False, teacher.tokenizer), GENERATION).write(1, seed=0)
    assert item.question == question
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
    (item,) = TwoTurnWriter(teacher, PromptFormat(TWO_TURNS, False, teacher.tokenizer), GENERATION).write(1, seed=0)
    assert item.answer == answer
    with Grader(GradingConfig()) as grader:
        (grade,) = grader.grade([(item.answer, "The final answer is: \\boxed{7}")])
    assert student_reward(item.answer, grade, StudentConfig()) == 10


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
    with Grader(GradingConfig(timeout_seconds=1)) as grader:
        trainer = StudentTrainer(policy, PromptFormat(TWO_TURNS, False, policy.tokenizer), grader, config, generation)
        base = copy_weights(policy.model)
        metrics = trainer.train(
            constant_schedule(questions, steps=3, batch_size=2, seed=0), 0, start=base, reference=base
        )
    assert [step.step for step in metrics] == [1, 2, 3]
    assert all(bool(value.isfinite().all()) for value in copy_weights(policy.model).values())


def test_the_second_turns_prompt_must_leave_room_for_a_question(base_model):
    policy = load_policy(base_model, "float32")
    check_teacher_context(policy, two_turn_prompts(policy), GENERATION)
    long = GENERATION.model_copy(update={"teacher_max_new_tokens": 128})
    check_teacher_context(policy, PromptFormat(ONE_TURN, False, policy.tokenizer), long)
    with pytest.raises(ConfigError, match=r"prompt for the answer.* 256"):
        check_teacher_context(policy, two_turn_prompts(policy), long)


@pytest.fixture(scope="module")
def config(project) -> Config:
    return located(load(project / "config" / "smoke.yaml"), "smoke.yaml", project)


def test_an_objective_of_two_turns_has_prompts_of_its_own(config):
    assert SoarSlice.of(config, "shuffles", "grounded").sampling.prompts == ONE_TURN
    assert SoarSlice.of(config, "shuffles", "multi_turn").sampling.prompts == TWO_TURNS
    assert QuestionSamplingSlice.of(config, "shuffles", "multi_turn_t").sampling.prompts == TWO_TURNS
    assert QuestionSamplingSlice.of(config, "shuffles", "base_t").sampling.prompts == ONE_TURN
    assert AttemptsSlice.of(config, "shuffles").sampling.prompts == ONE_TURN


def test_the_prompts_for_real_models_ask_for_one_tagged_text_each(config, project):
    shipped = located(config.model_copy(update={"prompts": PromptConfig()}), "defaults", project)
    prompts = prompt_texts(shipped, turns=2)
    assert prompts.teacher.count("<question>") == prompts.teacher.count("</question>") == 1
    assert "answer>" not in prompts.teacher
    assert r"<answer>\boxed{" in prompts.teacher_answer
    assert prompts.teacher.endswith("Assistant:")
    assert prompts.teacher_answer.endswith("Assistant:")


def test_an_answer_prompt_without_the_question_is_refused_where_it_is_used(config):
    prompts = config.prompts.model_copy(update={"teacher_answer": config.prompts.teacher_question})
    wrong = config.model_copy(update={"prompts": prompts})
    SoarSlice.of(wrong, "shuffles", "grounded")
    with pytest.raises(ConfigError, match=r"prompts\.teacher_answer: .* must hold \{question\} exactly once"):
        SoarSlice.of(wrong, "shuffles", "multi_turn")


def test_questions_of_a_trained_two_turn_teacher_are_sampled_in_two_turns(config, base_model, tmp_path):
    sample_questions(
        QuestionSamplingSlice.of(config, "shuffles", "multi_turn_t"), base_model, 3, tmp_path / "questions.parquet"
    )
    rows = read_rows(tmp_path / "questions.parquet", QUESTIONS)
    assert len(rows) == 8
    assert {row["rejected_before"] for row in rows} == {0}
    assert all("\n\n" in row["completion"] for row in rows)
    assert any(row["completion"].startswith(f"<question>{row['question']}</question>\n\n") for row in rows)
