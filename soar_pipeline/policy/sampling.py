"""Sampling completions from a policy: one interface for every engine."""

from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass

from soar_pipeline.policy.encoding import encode
from soar_pipeline.policy.loading import Policy


@dataclass(frozen=True)
class Completion:
    """One completion.

    tokens: generated tokens, with the end token, or the token that completed the stop; truncated: neither came; text:
    what stands before it; token_ids: what was generated, for training on it (re-encoding the text may give other ids).
    """

    text: str
    tokens: int
    truncated: bool
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Turn:
    """A prompt, as the policy saw it, and what it wrote after it."""

    prompt: str
    completion: Completion


# What a policy wrote for one reward. Its log-probability is the sum over its turns.
Rollout = tuple[Turn, ...]


@dataclass(frozen=True)
class SamplingParams:
    """How completions are sampled; every engine means the same by it.

    max_new_tokens: the end token included. temperature: 0 takes the most likely token every time. top_p: sample from
    the smallest set of tokens that has this probability. presence_penalty: subtracted from the logit, before the
    temperature, of every token that the completion already holds (the prompt does not count). stop: a text that ends
    the completion, as the end token does.
    """

    max_new_tokens: int
    temperature: float = 1.0
    seed: int = 0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    stop: str | None = None


class Generator(ABC):
    """A policy that completes prompts. batch_size: sequences decoded together."""

    policy: Policy
    batch_size: int

    def sample(self, prompts: list[str], samples: int, params: SamplingParams) -> list[list[Completion]]:
        """`samples` completions of each prompt, as one list per prompt."""
        flat = self.complete([ids for ids in self._encoded(prompts) for _ in range(samples)], params)
        return [flat[i : i + samples] for i in range(0, len(flat), samples)]

    def greedy(self, prompts: list[str], max_new_tokens: int, stop: str | None = None) -> list[Completion]:
        """The most likely completion of each prompt, token by token."""
        return self.complete(self._encoded(prompts), SamplingParams(max_new_tokens, temperature=0.0, stop=stop))

    @abstractmethod
    def complete(self, prompt_ids: list[list[int]], params: SamplingParams) -> list[Completion]:
        """One completion of each encoded prompt; the same parameters give the same completions."""

    def _encoded(self, prompts: list[str]) -> list[list[int]]:
        return encode(prompts, self.policy.tokenizer)

    def _completion(self, token_ids: list[int], stop: str | None) -> Completion:
        """What the engine generated, up to its end."""
        ends = self.policy.eos_token_ids
        end = next((i for i, token in enumerate(token_ids) if token in ends), None)
        kept = token_ids if end is None else token_ids[: end + 1]
        text = self._text(kept)
        if stop is None or stop not in text:
            return Completion(text, len(kept), truncated=end is None, token_ids=tuple(kept))
        # The fewest tokens whose text holds the stop.
        count = bisect_left(range(len(kept)), True, key=lambda tokens: stop in self._text(kept[:tokens]))
        return Completion(before(stop, text), count, truncated=False, token_ids=tuple(kept[:count]))

    def _text(self, token_ids: list[int]) -> str:
        return self.policy.tokenizer.decode(token_ids, skip_special_tokens=True)


def before(stop: str | None, text: str) -> str:
    """What stands before the stop."""
    return text if stop is None else text.partition(stop)[0]
