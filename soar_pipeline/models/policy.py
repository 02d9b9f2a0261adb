"""A policy (model and tokenizer) from a folder, the prompts it is asked with, and its weights on disk."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from soar_pipeline.artifacts import ArtifactError, atomic_path, new_folder, put_in_place, unfinished
from soar_pipeline.config import ConfigError
from soar_pipeline.slices import Prompts

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Policy:
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def eos_token_ids(self) -> list[int]:
        """Every token that ends a completion: the tokenizer's and the model's own (an end-of-turn token, say)."""
        declared = self.model.generation_config.eos_token_id
        declared = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
        return sorted({self.tokenizer.eos_token_id, *declared})


def load_policy(folder: Path, dtype: str) -> Policy:
    """Load a policy from a local folder of safetensors, on the GPU where there is one.

    Raises ArtifactError where the folder holds no such model or no tokenizer.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ArtifactError(f"{folder}: cannot be loaded as a model folder ({str(error).splitlines()[0]})") from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return Policy(model.eval(), tokenizer)


class DivergedError(ArtifactError):
    """A policy that is none any more; the message says how far it came and what to do."""


@contextmanager
def divergence_told() -> Iterator[None]:
    """Sampling from probabilities that are no numbers, as a DivergedError."""
    try:
        yield
    except RuntimeError as error:
        if "probability tensor contains" not in str(error):
            raise
        raise DivergedError(
            "the policy's next-token probabilities are not numbers: its training has diverged; lower its learning_rate "
            "or max_grad_norm, or take float32 as dtype"
        ) from None


class PromptFormat:
    """The prompts as the policy sees them (spec section 3)."""

    def __init__(self, prompts: Prompts, chat_template: bool, tokenizer: PreTrainedTokenizerBase):
        self.prompts, self.chat_template, self.tokenizer = prompts, chat_template, tokenizer
        if chat_template and tokenizer.chat_template is None:
            raise ConfigError("model.chat_template: true, but the tokenizer has no chat template; set it to false")

    def student(self, question: str) -> str:
        return self._wrapped(self._holding(self.prompts.student, question))

    def teacher(self) -> str:
        """What the teacher is asked first: for a question and its answer, or in two turns for a question."""
        return self._wrapped(self.prompts.teacher)

    @property
    def two_turns(self) -> bool:
        """Whether the teacher is asked for the answer in a turn of its own."""
        return self.prompts.teacher_answer is not None

    def teacher_answer(self, question: str) -> str:
        return self._wrapped(self._holding(self.prompts.teacher_answer, question))

    def _holding(self, prompt: str, question: str) -> str:
        # Not str.format: questions and prompts are full of braces.
        return prompt.replace("{question}", without_special_tokens(question, self.tokenizer))

    def _wrapped(self, prompt: str) -> str:
        return in_chat_template(prompt, self.tokenizer) if self.chat_template else prompt


def in_chat_template(prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The prompt as a user's message, and the opening of the reply, ready to be encoded.

    Raises ConfigError where the tokenizer's template fails; it is data, and runs in Jinja's sandbox.
    """
    messages = [{"role": "user", "content": without_special_tokens(prompt, tokenizer)}]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise ConfigError(f"model.chat_template: the tokenizer's chat template cannot be used ({error})") from None
    # Encoding adds the first token again where the tokenizer does so by itself.
    adds_bos = tokenizer("")["input_ids"] == [tokenizer.bos_token_id]
    return text.removeprefix(tokenizer.bos_token) if adds_bos else text


def without_special_tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text with a space in what would be encoded as a special token.

    Questions are untrusted: one that ends the user's turn could write the assistant's, or a judge's verdict.
    """
    for token in tokenizer.added_tokens_decoder.values():
        if token.special:
            text = text.replace(token.content, f"{token.content[:1]} {token.content[1:]}")
    return text


def check_context(policy: Policy, prompts: dict[str, str], max_new_tokens: int) -> None:
    """ConfigError naming the first prompt (by its key) that, with its completion, does not fit the model's context."""
    context = policy.model.config.max_position_embeddings
    for name, prompt in prompts.items():
        if not fits_context(policy, prompt, max_new_tokens):
            length = len(policy.tokenizer(prompt)["input_ids"])
            raise ConfigError(
                f"{name}: a prompt of {length} tokens and {max_new_tokens} new tokens exceed the model's context of "
                f"{context}; drop the problem or lower generation.*_max_new_tokens"
            )


def fits_context(policy: Policy, prompt: str, max_new_tokens: int) -> bool:
    """Whether the prompt and its completion fit the model's context."""
    return len(policy.tokenizer(prompt)["input_ids"]) + max_new_tokens <= policy.model.config.max_position_embeddings


def copy_weights(model: PreTrainedModel) -> Weights:
    """The model's weights now, whole and on the CPU; later training does not change them. Tied ones stay one.

    Of a model that is sharded over processes, every one of them must ask.
    """
    held = model.state_dict(keep_vars=True)
    copies: dict[int, torch.Tensor] = {}
    for tensor in held.values():
        if id(tensor) not in copies:
            copies[id(tensor)] = whole(tensor)
    return {name: copies[id(tensor)] for name, tensor in held.items()}


def set_weights(model: PreTrainedModel, weights: Weights) -> None:
    """Copy weights into the model, in place."""
    held = model.state_dict()
    sharded = {name: placed_like(held[name], tensor) for name, tensor in weights.items() if _sharded(held.get(name))}
    model.load_state_dict(weights | sharded)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU, of all of it where it is sharded over processes."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if _sharded(tensor) else tensor).to("cpu", copy=True)


def placed_like(model_tensor: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A copy of `tensor` where `model_tensor` is, and sharded as that is."""
    placed = tensor.to(model_tensor.device, copy=True)
    if not _sharded(model_tensor):
        return placed
    # Every process has all of it: none need send it.
    return distribute_tensor(placed, model_tensor.device_mesh, model_tensor.placements, src_data_rank=None)


def _sharded(tensor: torch.Tensor | None) -> bool:
    return isinstance(tensor, DTensor)


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights as safetensors, atomically. Tied tensors are written once each."""
    # safetensors refuses tensors that share memory, as tied embeddings do.
    seen: dict[int, str] = {}
    unique = {name: tensor for name, tensor in weights.items() if seen.setdefault(tensor.data_ptr(), name) == name}
    aliases = {name: seen[tensor.data_ptr()] for name, tensor in weights.items() if name not in unique}
    with atomic_path(path) as temporary, _full_disks_told(path):
        save_file({name: tensor.contiguous() for name, tensor in unique.items()}, temporary, metadata=aliases)


@contextmanager
def _full_disks_told(path: Path) -> Iterator[None]:
    """What the system refuses safetensors, which says so in words only, as an OSError that names `path`."""
    try:
        yield
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None


def load_weights(path: Path) -> Weights:
    """Read weights written by :func:`save_weights`; ArtifactError where the file is damaged."""
    try:
        weights = load_file(path)
        with safe_open(path, framework="pt") as file:
            aliases = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: is not readable safetensors ({error})") from None
    return weights | {name: weights[kept] for name, kept in aliases.items()}


def save_policy(folder: Path, policy: Policy, weights: Weights) -> None:
    """Write a complete Hugging Face folder with these weights, beside and renamed; the policy keeps its own."""
    with unfinished(folder, new_folder) as workplace, _full_disks_told(folder):
        # One level deeper, see `write_base_model`.
        partial = workplace / folder.name
        policy.model.save_pretrained(partial, state_dict=dict(weights))
        policy.tokenizer.save_pretrained(partial)
        put_in_place(partial, folder)
