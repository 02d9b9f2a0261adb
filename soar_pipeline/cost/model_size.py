"""How large a model is, from its config.json or from a table by name: what time and disk are computed from."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from soar_pipeline.config import Config, ConfigError, LocalJudge, ModelConfig, Plan
from soar_pipeline.config.paths import find

BYTES = {"float32": 4, "bfloat16": 2}
# Bytes per parameter that a training holds on its device, by the model's dtype: memory, checkpoints and AdamW's time
# follow. casts: copies of weights that a pass computes with, until gradients are there; sampler: a copy to sample from.
HELD = {
    "bfloat16": {"weights": 4, "moments": 8, "gradients": 4, "casts": 2, "reference": 2, "sampler": 2},
    "float32": {"weights": 4, "moments": 8, "gradients": 4, "casts": 0, "reference": 4, "sampler": 0},
}
PRETRAINED = "resources/models/digit-shuffles"  # one that a run pretrains has the shape of the one that is shipped


@dataclass(frozen=True)
class ModelSize:
    """Parameters, what the key-value cache of one token is made of, and the widths that activations have."""

    parameters: int
    layers: int
    key_value_heads: int
    head_dim: int
    heads: int
    hidden: int
    intermediate: int
    vocabulary: int

    @classmethod
    def of_shape(cls, values: dict, where: str) -> "ModelSize":
        """From the fields of a Llama-shaped config.json; ConfigError names a missing one. Biases are not counted."""
        try:
            hidden, layers, heads = values["hidden_size"], values["num_hidden_layers"], values["num_attention_heads"]
            mlp, vocabulary = values["intermediate_size"], values["vocab_size"]
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{where}: has no {error}; give --parameters") from None
        kv_heads, head_dim = values.get("num_key_value_heads") or heads, values.get("head_dim") or hidden // heads
        embeddings = vocabulary * hidden * (1 if values.get("tie_word_embeddings") else 2)
        layer = 2 * hidden * head_dim * (heads + kv_heads) + 3 * hidden * mlp + 2 * hidden
        return cls(embeddings + layers * layer + hidden, layers, kv_heads, head_dim, heads, hidden, mlp, vocabulary)

    def cache_bytes(self, dtype: str) -> int:
        """Keys and values of one token."""
        return 2 * self.layers * self.key_value_heads * self.head_dim * BYTES[dtype]


def model_size(model: ModelConfig, name: str, project: Path, parameters: float | None = None) -> ModelSize:
    """The size of the model called `name` in the configuration; ConfigError if it is not known."""
    known = known_sizes(project)
    if parameters is not None:  # the shape is that of the table's model of nearest size
        nearest = min(known.values(), key=lambda size: abs(size.parameters - parameters))
        return replace(nearest, parameters=round(parameters))
    path = PRETRAINED if model.source == "pretrain" else model.path
    try:
        file = Path(find(path, project)) / "config.json"
        return ModelSize.of_shape(json.loads(file.read_text(encoding="utf-8")), str(file))
    except (OSError, json.JSONDecodeError):
        # No local folder, or one without a readable config.json: perhaps a name that is known.
        if path in known:
            return known[path]
    raise ConfigError(
        f"models.{name}: the size of {path} is not known: it is not a local folder with a config.json and not in "
        "resources/model_sizes.yaml; give --parameters (for example 3.2e9)"
    )


def check_judge(config: Config, project: Path) -> None:
    """Raise ConfigError if a SOAR run would need two of vLLM, which serves one architecture in a process: one for its
    policy and one for its reward's judge. A model of unknown size passes here, and the run's own job refuses it.
    """
    judge = config.taxonomy.judge
    if config.generation.engine != "vllm" or not isinstance(judge, LocalJudge):
        return
    for run in Plan(config).soar_runs:
        name = config.datasets[run.dataset].model
        if config.objectives[run.objective].needs_judge and _differ(config, name, judge.model, project):
            raise ConfigError(
                f"taxonomy.judge.model: objectives.{run.objective} asks {judge.model} while {name} is trained, and "
                "vLLM serves models of one architecture and dtype in a process; name such a model, or a judge of kind "
                "endpoint, or set generation.engine to transformers"
            )


def _differ(config: Config, one: str, other: str, project: Path) -> bool:
    """Whether two models are known to be of different shapes or types."""
    models = config.models[one], config.models[other]
    try:
        sizes = [model_size(model, name, project) for model, name in zip(models, (one, other), strict=True)]
    except ConfigError:
        sizes = []
    return len({model.dtype for model in models}) > 1 or len(set(sizes)) > 1


def known_sizes(project: Path) -> dict[str, ModelSize]:
    """The table of sizes by hub id or package name."""
    path = Path(find("resources/model_sizes.yaml", project))
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: ModelSize.of_shape(values, f"{path}: {name}") for name, values in rows.items()}
