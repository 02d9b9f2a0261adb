"""What a model computes of a prompt, once for all completions of it: RLOO samples and scores groups of them."""

import copy

import torch
from transformers import Cache, DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin, DynamicLayer, LinearAttentionCacheLayerMixin
from transformers.modeling_layers import GradientCheckpointingLayer


def rows_can_be_selected(config: PreTrainedConfig) -> bool:
    """Whether rows of a cache of such a model can be taken out: it holds keys and values, no recurrent states."""
    return all(
        isinstance(layer, DynamicLayer) and not isinstance(layer, LinearAttentionCacheLayerMixin)
        for layer in DynamicCache(config=config).layers
    )


def positions_of(mask: torch.Tensor) -> torch.Tensor:
    """The position of each token in its row, padding not counted; shape as `mask`, (rows, tokens)."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


class SharedPrompts:
    """The keys and values of the prompts of a batch, each computed once however many rows begin with it.

    They keep their graph if gradients are on. Not for a model whose rows cannot be selected.
    """

    def __init__(self, model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, checkpointed: bool = False):
        """ids, mask: shape (rows, tokens), one prompt per row, padded on the left. checkpointed: the model recomputes
        its activations (`cache_under_checkpointing` has been called), and so do passes that go on from here. Some
        models give their layers no cache then: `kept` says whether this one does.
        """
        self.checkpointed = checkpointed
        distinct, self.prompt_of = torch.stack([ids, mask], dim=1).unique(dim=0, return_inverse=True)
        ids, mask = distinct.unbind(dim=1)
        prompts = {"input_ids": ids, "attention_mask": mask, "position_ids": positions_of(mask), "logits_to_keep": 1}
        if checkpointed:
            cache = DynamicCache(config=getattr(model, "module", model).config)
            prompt_layers: list[CacheLayerMixin | None] = [None] * len(cache.layers)
            for i in range(len(prompt_layers)):
                _make_replayable(cache, i, into=prompt_layers)
            model(**prompts, past_key_values=cache, use_cache=False)
            self.kept = None not in prompt_layers
            # Another one: the pass may be computed again, with the cache that it had.
            self.cache = copy.copy(cache)
            self.cache.layers = prompt_layers
        else:
            self.kept = True
            self.cache = model(**prompts, use_cache=True).past_key_values

    def cache_of(self, rows: torch.Tensor) -> Cache:
        """A cache of its own for these rows, to go on from."""
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        if self.checkpointed:
            for i in range(len(cache.layers)):
                _make_replayable(cache, i, rows=self.prompt_of[rows])
        else:
            cache.batch_select_indices(self.prompt_of[rows])
        return cache


def _make_replayable(
    cache: Cache, i: int, rows: torch.Tensor | None = None, into: list[CacheLayerMixin | None] | None = None
) -> None:
    """Let updates leave layer i of the cache as it is, so that a pass that is computed again finds what it found first.

    rows: which of the layer's an update is for; they are taken out anew each time, and nobody keeps them. into: where
    the layer is put as the first update would have left it.
    """
    layer = cache.layers[i]

    def update(*args, **options) -> tuple[torch.Tensor, torch.Tensor]:
        grown = copy.copy(layer)
        if rows is not None:
            grown.batch_select_indices(rows)
        if into is not None and into[i] is None:
            into[i] = grown
        return grown.update(*args, **options)

    cache.layers[i] = copy.copy(layer)
    cache.layers[i].update = update


def cache_under_checkpointing(model: torch.nn.Module) -> None:
    """Let layers that recompute their activations read a cache; transformers would take it from them, because most
    caches grow again when a layer is computed again.
    """
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module._can_checkpoint_with_cache = True
