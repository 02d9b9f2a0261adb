"""Passes over completions, for their log-probabilities: prompts once, and the rest with little padding."""

from dataclasses import dataclass

import torch
from torch.nn.functional import pad
from transformers import PreTrainedModel

from soar_pipeline.policy.shared_prompts import SharedPrompts, positions_of


@dataclass(frozen=True)
class Parts:
    """How the rows of a pass are split, in order of length, into parts that are as wide as their longest row.

    count: so many parts of equally many rows. tokens: instead, as many rows to a part as have no more tokens, padding
    included; a longer row is a part by itself.
    """

    count: int = 1
    tokens: int | None = None

    def split(self, order: torch.Tensor, widths: list[int]) -> list[torch.Tensor]:
        """The rows `order`, from the shortest to the longest; widths: theirs, in tokens."""
        if self.tokens is None:
            return list(order.chunk(self.count))
        # From the longest row down: what does not fill a part is left for the shortest rows, where it costs least.
        parts, end = [], len(widths)
        while end:
            begin = max(0, end - max(1, self.tokens // widths[end - 1]))
            parts.append(order[begin:end])
            end = begin
        return parts[::-1]


def completion_outputs(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    width: int,
    outputs: tuple[str, ...],
    *,
    parts: Parts,
    share_prompts: bool,
    checkpointed: bool = False,
) -> list[torch.Tensor]:
    """TRL's `outputs` ("log_probs", "entropy") at the completions' tokens: shape (rows, `width`), 0 for padding.

    The model goes over `parts` of the rows. ids, mask: shape (rows, prompt + completion tokens), prompts padded on the
    left, completions on the right to `width`. share_prompts: a prompt that several rows have goes through the model
    once; checkpointed: also with activations that are recomputed (`SharedPrompts`).
    """
    # Columns that are padding in every row: a micro-batch is as wide as the batch.
    padding = int(mask.argmax(dim=1).min())
    ids, mask = ids[:, padding:], mask[:, padding:].long()
    # The last token of a prompt predicts the first of its completion.
    first = ids.shape[1] - width - 1
    shared = SharedPrompts(model, ids[:, :first], mask[:, :first], checkpointed) if share_prompts and first else None
    if shared and not shared.kept:
        shared = None
    begin = first if shared else 0
    positions, labels = positions_of(mask), ids.masked_fill(mask == 0, -100)
    labels[:, : first + 1] = -100
    lengths = mask[:, first + 1 :].sum(dim=1)
    order = lengths.argsort(stable=True)
    widths = lengths[order].clamp(min=1) + (0 if shared else first)
    scored, done = [], []
    for rows in parts.split(order, widths.tolist()):
        kept = max(1, int(lengths[rows].max()))
        end = first + kept
        output = model(
            input_ids=ids[rows, begin:end],
            attention_mask=mask[rows, :end],
            position_ids=positions[rows, begin:end],
            past_key_values=shared and shared.cache_of(rows),
            shift_labels=labels[rows, begin + 1 : end + 1],
            fused_lm_head=True,
        )
        scored.append([pad(output[name][:, -kept:], (0, width - kept)) for name in outputs])
        done.append(rows)
    return [torch.cat(values)[torch.cat(done).argsort()] for values in zip(*scored, strict=True)]
