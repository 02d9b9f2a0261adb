"""How large a model is, from its config.json or from a table by name: what time and disk are computed from."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from soar_pipeline.config import ConfigError, ModelConfig
from soar_pipeline.located import find

BYTES = {"float32": 4, "bfloat16": 2}
# A pretrained model has the shape of the one that is shipped.
PRETRAINED = "resources/models/digit-shuffles"


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
        """From the fields of a Llama-shaped config.json; ConfigError names a missing one.

        Counts embeddings (once where they are tied), attention, gated MLP and RMS norms; biases, which some such
        models have, are below a thousandth.
        """
        try:
            hidden, layers, heads = values["hidden_size"], values["num_hidden_layers"], values["num_attention_heads"]
            mlp, vocabulary = values["intermediate_size"], values["vocab_size"]
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{where}: has no {error}; give --parameters") from None
        kv_heads = values.get("num_key_value_heads") or heads
        head_dim = values.get("head_dim") or hidden // heads
        attention = 2 * hidden * head_dim * (heads + kv_heads)
        embeddings = vocabulary * hidden * (1 if values.get("tie_word_embeddings", False) else 2)
        parameters = embeddings + layers * (attention + 3 * hidden * mlp + 2 * hidden) + hidden
        return cls(parameters, layers, kv_heads, head_dim, heads, hidden, mlp, vocabulary)

    def cache_bytes(self, dtype: str) -> int:
        """Keys and values of one token."""
        return 2 * self.layers * self.key_value_heads * self.head_dim * BYTES[dtype]


def model_size(model: ModelConfig, name: str, project: Path, parameters: float | None = None) -> ModelSize:
    """The size of the model called `name` in the configuration; `parameters` wins where given.

    With `parameters`, layers and cache are those of the table's model of nearest size. Raises ConfigError where the
    size is not known.
    """
    known = known_sizes(project)
    if parameters is not None:
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
        f"models.{name}: the size of {path} is not known: it is no local folder with a config.json and not in "
        "resources/model_sizes.yaml; give --parameters (for example 3.2e9)"
    )


def known_sizes(project: Path) -> dict[str, ModelSize]:
    """The table of sizes by hub id or package name."""
    path = Path(find("resources/model_sizes.yaml", project))
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: ModelSize.of_shape(values, f"{path}: {name}") for name, values in rows.items()}
