"""What the units of work cost that every stage is made of: drawing completions, RLOO steps, drawing questions."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from soar_pipeline.config import RLOOConfig, SerlConfig, StudentConfig
from soar_pipeline.cost.assumptions import bisect
from soar_pipeline.cost.speed import Speed

BYTES_PER_TOKEN, BYTES_PER_ROW = 2, 10  # of a completion in Parquet: text as zstd leaves it, and the other columns


@dataclass(frozen=True)
class Text:
    """Completions of a prompt, in tokens: the prompt, their mean and limit and, if measured, a batch's longest."""

    prompt: float
    mean: float
    limit: int
    longest: float | None = None

    def longest_of(self, batch: int) -> float:
        """Expected longest of so many; not measured: every token ends a completion with the same probability."""
        return self.longest or expected_longest(round(self.mean, 6), self.limit, batch)

    def padded(self, batch: int, buckets: int, budget: int | None = None) -> float:
        """Tokens of a completion, padding included, in a pass over `batch` of them in `buckets` of similar length, or
        in parts of at most `budget` tokens.
        """
        if budget is not None:
            return self.mean * padding_factor(round(self.mean, 6), self.limit, batch, budget)
        # Each bucket is as wide as its longest: from bucket to bucket the padding adds up to that of one completion.
        return self.mean + (self.longest_of(batch) - self.mean) / buckets


@lru_cache(maxsize=4096)
def expected_longest(mean: float, limit: int, batch: int) -> float:
    """Expected maximum of `batch` geometric lengths (1, 2, …) cut off at `limit`, whose mean is `mean` tokens."""
    stop = _stop(mean, limit)
    # E[max] is the sum over t of the probability that some sequence is longer than t.
    return sum(1 - (1 - (1 - stop) ** t) ** batch for t in range(limit))


