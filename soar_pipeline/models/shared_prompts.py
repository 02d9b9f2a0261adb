"""What a model computes of a prompt, once for all completions of it: RLOO draws and scores whole groups of them."""

import copy

import torch
from transformers import Cache, DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer, LinearAttentionCacheLayerMixin


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

    They keep their graph where gradients are on. Not for a model with gradient checkpointing, which has no cache, nor
    for one whose rows cannot be selected.
    """

    def __init__(self, model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor):
        """ids, mask: shape (rows, tokens), one prompt per row, padded on the left."""
        distinct, self.prompt_of = torch.stack([ids, mask], dim=1).unique(dim=0, return_inverse=True)
        ids, mask = distinct.unbind(dim=1)
        self.cache = model(
            input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=True, logits_to_keep=1
        ).past_key_values

    def cache_of(self, rows: torch.Tensor) -> Cache:
        """A cache of its own for these rows, to go on from."""
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        cache.batch_select_indices(self.prompt_of[rows])
        return cache
