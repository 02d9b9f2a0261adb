"""Passes over completions, for their log-probabilities: prompts once, and the rest with little padding."""

import torch
from torch.nn.functional import pad
from transformers import PreTrainedModel

from soar_pipeline.models.shared_prompts import SharedPrompts, positions_of


def completion_outputs(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    width: int,
    outputs: tuple[str, ...],
    *,
    parts: int,
    share_prompts: bool,
) -> list[torch.Tensor]:
    """TRL's `outputs` ("log_probs", "entropy") at the completions' tokens: shape (rows, `width`), 0 where padded.

    The model goes over `parts` parts of the rows, which are of similar length and as wide as the longest of them.
    ids, mask: shape (rows, prompt + completion tokens), prompts padded on the left, completions on the right to
    `width`. share_prompts: a prompt that several rows have goes through the model once.
    """
    # Columns that are padding in every row: a micro-batch is as wide as the whole batch.
    padding = int(mask.argmax(dim=1).min())
    ids, mask = ids[:, padding:], mask[:, padding:].long()
    # The last token of a prompt predicts the first of its completion.
    first = ids.shape[1] - width - 1
    shared = SharedPrompts(model, ids[:, :first], mask[:, :first]) if share_prompts and first else None
    begin = first if shared else 0
    positions, labels = positions_of(mask), ids.masked_fill(mask == 0, -100)
    labels[:, : first + 1] = -100
    lengths = mask[:, first + 1 :].sum(dim=1)
    order = lengths.argsort(stable=True)
    found = []
    for rows in order.chunk(parts):
        kept = max(1, int(lengths[rows].max()))
        end = first + kept
        scored = model(
            input_ids=ids[rows, begin:end],
            attention_mask=mask[rows, :end],
            position_ids=positions[rows, begin:end],
            past_key_values=shared and shared.cache_of(rows),
            shift_labels=labels[rows, begin + 1 : end + 1],
            fused_lm_head=True,
        )
        found.append([pad(scored[name][:, -kept:], (0, width - kept)) for name in outputs])
    return [torch.cat(values)[order.argsort()] for values in zip(*found, strict=True)]
