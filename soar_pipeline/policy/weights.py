"""A policy's weights: copied, set in place, and on disk as safetensors."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from soar_pipeline.artifacts.atomic import atomic_path
from soar_pipeline.artifacts.files import ArtifactError

Weights = dict[str, torch.Tensor]


def copy_weights(model: PreTrainedModel) -> Weights:
    """The model's weights now, all on the CPU; later training does not change them. Tied ones stay one.

    If the model is sharded over processes, each of them must call this.
    """
    state = model.state_dict(keep_vars=True)
    copies: dict[int, torch.Tensor] = {}
    for tensor in state.values():
        if id(tensor) not in copies:
            copies[id(tensor)] = full_copy(tensor)
    return {name: copies[id(tensor)] for name, tensor in state.items()}


def set_weights(model: PreTrainedModel, weights: Weights, *, part: bool = False) -> None:
    """Copy weights into the model, in place. part: they are some of its weights, as adapters are; others stay."""
    state = model.state_dict()
    sharded = {name: placed_like(state[name], tensor) for name, tensor in weights.items() if _sharded(state.get(name))}
    if unknown := model.load_state_dict(weights | sharded, strict=not part).unexpected_keys:
        raise ArtifactError(f"the model has no weights {sorted(unknown)[:3]}")


@torch.no_grad()
def copy_parameters(source: PreTrainedModel, target: PreTrainedModel) -> None:
    """Copy the parameters of one model into another of the same architecture, in the type that they have there.

    If the source is sharded over processes, each of them must call this.
    """
    parameters = dict(source.named_parameters())
    for name, copy in target.named_parameters():
        copy.copy_(_gathered(parameters[name]))


def cast_weights(weights: Weights, dtype: torch.dtype) -> Weights:
    """The weights in another type; tied ones stay one."""
    casts = {id(tensor): tensor.to(dtype) for tensor in weights.values()}
    return {name: casts[id(tensor)] for name, tensor in weights.items()}


def adapters_of(weights: Weights) -> Weights:
    """Those that are of adapters (LoRA)."""
    return {name: tensor for name, tensor in weights.items() if ".lora_" in name}


def full_copy(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU, of all of it if it is sharded over processes."""
    return _gathered(tensor.detach()).to("cpu", copy=True)


def placed_like(model_tensor: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A copy of `tensor` on the device of `model_tensor`, and sharded as that is."""
    placed = tensor.to(model_tensor.device, copy=True)
    if not _sharded(model_tensor):
        return placed
    # Every process has all of it: none need send it.
    return distribute_tensor(placed, model_tensor.device_mesh, model_tensor.placements, src_data_rank=None)


def _gathered(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if _sharded(tensor) else tensor


def _sharded(tensor: torch.Tensor | None) -> bool:
    return isinstance(tensor, DTensor)


def weights_digest(weights: Weights) -> str:
    """What tells weights from others: a digest of names, types, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights as safetensors, atomically. Tied tensors are written once each."""
    # safetensors refuses tensors that share memory, as tied embeddings do.
    seen: dict[int, str] = {}
    unique = {name: tensor for name, tensor in weights.items() if seen.setdefault(tensor.data_ptr(), name) == name}
    aliases = {name: seen[tensor.data_ptr()] for name, tensor in weights.items() if name not in unique}
    with atomic_path(path) as temporary, reraise_disk_full(path):
        save_file({name: tensor.contiguous() for name, tensor in unique.items()}, temporary, metadata=aliases)


@contextmanager
def reraise_disk_full(path: Path) -> Iterator[None]:
    """Errors of the system, of which safetensors keeps the words alone, as OSErrors that name `path`."""
    try:
        yield
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None


def load_weights(path: Path) -> Weights:
    """Read weights written by :func:`save_weights`; ArtifactError if the file is damaged."""
    try:
        weights = load_file(path)
        with safe_open(path, framework="pt") as file:
            aliases = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: is not readable safetensors ({error})") from None
    return weights | {name: weights[kept] for name, kept in aliases.items()}
