"""Drawing completions from a policy: one interface, whatever the engine."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from soar_pipeline.models.policy import Policy


@dataclass(frozen=True)
class Completion:
    """One completion.

    tokens: generated tokens, the end token included; truncated: the end token never came;
    token_ids: what was generated, for training on it (re-encoding the text may give other ids).
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


class Generator(ABC):
    """A policy that completes prompts. batch_size: sequences decoded together."""

    policy: Policy
    batch_size: int

    def sample(self, prompts: list[str], *, samples: int, **settings: float) -> list[list[Completion]]:
        """`samples` completions of each prompt, as one list per prompt; `settings` are those of `complete`."""
        flat = self.complete([ids for ids in self._encoded(prompts) for _ in range(samples)], **settings)
        return [flat[i : i + samples] for i in range(0, len(flat), samples)]

    def greedy(self, prompts: list[str], *, max_new_tokens: int) -> list[Completion]:
        """The most likely completion of each prompt, token by token."""
        return self.complete(self._encoded(prompts), max_new_tokens=max_new_tokens, temperature=0.0, seed=0)

    @abstractmethod
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
        """One completion of each encoded prompt; the same seed gives the same completions.

        temperature: 0 takes the most likely token every time. top_p: sample from the smallest set of tokens that has
        this probability. presence_penalty: subtracted from the logit, before the temperature, of every token that the
        completion already holds (the prompt does not count).
        """

    def _encoded(self, prompts: list[str]) -> list[list[int]]:
        return self.policy.tokenizer(prompts)["input_ids"]
