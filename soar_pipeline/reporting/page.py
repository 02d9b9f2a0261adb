"""The HTML report: one file that opens offline and asks for nothing."""

import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from soar_pipeline import seeds
from soar_pipeline.artifact_paths import TeacherRun
from soar_pipeline.config import Config
from soar_pipeline.reporting.finding import finding, notes, seeds_of
from soar_pipeline.reporting.question_profile import judge
from soar_pipeline.reporting.record import AttemptCounts, RuleCost, versions
from soar_pipeline.reporting.tables import PasskRow, SizeRow, SoarRunRow, VendiRow

LONGEST_TEXT = 700
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Tables:
    """The tables of a run, as `make_tables` wrote them."""

    passk: list[PasskRow]
    sizes: list[SizeRow]
    vendi: list[VendiRow]
    runs: list[SoarRunRow]


@dataclass(frozen=True)
class SampledQuestion:
    """A question as shown; verdict and difficulty only where the embedded world tells the truth."""

    outer_step: int
    question: str
    answer: str
    reward: float | None
    verdict: str | None
    difficulty: int | None


def findings(config: Config, tables: Tables) -> list[str]:
    """The finding of every dataset."""
    return [finding(config, dataset, tables.passk, tables.sizes, tables.runs) for dataset in config.datasets]


def sampled_questions(
    config: Config, run: TeacherRun, steps: Rows, questions: Rows
) -> dict[int, list[SampledQuestion]]:
    """Random questions of one SOAR run per stage (the number of promotions before the step), in order of steps."""
    stage_of = {row["outer_step"]: row["stage"] for row in steps}
    by_stage: dict[int, Rows] = {}
    for row in questions:
        by_stage.setdefault(stage_of[row["outer_step"]], []).append(row)
    rng = random.Random(seeds.derive(config.seed, "sampled questions", *run))
    exact = config.datasets[run.dataset].adapter == "digit_shuffles"
    sampled = {}
    for stage, rows in sorted(by_stage.items()):
        chosen = rng.sample(rows, min(len(rows), config.report.sample_questions))
        sampled[stage] = [_shown(row, exact) for row in sorted(chosen, key=lambda row: row["outer_step"])]
    return sampled


def render(
    config: Config,
    tables: Tables,
    figures: list[Path],
    captions: list[Path],
    samples: Mapping[TeacherRun, dict[int, list[SampledQuestion]]],
    counts: list[AttemptCounts],
    costs: list[RuleCost],
) -> str:
    """The page; figures are SVG files, captions the text files of the same stem."""
    environment = Environment(
        loader=PackageLoader("soar_pipeline.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "seeds_of": seeds_of}
    return environment.get_template("report.html.j2").render(
        config=config,
        findings=findings(config, tables),
        notes=notes(config, tables.passk, tables.runs),
        tables=tables,
        scale=_scale(config, tables.passk),
        figures={figure.stem: _data_uri(figure) for figure in figures},
        captions={caption.stem: caption.read_text(encoding="utf-8").strip() for caption in captions},
        samples=samples,
        counts=counts,
        costs=costs,
        versions=versions(),
        resolved=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100),
    )


def duration(seconds: float) -> str:
    """Seconds for a reader: `8.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _shown(row: dict[str, Any], exact: bool) -> SampledQuestion:
    judgement = judge(row["question"], row["answer"]) if exact else None
    return SampledQuestion(
        outer_step=row["outer_step"],
        question=_shortened(row["question"]),
        answer=_shortened(row["answer"]),
        reward=row["dataset_reward"],
        verdict=judgement.verdict if judgement else None,
        difficulty=judgement.difficulty if judgement else None,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def _scale(config: Config, passk: list[PasskRow]) -> float:
    """Right end of the interval plots in percent: the next multiple of ten above everything at the largest k."""
    ends = [row.interval_high_percent or row.mean_percent or 0.0 for row in passk if row.k == config.pass_at_k[-1]]
    return max(10.0, min(100.0, 10.0 * -(-max(ends) // 10)))


def _data_uri(figure: Path) -> str:
    # As an image, not inline: its ids cannot meet those of another figure, and nothing in it can run.
    return "data:image/svg+xml;base64," + base64.b64encode(figure.read_bytes()).decode()
