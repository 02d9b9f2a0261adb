"""Whether the parts of a base model's folder belong together: weights, configuration, tokenizer and chat template.

transformers goes on with most of what is refused here: it draws tensors that are missing at random, drops those that it
has no place for, and takes the class of `model_type` for code that the folder brings.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from soar_pipeline.artifacts.files import ArtifactError

PICKLED_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# The files of transformers, and its form of control tokens, which templates write.
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_CONTROL_TOKEN = re.compile(r"<\|\w+\|>")
_GIVE_ITS_CONFIG = "give the config.json that belongs to the weights"


def check_model_folder(folder: Path, named: str) -> None:
    """ArtifactError, with the model's name, unless the folder holds a whole model whose parts belong together.

    Every tensor is read once.
    """
    check_files(folder, named)
    _load_or_refuse(AutoConfig, folder, f"{named}: config.json cannot be loaded")
    tokenizer = _load_or_refuse(
        AutoTokenizer, folder, f"{named}: has no tokenizer that can be loaded; save it into the folder too"
    )
    if tokenizer.eos_token_id is None:
        raise ArtifactError(f"{named}: the tokenizer names no end token; set eos_token in tokenizer_config.json")
    model = _fitting_model(folder, named)
    _check_values(folder, named, model)
    _check_tokens(named, model, tokenizer)
    if tokenizer.chat_template is not None:
        _check_template(named, tokenizer)


def check_files(folder: Path, named: str) -> None:
    """The part of `check_model_folder` that reads no weights and no tokenizer: the files and what they name."""
    if (folder / "adapter_config.json").exists():
        raise ArtifactError(
            f"{named}: holds the adapters of a PEFT training (adapter_config.json), not a whole model; merge them into "
            "their base model (merge_and_unload) and save that with save_pretrained"
        )
    for path in _weight_files(folder, named):
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ArtifactError(
                f"{named}: {path.name} is not a safetensors file ({error}); fetch it again (git lfs pull, if it is a "
                "pointer)"
            ) from None
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"{named}: has no config.json; give the folder that save_pretrained wrote")
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        if "auto_map" in _json(folder / name, named):
            raise ArtifactError(
                f"{named}: {name} asks for code of its own (auto_map), which is never run; if transformers has this "
                "model, delete auto_map from a copy of the folder"
            )


def _weight_files(folder: Path, named: str) -> list[Path]:
    """The files that transformers reads the weights from."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (folder / INDEX).exists():
        names = sorted(set(_json(folder / INDEX, named).get("weight_map", {}).values()))
        if missing := [name for name in names if not (folder / name).exists()]:
            raise ArtifactError(f"{named}: lacks {missing[0]}, which {INDEX} lists; fetch all files of the model")
        if names:
            return [folder / name for name in names]
    pickled = [path.name for pattern in PICKLED_WEIGHTS for path in sorted(folder.glob(pattern))]
    weights = f"only pickled weights ({pickled[0]}), which can run code" if pickled else f"no {WEIGHTS}"
    raise ArtifactError(f"{named}: has {weights}; convert the model with save_pretrained, which writes {WEIGHTS}")