@lru_cache(maxsize=4096)
def padding_factor(mean: float, limit: int, rows: int, budget: int) -> float:
    """Tokens with padding over tokens of such lengths, in parts of at most `budget` (rl/logprobs.py): of the lengths
    that so many rows have on average, from the shortest to the longest.
    """
    stop = _stop(mean, limit)
    lengths = [limit] * rows
    if stop:
        quantiles = (math.log(1 - (row + 0.5) / rows) / math.log(1 - stop) for row in range(rows))
        lengths = [min(limit, max(1, math.ceil(length))) for length in quantiles]
    padded, end = 0, rows
    while end:
        begin = max(0, end - max(1, budget // lengths[end - 1]))
        padded += (end - begin) * lengths[end - 1]
        end = begin
    return padded / sum(lengths)


def _stop(mean: float, limit: int) -> float:
    """q with (1 − (1 − q)^limit) / q = mean: the mean of a geometric length cut off at the limit."""
    return bisect(lambda q: (1 - (1 - q) ** limit) / q > mean, 0.0, 1.0) if mean < limit else 0.0


@dataclass(frozen=True)
class Work:
    """Tokens, seconds and bytes; `kept` stays after the job, `scratch` is the most that it holds besides."""

    generated: float = 0.0
    trained: float = 0.0
    seconds: float = 0.0
    students: float = 0.0
    kept: float = 0.0
    scratch: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        sums = {name: value + getattr(other, name) for name, value in vars(self).items()}
        return Work(**sums | {"scratch": max(self.scratch, other.scratch)})

    def __mul__(self, n: float) -> "Work":
        """n times, one after another."""
        return Work(**{name: value * n for name, value in vars(self).items()} | {"scratch": self.scratch})


@dataclass(frozen=True)
class UnitCosts:
    """What the units of work cost with one base model on one machine.

    base, student, teacher: what each of them writes. continuous: a place that falls free in a batch is given to the
    next completion (vLLM). In bytes: a model as it is kept, weights in training, and those with AdamW's moments.
    """

    speed: Speed
    base: Text
    student: Text
    teacher: Text
    batch_size: int
    continuous: bool
    grading_workers: int
    model: float
    weights: float
    state: float

    def answers(self, completions: float, text: Text, batch: int | None = None, group: int = 1) -> Work:
        """Completions drawn and graded."""
        return self.draw(completions, text, batch, group) + self._grade(completions)

    def draw(self, completions: float, text: Text, batch: int | None = None, group: int = 1) -> Work:
        """Completions, `batch` at once (none: batch_size); a batch is decoded until its last one ends.

        group: of one prompt, which vLLM reads once.
        """
        speed, context = self.speed, text.prompt + text.mean / 2
        prompts = completions / group if self.continuous else completions
        seconds = speed.prefill_seconds_per_token * prompts * text.prompt + speed.draw_seconds
        for sequences, batches in batches_of(completions, batch or self.batch_size):
            steps = text.mean if self.continuous else text.longest_of(max(1, round(sequences)))
            seconds += batches * steps * speed.decoding_step(sequences, context)
        return Work(generated=completions * text.mean, seconds=seconds)

    def questions(self, count: int, turns: int, acceptance: float, max_draws: int) -> Work:
        """The teacher's completions until `count` are accepted; in two turns none is refused."""
        if turns == 1:
            rounds = draw_rounds(count, acceptance, max_draws)
            return sum((self.answers(number, self.teacher, group=max(1, round(number))) for number in rounds), Work())
        # The second turn's prompt holds the question.
        answer = replace(self.teacher, prompt=self.teacher.prompt + self.teacher.mean)
        return self.draw(count, self.teacher, group=count) + self.draw(count, answer)

    def student_step(self, config: StudentConfig) -> Work:
        """One RLOO step of a student: all its completions are drawn as one batch, graded, trained on."""
        rollouts = config.batch_size * config.group_size
        drawn = self.answers(rollouts, self.student, batch=rollouts, group=config.group_size)
        return drawn + self.update(config, rollouts, config.group_size, self.student)

    def reference_pass(self, config: StudentConfig) -> Work:
        """What a student's step takes less if KL need not be measured."""
        rollouts = config.batch_size * config.group_size
        if config.kl_coefficient == 0 or not config.on_policy(rollouts):
            return Work()
        forward, _ = computed_tokens(config, rollouts, config.group_size, self.student)
        return self.passes(forward / forward_passes(config, rollouts))

    def update(self, config: RLOOConfig, rollouts: int, group: int, text: Text) -> Work:
        """The passes over rollouts that are drawn already, and AdamW."""
        optimizer = self.speed.optimizer_seconds + config.offload_moments * self.speed.offload_seconds
        trained = Work(trained=rollouts * text.mean, seconds=optimizer)
        return trained + self.passes(*computed_tokens(config, rollouts, group, text))

    def self_play_step(self, config: SerlConfig, rounds: float, rollouts: int, examples: float) -> Work:
        """SeRL: `rounds` of prompts for questions with `examples`, `rollouts`, one epoch over a full batch of groups.

        Of a rollout all pairs of answers to a question are compared, and log-probabilities and KL computed.
        """
        writer, limit, samples = self.teacher, config.max_new_tokens, config.samples
        longest, mean = writer.longest and writer.longest * limit / writer.limit, writer.mean * limit / writer.limit
        text = Text(writer.prompt + examples, max(1, mean), limit, longest)
        completions, student = config.questions * samples, self.student
        answers = self.draw(completions, student, group=samples) + self._grade(config.questions * math.comb(samples, 2))
        at_once = min(config.micro_batch_size or config.batch_size, config.batch_size)
        # They are scored in order: the completions of a question are together.
        scored = positions(config, samples, math.ceil(samples / at_once), min(at_once, samples), student)
        answers += self.passes(config.questions * (1 + (config.kl_coefficient > 0)) * scored)
        learned = positions(config, completions, shuffled_prompts(completions, samples, at_once), at_once, student)
        update = self.passes((1 + config.gradient_checkpointing) * learned, learned)
        optimizer = config.optimizer_steps * (
            self.speed.optimizer_seconds + config.offload_moments * self.speed.offload_seconds
        )
        update += Work(trained=completions * student.mean, seconds=optimizer)
        return self.draw(config.prompts_per_round, text) * rounds + answers * rollouts + update

    def passes(self, forward: float, backward: float = 0) -> Work:
        """So many tokens through the model, and back, padding included."""
        speed = self.speed
        return Work(seconds=forward * speed.forward_seconds_per_token + backward * speed.backward_seconds_per_token)

    def files(self, size: float) -> Work:
        """Reading or writing so many bytes."""
        return Work(seconds=size / self.speed.disk_bandwidth)

    def _grade(self, completions: float) -> Work:
        return Work(seconds=completions * self.speed.grading_seconds / self.grading_workers)


def forward_passes(config: RLOOConfig, share: int) -> int:
    """Of a step: log-probabilities (old, unless they are the current ones; reference; current), and recomputation.

    share: rollouts of a step that a process has.
    """
    on_policy = isinstance(config, StudentConfig) and config.on_policy(share)
    return 2 - on_policy + (config.kl_coefficient > 0) + config.gradient_checkpointing


def computed_tokens(config: RLOOConfig, rollouts: int, group: int, text: Text) -> tuple[float, float]:
    """Tokens that the forward passes of a step compute, and its backward pass, padding included."""
    passes, size = forward_passes(config, rollouts), min(config.micro_batch_size or rollouts, rollouts)
    if isinstance(config, StudentConfig) and config.on_policy(rollouts):
        # Micro-batches are whole groups.
        tokens = positions(config, rollouts, rollouts / group, size, text)
        return passes * tokens, tokens
    # TRL goes over all rollouts for the old log-probabilities and the reference's, and shuffles them for the rest.
    with_gradient = 1 + config.gradient_checkpointing
    before = positions(config, rollouts, rollouts / group, rollouts, text)
    tokens = positions(config, rollouts, shuffled_prompts(rollouts, group, size), size, text)
    return (passes - with_gradient) * before + with_gradient * tokens, tokens


def positions(config: RLOOConfig, rollouts: int, prompts: float, at_once: int, text: Text) -> float:
    """Tokens of one pass over rollouts, `at_once` of them at a time, padding included; `prompts`: how many are read if
    a prompt is read once for all that are there at a time, as it is in parts of similar length.
    """
    if config.length_buckets == 1 and config.pass_tokens is None:
        return rollouts * (text.padded(rollouts, 1) + text.prompt)
    return rollouts * text.padded(at_once, config.length_buckets, config.pass_tokens) + prompts * text.prompt


def shuffled_prompts(rollouts: int, group: int, at_once: int) -> float:
    """Prompts that are read for shuffled rollouts: the distinct ones that so many at once have, as expected."""
    without_one = math.comb(rollouts - group, at_once) / math.comb(rollouts, at_once)
    return rollouts / at_once * (rollouts / group) * (1 - without_one)


def batches_of(items: float, size: int) -> list[tuple[float, float]]:
    """(items of a batch, how many such batches): full ones, and the rest."""
    full, rest = divmod(items, size)
    return [(batch, number) for batch, number in ((size, full), (rest, 1)) if number and batch > 1e-9]


def draw_rounds(count: int, acceptance: float, max_draws: int) -> list[float]:
    """Draws per round until `count` are accepted, every round accepting its expected share (soar/questions.py)."""
    rounds: list[float] = []
    accepted = 0.0
    while count - accepted > 0.5 and sum(rounds) < count * max_draws:
        seen = (accepted + 1) / (sum(rounds) + 1) if rounds else 1.0
        rounds.append(min(round((count - accepted) / seen) + 1, 4 * count))
        accepted += acceptance * rounds[-1]
    return rounds


def parquet_bytes(completions: float, tokens: float) -> float:
    """Size of a file of so many completions of `tokens` tokens in all."""
    return completions * BYTES_PER_ROW + tokens * BYTES_PER_TOKEN
