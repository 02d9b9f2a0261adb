"""A policy, model and tokenizer: from a folder and into one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from soar_pipeline.artifacts.atomic import new_folder, put_in_place, unfinished
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.policy.weights import Weights, cast_weights, copy_parameters, reraise_disk_full


@dataclass(frozen=True)
class Policy:
    """A model and its tokenizer. dtype: what the policy computes in, when it samples and when it is trained.

    The model's parameters are of this type too, except if they are trained in bfloat16. They are float32 then: the
    updates of a training are smaller than the distance between neighbouring bfloat16 numbers, and would be lost.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: torch.dtype

    def autocast(self, *, cache: bool = True) -> torch.autocast:
        """The context of a forward pass of training: matrix products in bfloat16 if that is the policy's type.

        cache: parameters are cast once per context and their copies held to its end; else once per use.
        """
        enabled = self.dtype == torch.bfloat16
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=enabled, cache_enabled=cache)

    @property
    def samples_from_copy(self) -> bool:
        """Whether the parameters are not of the policy's type, so that sampling needs a copy that is."""
        return self.model.dtype != self.dtype

    def sampler(self) -> PreTrainedModel:
        """The model to sample from: of the policy's type, with the weights of this moment.

        If the model is sharded over processes and samples from a copy, each of them must call this.
        """
        if not self.samples_from_copy:
            return self.model
        copy_parameters(self.model, self._copy)
        return self._copy

    @cached_property
    def _copy(self) -> PreTrainedModel:
        return _load_model(Path(self.model.name_or_path), self.dtype)

    @property
    def eos_token_ids(self) -> list[int]:
        """Every token that ends a completion: the tokenizer's and the model's own (an end-of-turn token, say)."""
        declared = self.model.generation_config.eos_token_id
        declared = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
        return sorted({self.tokenizer.eos_token_id, *declared})


def load_policy(folder: Path, dtype: str, *, trained: bool = False) -> Policy:
    """Load a policy from a local folder of safetensors, on the GPU if there is one.

    trained: all its parameters will be, so they are float32 even if `dtype` is bfloat16. Raises ArtifactError if
    the folder holds no such model or no tokenizer.
    """
    computes_in = getattr(torch, dtype)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        model = _load_model(folder, torch.float32 if trained and computes_in == torch.bfloat16 else computes_in)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ArtifactError(f"{folder}: cannot be loaded as a model folder ({str(error).splitlines()[0]})") from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Policy(model, tokenizer, computes_in)


def _load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True, use_safetensors=True)
    # Only what ends a completion is the folder's to say: `generate` would sample by its other keys wherever a call has
    # none of its own (a repetition penalty, say), and training and vLLM would not.
    declared = model.generation_config
    model.generation_config = GenerationConfig(
        **{name: getattr(declared, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def narrow_matrices(model: PreTrainedModel) -> None:
    """Make the linear layers bfloat16, which leaves every number of a pass in autocast as it is.

    That casts their parameters anyway, and nothing else: embeddings and norms stay float32.
    """
    embedding = model.get_input_embeddings().weight
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    narrow = {id(parameter) for layer in layers for parameter in layer.parameters() if parameter is not embedding}
    # A sharded model has all trained parameters of one type, and must know of a change: the layers are not told alone.
    model.requires_grad_(False)
    model._apply(lambda tensor: tensor.bfloat16() if id(tensor) in narrow else tensor)


class DivergedError(ArtifactError):
    """Training diverged: weights or gradients are not finite; the message says how far it came and what to do."""


@contextmanager
def raise_diverged() -> Iterator[None]:
    """Sampling from probabilities that are not finite raises a DivergedError."""
    try:
        yield
    except RuntimeError as error:
        if "probability tensor contains" not in str(error):
            raise
        raise DivergedError(
            "the weights are not finite: the training diverged; lower its learning_rate or max_grad_norm, or set the "
            "model's dtype to float32"
        ) from None


def save_policy(folder: Path, policy: Policy, weights: Weights) -> None:
    """Write a complete Hugging Face folder with these weights, beside and renamed; the policy keeps its own.

    The weights are written in the policy's type, in which every later stage loads them.
    """
    with unfinished(folder, new_folder) as workplace, reraise_disk_full(folder):
        # One level deeper, see `write_base_model`.
        partial = workplace / folder.name
        policy.model.save_pretrained(partial, state_dict=cast_weights(weights, policy.dtype))
        if policy.samples_from_copy:
            # `save_pretrained` has noted the type of the model's own parameters.
            policy.model.config.dtype = policy.dtype
            policy.model.config.save_pretrained(partial)
        policy.tokenizer.save_pretrained(partial)
        put_in_place(partial, folder)