def _json(path: Path, named: str) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no file."""
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{named}: {path.name} cannot be read as JSON ({error}); fetch it again") from None
    if not isinstance(values, dict):
        raise ArtifactError(f"{named}: {path.name} must hold a JSON object; fetch it again")
    return values


def _load_or_refuse(kind: type, folder: Path, refusal: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    # The tokenizers library raises bare Exception for a malformed tokenizer.json.
    except Exception as error:
        raise ArtifactError(f"{refusal} ({first_line(error)})") from None


def _fitting_model(folder: Path, named: str) -> PreTrainedModel:
    """The model that config.json describes, without its weights, whose names and shapes are those of the files."""
    with _quiet_transformers():
        model, report = _load_or_refuse(
            AutoModelForCausalLM,
            folder,
            f"{named}: is not a causal language model that can be loaded",
            device_map="meta",
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    declared, made = model.config.architectures or [], type(model).__name__
    if declared and made not in declared:
        raise ArtifactError(
            f"{named}: config.json says architecture {declared[0]}, and its model_type {model.config.model_type} is "
            f"{made}; {_GIVE_ITS_CONFIG}"
        )
    if missing := sorted(report["missing_keys"]):
        raise ArtifactError(
            f"{named}: the weights lack {len(missing)} tensors that config.json describes, such as {missing[0]}; fetch "
            f"all files of the model, or {_GIVE_ITS_CONFIG}"
        )
    for name, shape, expected in sorted(report["mismatched_keys"]):
        raise ArtifactError(
            f"{named}: {name} has shape {list(shape)}, and config.json describes {list(expected)}; {_GIVE_ITS_CONFIG}"
        )
    if unexpected := sorted(report["unexpected_keys"]):
        raise ArtifactError(
            f"{named}: config.json has no place for {len(unexpected)} tensors of the weights, such as {unexpected[0]}; "
            f"{_GIVE_ITS_CONFIG}"
        )
    return model


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without the tables that transformers logs of what does not fit."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)


def _check_values(folder: Path, named: str, model: PreTrainedModel) -> None:
    """Raise ArtifactError if a weight is not finite, or if two that config.json ties are different."""
    tied: dict[str, str] = getattr(model, "all_tied_weights_keys", {})
    partners = set(tied) | set(tied.values())
    kept: dict[str, torch.Tensor] = {}
    for path in _weight_files(folder, named):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (a safetensors file is no mapping)
                tensor = file.get_tensor(name)
                if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
                    raise ArtifactError(
                        f"{named}: {name} has values that are not finite (NaN or infinity): the model is damaged, or "
                        "its training diverged; give other weights"
                    )
                if name in partners:
                    kept[name] = tensor
    for one, other in tied.items():
        if one in kept and other in kept and not torch.equal(kept[one], kept[other]):
            raise ArtifactError(
                f"{named}: config.json ties {one} to {other} (tie_word_embeddings), and the weights hold two different "
                f"ones; {_GIVE_ITS_CONFIG}"
            )


def _check_tokens(named: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ArtifactError if a token has no place in the model, or if the two disagree about the end token."""
    places = model.get_input_embeddings().weight.shape[0]
    largest = max(tokenizer.get_vocab().values())
    if largest >= places:
        raise ArtifactError(
            f"{named}: the tokenizer has a token {largest}, and the model has room for {places} tokens; give the "
            "tokenizer that belongs to the weights"
        )
    declared = model.generation_config.eos_token_id
    ends = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    source = "config.json or generation_config.json"
    for end in ends:
        if not 0 <= end < places:
            raise ArtifactError(
                f"{named}: {source} says eos_token_id {end}, and the model has room for {places} tokens; correct it"
            )
    if ends and tokenizer.eos_token_id not in ends:
        raise ArtifactError(
            f"{named}: the tokenizer's end token is {tokenizer.eos_token_id} ({tokenizer.eos_token!r}), and {source} "
            f"says eos_token_id {', '.join(map(str, ends))}; correct the one that is wrong"
        )


def _check_template(named: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ArtifactError if the tokenizer's chat template fails, or writes tokens that the tokenizer does not have."""
    messages = [{"role": "user", "content": "1 + 1"}]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    # A template is a program: whatever it raises, it cannot be used.
    except Exception as error:
        raise ArtifactError(
            f"{named}: the tokenizer's chat template cannot be used ({first_line(error)}); correct it, or delete "
            "it from a copy of the folder"
        ) from None
    vocabulary = tokenizer.get_vocab()
    for token in dict.fromkeys(_CONTROL_TOKEN.findall(text)):
        if token not in vocabulary:
            raise ArtifactError(
                f"{named}: the chat template writes {token}, which is not a token of the tokenizer; give the template "
                "that belongs to it, or delete it from a copy of the folder"
            )


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
