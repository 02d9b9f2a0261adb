"""The HTML report: one file that opens offline and asks for nothing."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from soar_pipeline.config import Config, SoarRun
from soar_pipeline.reporting.composition import CLASS_LOOKS
from soar_pipeline.reporting.distrust import checks, remarks
from soar_pipeline.reporting.durations import duration
from soar_pipeline.reporting.finding import finding, rows_at_largest_k, seeds_of
from soar_pipeline.reporting.first_screen import headline, intervals, ticks, what_ran
from soar_pipeline.reporting.frames import rows
from soar_pipeline.reporting.long_tables import CATEGORIES, Tables
from soar_pipeline.reporting.paper import PaperFigures
from soar_pipeline.reporting.paper_tables import BLANK, paper_tables
from soar_pipeline.reporting.record import versions
from soar_pipeline.reporting.sampled_questions import AskedInStep

# Which part of the page shows a kind of figure; the order within a part is the configuration's.
SECTIONS = {
    "passk": ("improvement", "bars", "sweep"),
    "curves": ("learning_curves", "seed_curves"),
    "teacher": (
        "teacher_overview",
        "question_composition",
        "teacher_reward",
        "baseline_accuracy",
        "question_difficulty",
    ),
    "diversity": ("diversity",),
    "questions": ("question_evolution",),
}
_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


@dataclass(frozen=True)
class Shown:
    """A figure on the page: its address, what it shows in words, heading and caption."""

    source: str
    words: str
    title: str
    caption: str


@dataclass(frozen=True)
class RunFrames:
    """What the page shows beside the long tables.

    passk: rows of PASSK; audit: of HARD_AUDIT; counts: `attempt_counts` by the name of a stage; costs: `rule_costs`.
    """

    passk: pd.DataFrame
    audit: pd.DataFrame
    counts: Mapping[str, pd.DataFrame]
    costs: pd.DataFrame


def findings(config: Config, tables: Tables) -> list[str]:
    """The finding of every dataset."""
    return [finding(config, dataset, tables) for dataset in config.datasets]


def render(
    config: Config,
    tables: Tables,
    paper: PaperFigures,
    figures: list[Path],
    captions: list[Path],
    asked: Mapping[SoarRun, list[AskedInStep]],
    frames: RunFrames,
    files: Sequence[str] = (),
) -> str:
    """The page; figures are SVG files by name, captions text files by kind of figure or name of table.

    asked: the outer steps of SOAR runs with sampled questions; files: a line for each artifact that was edited or made
    elsewhere, and for each leftover.
    """
    texts = {caption.stem: caption.read_text(encoding="utf-8").strip() for caption in captions}
    svgs = {figure.stem: figure for figure in figures}
    of_arms = intervals(config, tables, frames.passk)
    at_largest_k = {dataset: rows_at_largest_k(config, dataset, tables.passk) for dataset in config.datasets}
    in_sight = {one.kind for steps in asked.values() for step in steps for one in step.questions}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            config=config,
            findings=findings(config, tables),
            intervals=of_arms,
            headlines={name: headline(config, here, at_largest_k[name]) for name, here in of_arms.items()},
            ticks=ticks(of_arms),
            what_ran=what_ran(config, tables, frames.costs),
            checks=checks(config, tables, frames.passk, frames.audit, frames.counts, files),
            remarks=remarks(config, tables.passk),
            tables={field.name: rows(getattr(tables, field.name)) for field in fields(tables)},
            paper_tables=paper_tables(config, tables, paper),
            blank=BLANK,
            sections={
                section: [
                    _shown(svgs[name], figure.title, texts[figure.kind])
                    for kind in kinds
                    for name, figure in config.figures.items()
                    if figure.kind == kind
                ]
                for section, kinds in SECTIONS.items()
            },
            categories=CATEGORIES,
            captions=texts,
            asked=asked,
            looks=CLASS_LOOKS,
            numbers={name: number for number, name in enumerate(CLASS_LOOKS, start=1)},
            kinds=[name for name in CLASS_LOOKS if name in in_sight],
            disputed=frames.audit["dataset"].value_counts().to_dict(),
            counts=[
                (f"{dataset}: {stage}", frame.reindex([dataset], fill_value=0).iloc[0])
                for dataset in config.datasets
                for stage, frame in frames.counts.items()
            ],
            costs=rows(frames.costs),
            versions=versions(),
            resolved=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100),
        )
    )


@cache
def environment() -> Environment:
    """The templates of this room; whatever they are given is escaped."""
    made = Environment(
        loader=PackageLoader("soar_pipeline.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"duration": duration, "seeds_of": seeds_of}
    return made


def _shown(svg: Path, title: str, caption: str) -> Shown:
    # As an image, not inline: its ids cannot meet those of another figure, and nothing in it can run.
    content = svg.read_bytes()
    source = "data:image/svg+xml;base64," + base64.b64encode(content).decode()
    description = next(ElementTree.fromstring(content).iter(_DESCRIPTION), None)
    words = "" if description is None else description.text or ""
    return Shown(source, words, title, caption)
