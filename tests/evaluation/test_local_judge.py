"""The judge that is run here, with a small real model that has learned what to reply to four questions."""

import json
from pathlib import Path

import pytest
import torch
from judge_server import Judging, verdict
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from soar_pipeline.config import ConfigError
from soar_pipeline.evaluation.taxonomy import judge_prompt
from soar_pipeline.policy import transformers_engine

PROMPT = "{boundary} {question} = {answer} {boundary}:"
CONTEXT, NEW_TOKENS = 256, 150
LEARNED = {
    ("3 + 4", "7"): json.dumps(verdict()),
    ("3 + 5", "7"): json.dumps(verdict("arithmetic", correct_answer="8")),
    ("3 + x", "7"): json.dumps(verdict("ambiguous")),
    ("3 + 6", "9"): "I like this question.",
}
CHAT_TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte."""
    vocabulary = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(vocabulary)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )
    prompts = [judge_prompt(PROMPT, case) for case in LEARNED]
    texts = [prompt + reply + "<eos>" for prompt, reply in zip(prompts, LEARNED.values(), strict=True)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(250):
        loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("judge") / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def judging(folder: Path, policy: Path, **settings: object) -> Judging:
    judge = {"kind": "local", "model": "judge", "max_new_tokens": NEW_TOKENS}
    model = {"source": "folder", "path": str(policy), "dtype": "float32"}
    return Judging(folder, judge, {"prompt": PROMPT, "model": model, "attempts": 2} | settings, policy=[policy])


def test_verdicts_are_read_from_a_models_replies(tmp_path, policy):
    run = judging(tmp_path, policy)
    run.write(*LEARNED)
    right, wrong, open_, prose = run.run()
    assert (right["error_type"], right["correct_answer"], right["attempts"]) == ("none", "7", 1)
    assert (wrong["error_type"], wrong["correct"], wrong["correct_answer"]) == ("arithmetic", False, "8")
    assert (open_["error_type"], open_["well_posed"], open_["correct_answer"]) == ("ambiguous", False, None)
    assert (prose["error_type"], prose["attempts"]) == (None, 2)
    assert prose["reason"].startswith("not a JSON object")
    # One token per byte, and one for the end.
    case = ("3 + 4", "7")
    assert right["prompt_tokens"] == len(judge_prompt(PROMPT, case))
    assert right["completion_tokens"] == len(LEARNED[case]) + 1
    assert prose["prompt_tokens"] == 2 * len(judge_prompt(PROMPT, ("3 + 6", "9")))


def test_kept_replies_are_not_generated_again(tmp_path, policy, monkeypatch):
    run = judging(tmp_path, policy)
    run.write(*LEARNED)
    rows = run.run()
    assert run.replies_kept() == 5
    generated = []
    complete = transformers_engine.TransformersGenerator.complete

    def counted(self, prompt_ids, params):
        generated.extend(self.policy.tokenizer.decode(ids) for ids in prompt_ids)
        return complete(self, prompt_ids, params)

    monkeypatch.setattr(transformers_engine.TransformersGenerator, "complete", counted)
    assert run.run() == rows
    assert generated == []
    next(run.cache.glob("*-2.json")).unlink()
    assert [row["error_type"] for row in run.run()] == [row["error_type"] for row in rows]
    assert generated == [judge_prompt(PROMPT, ("3 + 6", "9"))]


def test_another_model_does_not_use_the_replies_of_this_one(tmp_path, policy):
    run = judging(tmp_path, policy, attempts=1)
    run.write(("3 + 4", "7"))
    run.run()
    other = LlamaForCausalLM.from_pretrained(policy)
    with torch.no_grad():
        other.lm_head.weight.mul_(1.0001)
    other.save_pretrained(tmp_path / "other")
    byte_tokenizer().save_pretrained(tmp_path / "other")
    run.policy = [tmp_path / "other"]
    run.run()
    assert run.replies_kept() == 2


def test_a_question_beyond_the_context_has_no_verdict_and_stops_no_other(tmp_path, policy):
    run = judging(tmp_path, policy)
    run.write(("3 + 4" * 40, "7"), ("3 + 4", "7"))
    long, right = run.run()
    assert (long["error_type"], long["attempts"]) == (None, 0)
    assert "exceed the context of 256" in long["reason"]
    assert right["error_type"] == "none"


def test_a_prompt_beyond_the_context_is_one_error(tmp_path, policy):
    run = judging(tmp_path, policy, prompt="Think hard. " * 40 + PROMPT)
    run.write(("3 + 4", "7"))
    with pytest.raises(ConfigError, match=r"exceed the context of 256; shorten prompts\.judge or lower max_new_tokens"):
        run.run()


def test_the_chat_template_is_used_where_the_model_wants_it(tmp_path, policy):
    run = judging(tmp_path, policy)
    run.settings["model"]["chat_template"] = True
    run.write(("3 + 4", "7"))
    with pytest.raises(ConfigError, match="the model has no chat template"):
        run.run()
    folder = tmp_path / "chat"
    LlamaForCausalLM.from_pretrained(policy).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    run.policy = [folder]
    assert run.run()[0]["error_type"] == "none"
