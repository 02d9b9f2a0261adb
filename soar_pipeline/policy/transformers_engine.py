"""The `transformers` engine: `model.generate` in batches of similar prompt length."""

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
)

from soar_pipeline.config import ConfigError
from soar_pipeline.policy.loading import Policy, raise_diverged
from soar_pipeline.policy.sampling import Completion, Generator, SamplingParams
from soar_pipeline.policy.shared_prompts import SharedPrompts, rows_can_be_selected


class TransformersGenerator(Generator):
    """Completes prompts with the policy's current weights.

    The caller's random state is left alone, so that evaluating a policy does not change its training.
    """

    def __init__(self, policy: Policy, batch_size: int, segment_tokens: int | None = None):
        """segment_tokens: after so many, what has ended leaves its batch, and each prompt goes through the model once
        for all completions of it; none: the library's `generate` alone, with which a batch waits for its longest.
        Raises ConfigError if the model's cache does not allow it.
        """
        if segment_tokens and not rows_can_be_selected(policy.model.config):
            raise ConfigError(
                f"generation.segment_tokens: {policy.model.name_or_path} keeps recurrent states, of which no rows can "
                "be taken out; leave this key out"
            )
        self.policy, self.batch_size, self.segment_tokens = policy, batch_size, segment_tokens
        self._completing: dict[str, torch.Tensor] = {}

    def complete(self, prompt_ids: list[list[int]], params: SamplingParams) -> list[Completion]:
        devices = [self.policy.model.device] if self.policy.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(params.seed)
            return self._generate(prompt_ids, params)

    @torch.no_grad()
    @raise_diverged()
    def _generate(self, encoded: list[list[int]], params: SamplingParams) -> list[Completion]:
        model = self.policy.sampler()
        # Neighbours of similar length: little of a batch is padding.
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        completions: list[Completion | None] = [None] * len(encoded)
        was_training = model.training
        model.eval()
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            written = self._generate_batch(model, [encoded[i] for i in rows], params)
            for i, token_ids in zip(rows, written, strict=True):
                completions[i] = self._completion(token_ids, params.stop)
        model.train(was_training)
        return completions

    def _generate_batch(
        self, model: PreTrainedModel, encoded: list[list[int]], params: SamplingParams
    ) -> list[list[int]]:
        """The token ids that follow each row, to the end token or the limit.

        Decoded in segments: what has ended leaves the batch after each, with its part of the cache, and does not wait
        for the longest.
        """
        tokenizer = self.policy.tokenizer
        ends = torch.tensor(self.policy.eos_token_ids, device=model.device)
        batch = tokenizer.pad({"input_ids": encoded}, padding_side="left", return_tensors="pt").to(model.device)
        ids, mask, cache = batch["input_ids"], batch["attention_mask"], None
        width = ids.shape[1]
        if self.segment_tokens and width > 1:
            # The last token of a prompt is left to `generate`.
            prompts = SharedPrompts(model, ids[:, :-1], mask[:, :-1])
            cache = prompts.cache_of(torch.arange(len(ids), device=ids.device))
        # transformers applies these before temperature and top-p, as vLLM does.
        processors = [PresencePenalty(params.presence_penalty, width)] if params.presence_penalty else []
        stops = [StopAt(params.stop, tokenizer, width, self._last_tokens(params.stop))] if params.stop else []
        sampling = {"do_sample": True, "temperature": params.temperature, "top_k": 0, "top_p": params.top_p}
        written: list[list[int]] = [[] for _ in encoded]
        rows, left = list(range(len(encoded))), params.max_new_tokens
        while True:
            segment = GenerationConfig(
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=self.policy.eos_token_ids,
                max_new_tokens=min(left, self.segment_tokens or left),
                return_dict_in_generate=True,
                **(sampling if params.temperature else {"do_sample": False}),
            )
            output = model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=segment,
                logits_processor=processors,
                stopping_criteria=stops,
            )
            new = output.sequences[:, ids.shape[1] :]
            for row, token_ids in zip(rows, output.sequences[:, width:].tolist(), strict=True):
                written[row] = token_ids
            left -= new.shape[1]
            ended = torch.isin(new, ends).any(dim=1)
            if params.stop:
                ended |= torch.tensor([params.stop in self._text(written[row]) for row in rows], device=model.device)
            unfinished = (~ended).nonzero().squeeze(1)
            if not left or not len(unfinished):
                return written
            rows = [rows[i] for i in unfinished.tolist()]
            ids, cache = output.sequences[unfinished], output.past_key_values
            mask = torch.cat([mask[unfinished], mask.new_ones(len(unfinished), new.shape[1])], dim=1)
            cache.batch_select_indices(unfinished)

    def _last_tokens(self, stop: str) -> torch.Tensor:
        """The tokens that can complete the stop: all that hold its last character."""
        if stop not in self._completing:
            vocabulary = [[token] for token in range(len(self.policy.tokenizer))]
            texts = self.policy.tokenizer.batch_decode(vocabulary)
            last = [token for token, text in enumerate(texts) if stop[-1] in text]
            self._completing[stop] = torch.tensor(last, device=self.policy.model.device)
        return self._completing[stop]


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


class StopAt(StoppingCriteria):
    """Ends a row as soon as what stands after its first `prompt_width` tokens holds the stop.

    The library's own stop strings prepare a table of the vocabulary for each of them, which takes as long as a short
    filter. Here a row is read only after a token of `last_tokens`, those that can complete the stop.
    """

    def __init__(self, stop: str, tokenizer: PreTrainedTokenizerBase, prompt_width: int, last_tokens: torch.Tensor):
        self.stop, self.tokenizer, self.prompt_width, self.last_tokens = stop, tokenizer, prompt_width, last_tokens

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **_: object) -> torch.BoolTensor:
        done = torch.isin(input_ids[:, -1], self.last_tokens)
        # Every token of the stop has a character of it at least.
        begin = max(self.prompt_width, input_ids.shape[1] - len(self.stop))
        for row in done.nonzero().flatten().tolist():
            done[row] = self.stop in self.tokenizer.decode(input_ids[row, begin:], skip_special_tokens=True)
        return done
