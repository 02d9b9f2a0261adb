"""A judge behind an OpenAI-compatible chat-completions endpoint.

Three things may go wrong, and each ends differently:

- A reply without a verdict is kept, and the question asked again, `attempts` times in all; then it has no verdict.
- A request without a reply in time, or with a reply that is not a chat completion, costs an attempt too, but nothing is
  kept. If that happens to many questions in a row, or to all, the endpoint counts as down: one clear error instead of a
  table of blanks.
- An endpoint that is busy or broken (429, 5xx, no connection) is asked again with growing pauses. If it stays so, or if
  it refuses (any other 4xx, a redirect), the job ends with one clear error; every reply until then is kept.

The key is read from the environment, goes into one header to `base_url` and nowhere else: redirects are not followed,
and what the endpoint answers is cleared of it.
"""

import asyncio
import logging
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import ConfigError, EndpointJudge
from soar_pipeline.evaluation.judges.reply_cache import ReplyCache, request_key
from soar_pipeline.evaluation.taxonomy import (
    Case,
    Judgement,
    MalformedReply,
    Reply,
    judge_prompt,
    judgement,
    one_line,
    parse_verdict,
)
from soar_pipeline.runtime import Progress

log = logging.getLogger(__name__)

# Far above any verdict with its working; what is longer is not read.
MAX_REPLY_BYTES = 4 << 20
# Questions in a row without any reply, after which the endpoint counts as down.
SILENT_QUESTIONS = 8
HIDDEN_KEY = "[key]"
# Shorter ones are placeholders for servers that want none ("EMPTY"), and may be words of an honest reply.
SHORTEST_SECRET = 8


class EndpointError(ArtifactError):
    """An endpoint that cannot be used; the message names it and says what to do."""


class _NoReply(Exception):
    """One request that brought no chat completion; the message says why."""


class _Busy(Exception):
    """The endpoint could not answer now; `wait`: seconds that it asks for."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


Tokens = Annotated[int, Field(ge=0, le=1 << 40)]


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None


class _ChatCompletion(BaseModel):
    """What we read of a chat completion; endpoints add a great deal."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Usage | None = None


