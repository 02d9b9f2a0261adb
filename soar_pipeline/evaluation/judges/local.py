"""A judge that is run here: a Hugging Face folder, the same prompt and the same reading of its replies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from soar_pipeline.config import ConfigError
from soar_pipeline.evaluation.judges.reply_cache import ReplyCache, request_key
from soar_pipeline.evaluation.taxonomy import (
    Case,
    Judgement,
    MalformedReply,
    Reply,
    Verdict,
    judge_prompt,
    judgement,
    parse_verdict,
)
from soar_pipeline.policy.encoding import encode, with_first_token
from soar_pipeline.policy.prompts import in_chat_template
from soar_pipeline.policy.sampling import Completion, Generator, SamplingParams
from soar_pipeline.runtime import Progress, derive


@dataclass
class _Pending:
    """One question on its way to a verdict."""

    prompt: str
    key: str
    prompt_tokens: int
    replies: list[Reply] = field(default_factory=list)
    verdict: Verdict | None = None
    reason: str | None = None


class PolicyJudge:
    """Judges questions with a policy; a :class:`~.taxonomy.Judge`.

    The first attempt is greedy. If it holds no verdict, a second greedy one would be the same, so the others are
    sampled, at temperature 1.
    """

    def __init__(
        self,
        generator: Generator,
        prompt: str,
        *,
        name: str,
        chat_template: bool,
        max_new_tokens: int,
        attempts: int,
        seed: int,
        cache: ReplyCache,
    ):
        """`name` tells the policy from others in the cache: its digest."""
        self.generator, self.prompt, self.name, self.chat_template = generator, prompt, name, chat_template
        self.max_new_tokens, self.attempts, self.seed, self.cache = max_new_tokens, attempts, seed, cache
        if chat_template and generator.policy.tokenizer.chat_template is None:
            raise ConfigError("taxonomy.judge: the model has no chat template; set its key chat_template to false")

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """Raises ConfigError if no question fits the model's context; if only some do not, these have no verdict."""
        pending = [self._pending(case) for case in cases]
        if pending and all(item.reason for item in pending):
            raise ConfigError(f"taxonomy.judge: {pending[0].reason}; shorten prompts.judge or lower max_new_tokens")
        for attempt in range(1, self.attempts + 1):
            self._attempt([item for item in pending if item.reason is None or item.replies], attempt)
        return [judgement(item.replies, item.verdict, item.reason) for item in pending]

    def _pending(self, case: Case) -> _Pending:
        policy = self.generator.policy
        prompt = judge_prompt(self.prompt, case)
        wrap = in_chat_template if self.chat_template else with_first_token
        prompt = wrap(prompt, policy.tokenizer)
        request = {"model": self.name, "prompt": prompt, "max_new_tokens": self.max_new_tokens, "seed": self.seed}
        length, context = len(encode([prompt], policy.tokenizer)[0]), policy.model.config.max_position_embeddings
        item = _Pending(prompt, request_key(request), prompt_tokens=length)
        if length + self.max_new_tokens > context:
            item.reason = (
                f"its prompt ({length} tokens) and {self.max_new_tokens} new tokens exceed the context of {context}"
            )
        return item

    def _attempt(self, items: list[_Pending], attempt: int) -> None:
        """One more reply to each that has no verdict yet; a batch's replies are kept as soon as they are there."""
        items = [item for item in items if item.verdict is None]
        progress, size = Progress(f"judge, attempt {attempt}", len(items)), self.generator.batch_size
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            replies = {item.key: self.cache.read(item.key, attempt) for item in batch}
            new = [item for item in batch if replies[item.key] is None]
            for item, completion in zip(new, self._completions(new, attempt), strict=True):
                reply = Reply(completion.text, completion.truncated, item.prompt_tokens, completion.tokens)
                self.cache.write(item.key, attempt, reply)
                replies[item.key] = reply
            for item in batch:
                _read(item, replies[item.key])
            progress.advance(len(batch))

    def _completions(self, items: list[_Pending], attempt: int) -> list[Completion]:
        if not items:
            return []
        prompts = [item.prompt for item in items]
        if attempt == 1:
            return self.generator.greedy(prompts, max_new_tokens=self.max_new_tokens)
        params = SamplingParams(self.max_new_tokens, seed=derive(self.seed, "judge", attempt, items[0].key))
        return [completion for [completion] in self.generator.sample(prompts, 1, params)]


def _read(item: _Pending, reply: Reply) -> None:
    item.replies.append(reply)
    try:
        item.verdict = parse_verdict(reply)
    except MalformedReply as error:
        item.reason = str(error)
