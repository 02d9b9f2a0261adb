"""The `transformers` engine: `model.generate` in batches of similar prompt length."""

import torch
from transformers import GenerationConfig, LogitsProcessor

from soar_pipeline.generation.generator import Completion
from soar_pipeline.models.policy import Policy, divergence_told


class TransformersGenerator:
    """Completes prompts with the policy's current weights; a :class:`~.generator.Generator`.

    The caller's random state is left alone, so that evaluating a policy does not change its training.
    """

    def __init__(self, policy: Policy, batch_size: int):
        self.policy, self.batch_size = policy, batch_size

    def sample(
        self,
        prompts: list[str],
        *,
        samples: int,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        top_p: float = 1.0,
        presence_penalty: float = 0.0,
    ) -> list[list[Completion]]:
        repeated = [prompt for prompt in prompts for _ in range(samples)]
        devices = [self.policy.model.device] if self.policy.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            flat = self._generate(
                repeated,
                presence_penalty=presence_penalty,
                max_new_tokens=max_new_tokens,
                do_sample=True,
                temperature=temperature,
                top_k=0,
                top_p=top_p,
            )
        return [flat[i : i + samples] for i in range(0, len(flat), samples)]

    def greedy(self, prompts: list[str], *, max_new_tokens: int) -> list[Completion]:
        return self._generate(prompts, max_new_tokens=max_new_tokens, do_sample=False)

    @torch.no_grad()
    @divergence_told()
    def _generate(self, prompts: list[str], presence_penalty: float = 0.0, **settings: object) -> list[Completion]:
        model, tokenizer = self.policy.model, self.policy.tokenizer
        generation = GenerationConfig(
            pad_token_id=tokenizer.pad_token_id, eos_token_id=self.policy.eos_token_ids, **settings
        )
        encoded = tokenizer(prompts)["input_ids"]
        # Neighbours of similar length: little of a batch is padding.
        order = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
        completions: list[Completion | None] = [None] * len(prompts)
        was_training = model.training
        model.eval()
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = tokenizer.pad({"input_ids": [encoded[i] for i in rows]}, padding_side="left", return_tensors="pt")
            batch = batch.to(model.device)
            width = batch["input_ids"].shape[1]
            # transformers applies these before temperature and top-p, as vLLM does.
            processors = [PresencePenalty(presence_penalty, width)] if presence_penalty else []
            generated = model.generate(**batch, generation_config=generation, logits_processor=processors)[:, width:]
            for i, token_ids in zip(rows, generated.tolist(), strict=True):
                completions[i] = self._completion(token_ids)
        model.train(was_training)
        return completions

    def _completion(self, token_ids: list[int]) -> Completion:
        ends = [i for i, token in enumerate(token_ids) if token in self.policy.eos_token_ids]
        kept = token_ids[: ends[0] + 1] if ends else token_ids
        text = self.policy.tokenizer.decode(kept, skip_special_tokens=True)
        return Completion(text=text, tokens=len(kept), truncated=not ends, token_ids=tuple(kept))


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