class RemoteJudge:
    """Judges questions by asking a model, several at once; a :class:`~.taxonomy.Judge`."""

    def __init__(self, config: EndpointJudge, prompt: str, attempts: int, concurrency: int, cache: ReplyCache):
        """Raises ConfigError if the environment has no usable key under the configured name."""
        self.config, self.prompt, self.attempts, self.cache = config, prompt, attempts, cache
        self.url = f"{config.base_url.rstrip('/')}/chat/completions"
        self._key = _key_from_environment(config.api_key_variable)
        self._concurrency = concurrency
        self._silent = 0
        self.requests = self.cached = 0

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """Raises EndpointError; what was answered before is in the cache."""
        judgements = asyncio.run(self._judge_all(cases))
        if judgements and not any(one.attempts for one in judgements):
            raise self._down(judgements[0].reason)
        log.info("%s: %d requests, and %d replies from the cache", self.url, self.requests, self.cached)
        return judgements

    async def _judge_all(self, cases: Sequence[Case]) -> list[Judgement]:
        # No compression: a small body cannot unpack to a huge one.
        headers = {"Accept-Encoding": "identity"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        progress, free = Progress("judge", len(cases)), asyncio.Semaphore(self._concurrency)

        async def judged(case: Case) -> Judgement:
            async with free:
                verdict = await self._judge_one(client, case)
            progress.advance()
            return verdict

        # Timeouts are ours: httpx's start anew with every byte, and a slow drip would never end.
        async with httpx.AsyncClient(headers=headers, timeout=None, follow_redirects=False) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(judged(case)) for case in cases]
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _judge_one(self, client: httpx.AsyncClient, case: Case) -> Judgement:
        messages = [{"role": "user", "content": judge_prompt(self.prompt, case)}]
        request = {**self.config.parameters, "model": self.config.model, "messages": messages}
        key, replies, reason = request_key(request), [], ""
        for _ in range(self.attempts):
            try:
                reply = await self._reply(client, request, key, number=len(replies) + 1)
                replies.append(reply)
                return judgement(replies, parse_verdict(reply), None)
            except (MalformedReply, _NoReply) as error:
                reason = str(error)
        if not replies:
            self._silent += 1
            if self._silent >= SILENT_QUESTIONS:
                raise self._down(reason)
        return judgement(replies, None, reason)

    def _down(self, reason: str) -> EndpointError:
        return EndpointError(
            f"{self.url}: the endpoint gave no chat completion in {self.attempts} attempts at a question ({reason}); "
            "check taxonomy.judge.base_url and timeout_seconds, and run again: the replies so far are kept"
        )

    async def _reply(self, client: httpx.AsyncClient, request: dict[str, Any], key: str, number: int) -> Reply:
        if cached := self.cache.read(key, number):
            self.cached += 1
            return cached
        reply = await self._asked(client, request)
        self._silent = 0
        self.cache.write(key, number, reply)
        return reply

    async def _asked(self, client: httpx.AsyncClient, request: dict[str, Any]) -> Reply:
        """One reply, after as many retries as a busy endpoint takes."""
        for retry in range(self.config.retries + 1):
            self.requests += 1
            try:
                async with asyncio.timeout(self.config.timeout_seconds):
                    return self._completion(*await self._sent(client, request))
            except TimeoutError:
                raise _NoReply(f"no complete reply within {self.config.timeout_seconds:g} s") from None
            except _Busy as busy:
                reason, wait = str(busy), busy.wait
            except httpx.TransportError as error:
                reason, wait = f"no connection: {self._cleared(str(error)) or type(error).__name__}", None
            if retry < self.config.retries:
                await self._pause(retry, reason, wait)
        raise EndpointError(
            f"{self.url}: {reason}, after {self.config.retries + 1} requests; run again when the endpoint is back, or "
            "lower taxonomy.concurrency: the replies so far are kept"
        )

    async def _pause(self, retry: int, reason: str, wait: float | None) -> None:
        longest = self.config.max_wait_seconds
        if wait is not None and wait > longest:
            raise EndpointError(
                f"{self.url}: {reason}; the endpoint asks to wait {wait:.0f} s, more than "
                "taxonomy.judge.max_wait_seconds; run again later: the replies so far are kept"
            )
        if wait is None:
            # Spread out, so that requests that failed together do not come back together.
            wait = min(longest, self.config.backoff_seconds * 2**retry) * random.uniform(0.5, 1.0)
        log.info("%s: %s; the next request is in %.1f s", self.url, reason, wait)
        await asyncio.sleep(wait)

    async def _sent(self, client: httpx.AsyncClient, request: dict[str, Any]) -> tuple[httpx.Response, bytes]:
        """The response and its body; one that is too long is not read to its end."""
        body = bytearray()
        async with client.stream("POST", self.url, json=request) as response:
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_REPLY_BYTES:
                    break
        return response, bytes(body)

    def _completion(self, response: httpx.Response, body: bytes) -> Reply:
        """The chat completion in a response; raises _Busy, _NoReply or EndpointError for every other response."""
        status = response.status_code
        if status == 429 or status >= 500:
            reason = f"answered {status}: {self._cleared(body.decode(errors='replace'))}"
            raise _Busy(reason, _retry_after(response.headers.get("Retry-After")))
        if 300 <= status < 400:
            place = self._cleared(response.headers.get("Location", "elsewhere"))
            raise EndpointError(
                f"{self.url}: the endpoint redirects to {place}; set taxonomy.judge.base_url to the judge's own"
            )
        if status >= 400:
            said = self._cleared(body.decode(errors="replace"))
            variable = self.config.api_key_variable
            raise EndpointError(
                f"{self.url}: the endpoint refused with {status}: {said}; check taxonomy.judge"
                + (f" and the key in {variable}" if variable else " (api_key_variable names no key)")
            )
        kind = self._cleared(response.headers.get("Content-Type", "missing"))
        if status != 200 or kind.partition(";")[0].strip().lower() != "application/json":
            raise _NoReply(f"not JSON: status {status}, content type {kind}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise _NoReply("a compressed reply, although none was requested")
        if len(body) > MAX_REPLY_BYTES:
            raise _NoReply(f"a reply of more than {MAX_REPLY_BYTES} bytes")
        try:
            completion = _ChatCompletion.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise _NoReply(one_line(f"not a chat completion: {first['msg']}")) from None
        choice, usage = completion.choices[0], completion.usage or _Usage()
        return Reply(
            text=self._without_key(choice.message.content or ""),
            truncated=choice.finish_reason == "length",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )

    def _without_key(self, text: str) -> str:
        secret = self._key is not None and len(self._key) >= SHORTEST_SECRET
        return text.replace(self._key, HIDDEN_KEY) if secret else text

    def _cleared(self, text: str) -> str:
        return one_line(self._without_key(text))


def _key_from_environment(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"taxonomy.judge.api_key_variable: the environment variable {variable} is not set; export it and run again"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"taxonomy.judge.api_key_variable: {variable} holds characters that a key cannot have")
    return key


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date; None if it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date without a zone is in UTC.
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
