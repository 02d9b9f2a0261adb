"""The `transformers` engine: `model.generate` in batches of similar prompt length."""

import torch
from transformers import GenerationConfig, LogitsProcessor

from soar_pipeline.config import ConfigError
from soar_pipeline.generation.generator import Completion, Generator
from soar_pipeline.models.policy import Policy, divergence_told
from soar_pipeline.models.shared_prompts import SharedPrompts, rows_can_be_selected


class TransformersGenerator(Generator):
    """Completes prompts with the policy's current weights.

    The caller's random state is left alone, so that evaluating a policy does not change its training.
    """

    def __init__(self, policy: Policy, batch_size: int, segment_tokens: int | None = None):
        """segment_tokens: after so many, what has ended leaves its batch, and each prompt goes through the model once
        for all completions of it; none: the library's `generate` alone, where a batch waits for its longest. Raises
        ConfigError where the model's cache does not allow it.
        """
        if segment_tokens and not rows_can_be_selected(policy.model.config):
            raise ConfigError(
                f"generation.segment_tokens: {policy.model.name_or_path} keeps recurrent states, of which no rows can "
                "be taken out; leave this key out"
            )
        self.policy, self.batch_size, self.segment_tokens = policy, batch_size, segment_tokens

    def complete(
        self,
        prompt_ids: list[list[int]],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        top_p: float = 1.0,
        presence_penalty: float = 0.0,
    ) -> list[Completion]:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": top_p}
        devices = [self.policy.model.device] if self.policy.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            return self._generate(
                prompt_ids,
                presence_penalty,
                max_new_tokens=max_new_tokens,
                **(sampling if temperature else {"do_sample": False}),
            )

    @torch.no_grad()
    @divergence_told()
    def _generate(self, encoded: list[list[int]], presence_penalty: float, **settings: object) -> list[Completion]:
        model = self.policy.model
        # Neighbours of similar length: little of a batch is padding.
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        completions: list[Completion | None] = [None] * len(encoded)
        was_training = model.training
        model.eval()
        ends = set(self.policy.eos_token_ids)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            drawn = self._generate_batch([encoded[i] for i in rows], presence_penalty, **settings)
            for i, token_ids in zip(rows, drawn, strict=True):
                completions[i] = self._completion(token_ids, ends)
        model.train(was_training)
        return completions

    def _generate_batch(
        self, encoded: list[list[int]], presence_penalty: float, *, max_new_tokens: int, **sampling: object
    ) -> list[list[int]]:
        """The token ids that follow each row, to the end token or the limit.

        Decoded in segments: what has ended leaves the batch after each, with its part of the cache, and does not wait
        for the longest.
        """
        model, tokenizer = self.policy.model, self.policy.tokenizer
        ends = torch.tensor(self.policy.eos_token_ids, device=model.device)
        batch = tokenizer.pad({"input_ids": encoded}, padding_side="left", return_tensors="pt").to(model.device)
        ids, mask, cache = batch["input_ids"], batch["attention_mask"], None
        width = ids.shape[1]
        if self.segment_tokens and width > 1:
            # The last token of a prompt is left to `generate`.
            prompts = SharedPrompts(model, ids[:, :-1], mask[:, :-1])
            cache = prompts.cache_of(torch.arange(len(ids), device=ids.device))
        # transformers applies these before temperature and top-p, as vLLM does.
        processors = [PresencePenalty(presence_penalty, width)] if presence_penalty else []
        drawn: list[list[int]] = [[] for _ in encoded]
        rows, left = list(range(len(encoded))), max_new_tokens
        while True:
            segment = GenerationConfig(
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=self.policy.eos_token_ids,
                max_new_tokens=min(left, self.segment_tokens or left),
                return_dict_in_generate=True,
                **sampling,
            )
            output = model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=segment,
                logits_processor=processors,
            )
            new = output.sequences[:, ids.shape[1] :]
            for row, token_ids in zip(rows, output.sequences[:, width:].tolist(), strict=True):
                drawn[row] = token_ids
            left -= new.shape[1]
            unfinished = (~torch.isin(new, ends).any(dim=1)).nonzero().squeeze(1)
            if not left or not len(unfinished):
                return drawn
            rows = [rows[i] for i in unfinished.tolist()]
            ids, cache = output.sequences[unfinished], output.past_key_values
            mask = torch.cat([mask[unfinished], mask.new_ones(len(unfinished), new.shape[1])], dim=1)
            cache.batch_select_indices(unfinished)

    def _completion(self, token_ids: list[int], ends: set[int]) -> Completion:
        end = next((i for i, token in enumerate(token_ids) if token in ends), None)
        kept = token_ids if end is None else token_ids[: end + 1]
        text = self.policy.tokenizer.decode(kept, skip_special_tokens=True)
        return Completion(text=text, tokens=len(kept), truncated=end is None, token_ids=tuple(kept))


class PresencePenalty(LogitsProcessor):
    """Subtracts `penalty` from the logits of the tokens that stand after the first `prompt_width` ones of a row.

    What vLLM and OpenAI call presence penalty, which transformers does not have; once per token, however often it
    stands there.
    """

    def __init__(self, penalty: float, prompt_width: int):
        self.penalty, self.prompt_width = penalty, prompt_width

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        written = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, input_ids[:, self.prompt_width :], True)
        return scores - self.penalty * written
