"""What the units of work cost that every stage is made of: drawing completions, RLOO steps, drawing questions."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from soar_pipeline.config import GenerationConfig, GradingConfig, RLOOConfig, SerlConfig, StudentConfig
from soar_pipeline.cost.assumptions import Length
from soar_pipeline.cost.speed import Engine, Speed

# Bytes of a completion in a Parquet file: text as zstd leaves it, and the other columns.
BYTES_PER_TOKEN, BYTES_PER_ROW = 2, 10


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
        return Work(
            self.generated + other.generated,
            self.trained + other.trained,
            self.seconds + other.seconds,
            self.students + other.students,
            self.kept + other.kept,
            max(self.scratch, other.scratch),
        )

    def times(self, n: float) -> "Work":
        return Work(
            self.generated * n, self.trained * n, self.seconds * n, self.students * n, self.kept * n, self.scratch
        )

    def taking(self, seconds: float) -> "Work":
        """The same in other time: some of it goes on at once."""
        return replace(self, seconds=seconds)


@dataclass(frozen=True)
class Units:
    """The units of one base model on one machine.

    Prompts are in tokens; `weights` is one set of weights in bytes.
    """

    speed: Speed
    engine: Engine
    generation: GenerationConfig
    grading: GradingConfig
    student_prompt: float
    teacher_prompt: float
    weights: float

    def solutions(self, completions: float, length: Length, batch: int | None = None) -> Work:
        """Completions of the student prompt, graded."""
        drawn = self._draw(completions, self.student_prompt, length, self.generation.student_max_new_tokens, batch)
        return drawn + self._grade(completions)

    def questions(self, count: int, acceptance: float, max_draws: int, length: Length) -> Work:
        """The teacher's completions until `count` are accepted."""
        work = Work()
        for draws in draw_rounds(count, acceptance, max_draws):
            limit = self.generation.teacher_max_new_tokens
            work += self._draw(draws, self.teacher_prompt, length, limit) + self._grade(draws)
        return work

    def two_turns(self, count: int, length: Length) -> Work:
        """Questions, then their answers, each asked for with the question in its prompt; none is refused."""
        limit = self.generation.teacher_max_new_tokens
        asked = self._draw(count, self.teacher_prompt, length, limit)
        return asked + self._draw(count, self.teacher_prompt + length.tokens(limit), length, limit)

    def student_step(self, config: StudentConfig, rollouts: int, length: Length) -> Work:
        """One RLOO step of a student: all its completions are drawn as one batch, graded, trained on."""
        limit = self.generation.student_max_new_tokens
        return self.solutions(rollouts, length, batch=rollouts) + self._update(
            config, rollouts, self.student_prompt, length, limit, one_pass=config.one_pass
        )

    def teacher_step(self, config: RLOOConfig, rollouts: int, length: Length) -> Work:
        """One RLOO step of the teacher, on completions that are drawn already (each turn counts as one)."""
        limit = self.generation.teacher_max_new_tokens
        return self._update(config, rollouts, self.teacher_prompt, length, limit)

    def self_play_rollout(self, config: SerlConfig, length: Length) -> Work:
        """SeRL: answers to `questions`, all pairs of each compared, their log-probabilities and KL."""
        completions = config.questions * config.samples
        limit = self.generation.student_max_new_tokens
        drawn = self._draw(completions, self.student_prompt, length, limit)
        pairs = config.questions * math.comb(config.samples, 2)
        padded = completions * (self.student_prompt + length.decoding_steps(limit, config.samples))
        forwards = 1 + (config.kl_coefficient > 0)
        return drawn + self._grade(pairs) + Work(seconds=self.speed.forward(forwards * padded))

    def self_play_update(self, config: SerlConfig, length: Length) -> Work:
        """SeRL: one epoch over the completions of a full batch of groups, whose log-probabilities are known."""
        completions, limit = config.questions * config.samples, self.generation.student_max_new_tokens
        padded = completions * (self.student_prompt + length.decoding_steps(limit, completions))
        passes = self.speed.forward((1 + config.gradient_checkpointing) * padded) + self.speed.backward(padded)
        steps = config.optimizer_steps * self.speed.optimizer_step()
        return Work(trained=completions * length.tokens(limit), seconds=passes + steps)

    def self_play_questions(self, config: SerlConfig, rounds: float, prompt: float, length: Length) -> Work:
        """SeRL: `rounds` of prompts for questions."""
        return self._draw(config.prompts_per_round, prompt, length, config.max_new_tokens).times(rounds)

    def files(self, number: float) -> Work:
        """Reading or writing so many sets of weights."""
        return Work(seconds=number * self.weights / self.speed.disk_bandwidth)

    def _draw(self, completions: float, prompt: float, length: Length, limit: int, batch: int | None = None) -> Work:
        tokens = length.tokens(limit)
        seconds = self.speed.prefill(completions * prompt)
        context = prompt + tokens / 2
        for sequences, batches in _batches(completions, batch or self.generation.batch_size):
            # vLLM gives a place that falls free to the next completion, so no batch waits for its longest.
            waits = self.engine != "vllm"
            steps = length.decoding_steps(limit, max(1, round(sequences))) if waits else tokens
            seconds += batches * steps * self.speed.decoding_step(sequences, context)
        return Work(generated=completions * tokens, seconds=seconds)

    def _grade(self, completions: float) -> Work:
        return Work(seconds=completions * self.speed.grading / self.grading.workers)

    def _update(
        self, config: RLOOConfig, rollouts: int, prompt: float, length: Length, limit: int, one_pass: bool = False
    ) -> Work:
        """Log-probabilities (old, reference, current), backward and AdamW; padded to the longest completion.

        one_pass: the old ones are the current ones.
        """
        padded = rollouts * (prompt + length.decoding_steps(limit, rollouts))
        forwards = 2 - one_pass + (config.kl_coefficient > 0) + config.gradient_checkpointing
        seconds = self.speed.forward(forwards * padded) + self.speed.backward(padded) + self.speed.optimizer_step()
        return Work(trained=rollouts * length.tokens(limit), seconds=seconds)


def _batches(completions: float, size: int) -> Iterator[tuple[float, float]]:
    """(sequences, how many such batches): full ones, and the rest."""
    full, rest = divmod(completions, size)
    if full:
        yield size, full
    if rest > 1e-9:
        yield rest, 1


def draw_rounds(count: int, acceptance: float, max_draws: int) -> list[float]:
    """Draws per round until `count` are accepted, every round accepting its expected share (soar/questions.py)."""
    rounds: list[float] = []
    accepted = 0.0
    while count - accepted > 0.5 and sum(rounds) < count * max_draws:
        seen = (accepted + 1) / (sum(rounds) + 1) if rounds else 1.0
        draws = min(round((count - accepted) / seen) + 1, 4 * count)
        rounds.append(draws)
        accepted += acceptance * draws
    return rounds


def parquet_bytes(completions: float, tokens: float) -> float:
    """Size of a file of so many completions of `tokens` tokens in all."""
    return completions * BYTES_PER_ROW + tokens * BYTES_PER_TOKEN
