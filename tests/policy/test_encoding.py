"""Prompts become exactly the tokens that a person would write down."""

import pytest
import tiny_tokenizers

from soar_pipeline.config import GenerationConfig, Prompts, StudentConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.encoding import encode
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.prompts import PromptFormat
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer

PROMPTS = Prompts(student="Q: {question}", teacher="?")
LLAMA_CHAT = [
    "<|begin_of_text|>", "<|start_header_id|>", *"user", "<|end_header_id|>", *"ĊĊQ:Ġ1+1", "<|eot_id|>",
    "<|start_header_id|>", *"assistant", "<|end_header_id|>", *"ĊĊ",
]  # fmt: skip
CASES = {
    "llama": (tiny_tokenizers.llama, False, ["<|begin_of_text|>", *"Q:Ġ1+1"]),
    "llama, chat": (tiny_tokenizers.llama, True, LLAMA_CHAT),
    "llama with an end token": (tiny_tokenizers.llama_with_end, False, ["<|begin_of_text|>", *"Q:Ġ1+1"]),
    "llama with an end token, chat": (tiny_tokenizers.llama_with_end, True, LLAMA_CHAT),
    "qwen": (tiny_tokenizers.qwen, False, list("Q:Ġ1+1")),
    "qwen, chat": (
        tiny_tokenizers.qwen,
        True,
        ["<|im_start|>", *"userĊQ:Ġ1+1", "<|im_end|>", "Ċ", "<|im_start|>", *"assistantĊ"],
    ),
    "gemma": (tiny_tokenizers.gemma, False, ["<bos>", *"Q:▁1+1"]),
    "gemma, chat": (
        tiny_tokenizers.gemma,
        True,
        ["<bos>", "<start_of_turn>", *"user\nQ:▁1+1", "<end_of_turn>", "\n", "<start_of_turn>", *"model\n"],
    ),
    "gpt2": (tiny_tokenizers.gpt2, False, list("Q:Ġ1+1")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_prompt_has_each_special_token_once_and_no_end(case):
    make, chat_template, expected = CASES[case]
    tokenizer = make()
    prompt = PromptFormat(PROMPTS, chat_template, tokenizer).student("1+1")
    [ids] = encode([prompt], tokenizer)
    assert tokenizer.convert_ids_to_tokens(ids) == expected


def test_the_toy_tasks_prompts_have_no_added_token(base_model):
    tokenizer = tiny_tokenizers.toy(base_model)
    prompts = PromptFormat(Prompts(student="<student>{question}<answer_here>", teacher="?"), False, tokenizer)
    [ids] = encode([prompts.student("12aL")], tokenizer)
    assert tokenizer.convert_ids_to_tokens(ids) == ["<student>", *"12aL", "<answer_here>"]


def test_a_template_without_the_first_token_gets_none():
    """As `apply_chat_template` encodes it."""
    tokenizer = tiny_tokenizers.llama()
    tokenizer.chat_template = tiny_tokenizers.QWEN_TEMPLATE
    prompt = PromptFormat(PROMPTS, True, tokenizer).student("1+1")
    message = [{"role": "user", "content": "Q: 1+1"}]
    assert (
        encode([prompt], tokenizer)[0]
        == tokenizer.apply_chat_template(message, add_generation_prompt=True)["input_ids"]
    )


@pytest.mark.parametrize("chat_template", [True, False])
def test_rollouts_passes_and_evaluations_see_these_tokens(chat_template, tmp_path):
    tokenizer = tiny_tokenizers.llama_with_end()
    tiny_tokenizers.save_parrot(tmp_path / "model", tokenizer, ["b", "y"])
    _, _, tokens = CASES["llama, chat" if chat_template else "llama"]
    expected = tokenizer.convert_tokens_to_ids(tokens)
    policy, seen = load_policy(tmp_path / "model", "float32"), []

    def note(_, args, options):
        ids, mask = options["input_ids"], options.get("attention_mask")
        if ids.shape[1] >= len(expected):
            seen.append(ids[0, : len(expected)].tolist())
            assert mask is None or mask.shape == ids.shape

    policy.model.register_forward_pre_hook(note, with_kwargs=True)
    with Grader() as grader:
        opened = OpenPolicy.around(policy, PROMPTS, GenerationConfig(student_max_new_tokens=4), grader, chat_template)
        opened.generator.greedy([opened.prompts.student("1+1")], 2)
        assert seen == [expected]
        trainer = StudentTrainer(opened, StudentConfig(batch_size=1, group_size=2, kl_coefficient=0))
        schedule = constant_schedule([Question("q", "1+1", "2")], steps=1, batch_size=1, seed=0)
        trainer.train(schedule, 7, reference={})
    # Sampling its first token, and the pass of training.
    assert seen[1:] == [expected] * 2
