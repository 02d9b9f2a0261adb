"""What is sampled is the configuration's to say: not the model folder's, nor the engine's."""

import json
import shutil
from pathlib import Path

import pytest
import tiny_tokenizers
import torch
from transformers import AutoModelForCausalLM
from transformers import GenerationConfig as LibraryConfig

from soar_pipeline.config import GenerationConfig, Prompts, StudentConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.attempts import AttemptSampler
from soar_pipeline.policy.loading import load_policy, save_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.prompts import PromptFormat
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.questions import question_writer

TOY = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
QUESTIONS = [Question(str(i), f"48291{i}aLbR", str(i)) for i in range(4)]
FOLDERS_KEYS = {
    "do_sample": True,
    "temperature": 0.3,
    "top_k": 2,
    "top_p": 0.5,
    "min_p": 0.4,
    "typical_p": 0.3,
    "epsilon_cutoff": 0.01,
    "repetition_penalty": 1.8,
    "no_repeat_ngram_size": 1,
    "suppress_tokens": [3, 4, 5, 6, 7],
    "begin_suppress_tokens": [8, 9, 10],
    "bad_words_ids": [[11]],
    "forced_eos_token_id": 1,
    "min_new_tokens": 20,
    "max_new_tokens": 5,
    "num_beams": 2,
}


