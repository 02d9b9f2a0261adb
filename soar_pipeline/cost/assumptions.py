"""What nobody knows before a run and the result depends on: lengths, acceptance, promotions, solve rates."""

from dataclasses import dataclass
from functools import lru_cache

from pydantic import Field, ValidationError

from soar_pipeline.config import ConfigError, Section, readable
from soar_pipeline.cost.speed import Measured


class Assumptions(Section):
    """Each is an option of the command; what is not given is measured (throughput file) or the default here."""

    base_length: float = Field(
        0.4, gt=0, le=1, description="mean completion of the untrained model on a hard problem, share of the limit"
    )
    student_length: float = Field(
        0.4, gt=0, le=1, description="mean completion of a student in and after training, share of the limit"
    )
    teacher_length: float = Field(
        0.4, gt=0, le=1, description="mean completion of a teacher (a question), share of the limit"
    )
    question_tokens: int = Field(100, ge=1, description="tokens of a question; the prompt around it: characters / 4")
    acceptance: float = Field(0.5, gt=0, le=1, description="share of a teacher's completions that are usable questions")
    promotions: int = Field(
        3, ge=0, description="promotions per SOAR run with promotion, evenly spaced over it; the paper saw at most 4"
    )
    serl_kept: float = Field(
        0.5, gt=0, le=1, description="SeRL: share of its questions whose majority is neither too small nor too large"
    )
    serl_list: float = Field(4, gt=0, description="SeRL: usable questions of one continued list")
    solve_rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="mean solve rate of the base model; none: resources/throughput/pools.yaml",
    )
    hard_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of a pool that 128 samples do not solve; none: as above",
    )


@dataclass(frozen=True)
class Length:
    """How long completions are, in shares of the token limit: the mean and, where measured, a batch's longest."""

    mean: float
    longest: float | None = None

    def tokens(self, limit: int) -> float:
        """Mean tokens of a completion."""
        return max(1.0, self.mean * limit)

    def decoding_steps(self, limit: int, batch: int) -> float:
        """Expected longest of `batch` completions: a batch is decoded until its last sequence ends.

        Where no longest was measured, lengths are taken as geometric (every token ends a completion with the same
        probability), cut off at the limit.
        """
        if self.longest is not None:
            return max(self.tokens(limit), self.longest * limit)
        return expected_longest(round(self.tokens(limit), 6), limit, batch)


@dataclass(frozen=True)
class Assumed:
    """The assumptions of an estimate, the lengths that follow, and where each comes from: default, measured, given."""

    values: Assumptions
    base: Length
    student: Length
    teacher: Length
    sources: dict[str, str]

    @classmethod
    def of(cls, given: dict[str, float], measured: Measured | None = None) -> "Assumed":
        """What was `given` as options first, else what was measured, else the default; ConfigError for a bad value."""
        observed = {} if measured is None else measured.observed
        try:
            values = Assumptions(**(observed | given))
        except ValidationError as error:
            raise ConfigError(f"assumptions: {readable(error)}") from None
        sources = {
            name: "given" if name in given else "measured" if name in observed else "default"
            for name in Assumptions.model_fields
        }

        def length(name: str, longest: float | None) -> Length:
            return Length(getattr(values, name), longest if sources[name] == "measured" else None)

        return cls(
            values,
            base=length("base_length", measured and measured.base_longest),
            student=length("student_length", None),
            teacher=length("teacher_length", measured and measured.teacher_longest),
            sources=sources,
        )


@lru_cache(maxsize=4096)
def expected_longest(mean: float, limit: int, batch: int) -> float:
    """Expected maximum of `batch` geometric lengths (1, 2, …) cut off at `limit`, whose mean is `mean` tokens."""
    stop = _stop_probability(mean, limit)
    # E[max] is the sum over t of the probability that some sequence is longer than t.
    return sum(1 - (1 - (1 - stop) ** t) ** batch for t in range(limit))


def _stop_probability(mean: float, limit: int) -> float:
    """q with (1 − (1 − q)^limit) / q = mean: the mean of a geometric length cut off at `limit`."""
    if mean >= limit:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        cut_mean = (1 - (1 - middle) ** limit) / middle
        low, high = (middle, high) if cut_mean > mean else (low, middle)
    return high
