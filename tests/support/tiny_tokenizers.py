"""Tokenizers of the kinds that models come with, of single characters, and a model that writes a given text."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content + '<|eot_id|>' }}"
    "{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
)
QWEN_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<start_of_turn>' + m.role + '\n' + m.content + '<end_of_turn>\n' }}"
    "{% endfor %}{{ '<start_of_turn>model\n' }}"
)


def _of_bytes(special: list[str], added: str = "$A", **settings) -> PreTrainedTokenizerFast:
    """A byte-level BPE without merges. added: what it makes of a text, as a template of `tokenizers`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={character: i for i, character in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _finished(tokenizer, special, added, settings)


def _of_characters(special: list[str], added: str, **settings) -> PreTrainedTokenizerFast:
    """A BPE over characters, with a mark for spaces, as sentencepiece has it."""
    characters = [chr(i) for i in range(33, 127)] + ["▁", "\n"]
    tokenizer = Tokenizer(BPE(vocab={character: i for i, character in enumerate(characters)}, merges=[]))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    return _finished(tokenizer, special, added, settings)


def _finished(tokenizer: Tokenizer, special: list[str], added: str, settings: dict) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if added != "$A":
        ids = [(token, tokenizer.token_to_id(token)) for token in special if token in added]
        tokenizer.post_processor = processors.TemplateProcessing(single=added, special_tokens=ids)
    template = settings.pop("chat_template", None)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="left", **settings)
    fast.chat_template = template
    return fast


def llama(added: str = "<|begin_of_text|> $A") -> PreTrainedTokenizerFast:
    return _of_bytes(
        ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
        added,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        chat_template=LLAMA_TEMPLATE,
    )


def llama_with_end() -> PreTrainedTokenizerFast:
    """One that adds an end token too, as some conversions do."""
    return llama("<|begin_of_text|> $A <|eot_id|>")


def qwen() -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return _of_bytes(special, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=QWEN_TEMPLATE)


def gemma() -> PreTrainedTokenizerFast:
    return _of_characters(
        ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
        "<bos> $A",
        bos_token="<bos>",
        eos_token="<eos>",
        chat_template=GEMMA_TEMPLATE,
    )


def gpt2() -> PreTrainedTokenizerFast:
    return _of_bytes(["<|endoftext|>"], bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def toy(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)


def save_parrot(folder: Path, tokenizer: PreTrainedTokenizerBase, cycle: list[str]) -> None:
    """A model folder whose model writes the tokens of `cycle`, which all differ, round and round."""
    save_bigrams(folder, tokenizer, dict(zip(cycle, ([token] for token in [*cycle[1:], cycle[0]]), strict=True)))


def save_bigrams(folder: Path, tokenizer: PreTrainedTokenizerBase, following: dict[str, list[str]]) -> None:
    """A model folder whose model writes after each token one of those that may follow it, equally likely."""
    size = -(-len(tokenizer) // 16) * 16
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=8,
        num_key_value_heads=8,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("norm.weight"):
                parameter.zero_()
        # One direction for each token, which nothing in between changes; the head sends it to the tokens after it.
        model.model.embed_tokens.weight[:, : len(tokenizer)] = torch.eye(len(tokenizer))
        for token, successors in following.items():
            for successor in successors:
                model.lm_head.weight[tuple(tokenizer.convert_tokens_to_ids([successor, token]))] = 10
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