@pytest.fixture(scope="module")
def folder_with_keys(base_model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "model"
    shutil.copytree(base_model, folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | FOLDERS_KEYS), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def grader():
    with Grader() as grader:
        yield grader


def all_that_is_sampled(folder: Path, segment_tokens: int | None, grader: Grader) -> dict:
    """By the filter and the evaluation, greedily, by a teacher, and for the rollouts of a training."""
    generation = GenerationConfig(
        student_max_new_tokens=30, teacher_max_new_tokens=40, batch_size=64, segment_tokens=segment_tokens
    )
    policy = OpenPolicy.around(load_policy(folder, "float32"), TOY, generation, grader)
    written = question_writer(policy, 64).write([str(i) for i in range(4)], seed=1)
    trainer = StudentTrainer(policy, StudentConfig(batch_size=2, group_size=4, kl_coefficient=0, learning_rate=1e-3))
    return {
        "attempts": AttemptSampler(policy).sample(QUESTIONS, samples=4, seed=1),
        "greedy": policy.generator.greedy([policy.prompts.student(item.question) for item in QUESTIONS], 30),
        "accuracy": Evaluator(policy).greedy_accuracy(QUESTIONS),
        "teacher": [(item.question.question, item.question.answer, item.rejected_before) for item in written],
        "rollouts": [
            (step.reward, step.tokens)
            for step in trainer.train(constant_schedule(QUESTIONS, steps=2, batch_size=2, seed=1), 7, reference={})
        ],
    }


@pytest.mark.parametrize("segment_tokens", [None, 8])
def test_a_folders_generation_config_changes_nothing(segment_tokens, base_model, folder_with_keys, grader):
    expected = all_that_is_sampled(base_model, segment_tokens, grader)
    assert all_that_is_sampled(folder_with_keys, segment_tokens, grader) == expected


def test_the_library_alone_would_follow_the_folder(base_model, folder_with_keys):
    """So the test above can tell."""
    prompt = torch.tensor([[3, 4, 5]])
    plain, other = (AutoModelForCausalLM.from_pretrained(each) for each in (base_model, folder_with_keys))
    settings = LibraryConfig(do_sample=False, max_new_tokens=20)
    assert not torch.equal(
        plain.generate(prompt, generation_config=settings), other.generate(prompt, generation_config=settings)
    )


def test_a_folder_says_which_tokens_end_a_completion_also_after_training(base_model, tmp_path, grader):
    shutil.copytree(base_model, tmp_path / "model")
    (tmp_path / "model" / "generation_config.json").write_text('{"eos_token_id": [1, 7], "top_k": 1}')
    policy = load_policy(tmp_path / "model", "float32")
    assert policy.eos_token_ids == [1, 7]
    save_policy(tmp_path / "trained", policy, copy_weights(policy.model))
    assert load_policy(tmp_path / "trained", "float32").eos_token_ids == [1, 7]
    saved = json.loads((tmp_path / "trained" / "generation_config.json").read_text(encoding="utf-8"))
    assert "top_k" not in saved


CONVERSATION = "This is a conversation.\n\nUser: {question}\nAssistant:"
RAW = Prompts(student=CONVERSATION, teacher=CONVERSATION.replace("{question}", "Write."))


@pytest.mark.parametrize("segment_tokens", [None, 1, 3, 50])
@pytest.mark.parametrize("ending", ["r:", "r: q"])
def test_a_raw_conversation_stops_at_the_next_turn_of_the_user(segment_tokens, ending, tmp_path, grader):
    """`ending`: the stop may end within a token."""
    tokenizer = tiny_tokenizers.qwen()
    tokenizer.add_tokens([ending, "<box>"])
    # After the colon of "Assistant:".
    tiny_tokenizers.save_parrot(tmp_path / "model", tokenizer, [":", "4", "2", "Ċ", "U", "s", "e", ending, "x"])
    generation = GenerationConfig(student_max_new_tokens=20, batch_size=3, segment_tokens=segment_tokens)
    policy = OpenPolicy.around(load_policy(tmp_path / "model", "float32"), RAW, generation, grader)
    assert (policy.prompts.student_stop, policy.prompts.teacher_stop) == ("User:", "User:")
    prompts = [policy.prompts.student(question) for question in ("1", "12", "123", "1234")]
    tokens = tuple(tokenizer.convert_tokens_to_ids(["4", "2", "Ċ", "U", "s", "e", ending]))

    [*greedy] = policy.generator.greedy(prompts, 20, policy.prompts.student_stop)
    sampled = [group[0] for group in policy.generator.sample(prompts, 1, policy.student_params(seed=1))]
    for completion in greedy + sampled:
        assert (completion.text, completion.token_ids) == ("42\n", tokens)
        assert (completion.tokens, completion.truncated) == (7, False)
    # A completion that ends before it comes to that.
    [short] = policy.generator.greedy(prompts[:1], 4, policy.prompts.student_stop)
    assert (short.text, short.truncated) == ("42\nU", True)
    [without] = policy.generator.greedy(prompts[:1], 20)
    assert without.truncated
    assert without.tokens == 20


def test_what_comes_after_the_stop_is_neither_trained_on_nor_rewarded(tmp_path, grader, monkeypatch):
    tokenizer = tiny_tokenizers.qwen()
    tiny_tokenizers.save_parrot(tmp_path / "model", tokenizer, [":", "4", "2", "Ċ", "U", "s", "e", "r"])
    generation = GenerationConfig(student_max_new_tokens=20)
    policy = OpenPolicy.around(load_policy(tmp_path / "model", "float32"), RAW, generation, grader)
    assert policy.rollout_generator is policy.generator
    trainer = StudentTrainer(policy, StudentConfig(batch_size=1, group_size=2, kl_coefficient=0))
    graded, lengths = [], []

    def grade(pairs):
        graded.extend(pairs)
        return Grader.grade(grader, pairs)

    monkeypatch.setattr(grader, "grade", grade)
    loss = trainer.trainer._compute_loss

    def watched(model, inputs):
        lengths.extend(inputs["completion_mask"].sum(1).tolist())
        return loss(model, inputs)

    trainer.trainer._compute_loss = watched
    schedule = constant_schedule([Question("q", "1+1", "2")], steps=1, batch_size=1, seed=0)
    trainer.train(schedule, 7, reference={})
    assert graded == [("2", "42\n")] * 2
    # To the colon that completed the stop.
    assert lengths == [8, 8]


@pytest.mark.parametrize(
    ("prompt", "chat_template", "stop"),
    [
        (CONVERSATION, False, "User:"),
        (CONVERSATION, True, None),
        ("{question}", False, None),
        ("<student>{question}<answer_here>", False, None),
        ("Say User: {question}", False, None),
    ],
)
def test_a_stop_is_that_of_a_raw_conversation(prompt, chat_template, stop):
    prompts = Prompts(student=prompt, teacher=prompt)
    assert PromptFormat(prompts, chat_template, tiny_tokenizers.qwen()).student_stop == stop


def test_the_shipped_prompts_are_conversations(project):
    for name in ("student", "teacher", "teacher_question", "teacher_answer"):
        text = (project / "resources" / "prompts" / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
        prompts = Prompts(student=text, teacher=text)
        assert PromptFormat(prompts, False, tiny_tokenizers.qwen()).teacher_stop == "User:", name
