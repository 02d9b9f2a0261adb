"""Prompts as token ids: a prompt's text holds all its special tokens, the first one too, and gets no others."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


def with_first_token(prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """A prompt that no chat template wraps, with the token that the tokenizer begins every text with, if it does."""
    return tokenizer.bos_token + prompt if _begins_texts(tokenizer) else prompt


def encode(prompts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The token ids of each prompt: what a chat template or `with_first_token` wrote, and no end token after it."""
    # The first token apart: what follows is encoded as the tokenizer itself would encode it after that token.
    first = tokenizer.bos_token if _begins_texts(tokenizer) else ""
    rest = [prompt.removeprefix(first) for prompt in prompts]
    encoded = tokenizer(rest, add_special_tokens=False)["input_ids"] if rest else []
    return [
        [tokenizer.bos_token_id, *ids] if first and prompt.startswith(first) else ids
        for prompt, ids in zip(prompts, encoded, strict=True)
    ]


def _begins_texts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer begins every text with its BOS token."""
    return tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
