"""The HTML report: one file that opens offline and asks for nothing."""

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from soar_pipeline.artifact_paths import TeacherRun
from soar_pipeline.config import Config
from soar_pipeline.reporting.finding import finding, notes, seeds_of
from soar_pipeline.reporting.long_tables import Tables
from soar_pipeline.reporting.paper import PaperFigures
from soar_pipeline.reporting.paper_tables import paper_tables
from soar_pipeline.reporting.record import AttemptCounts, RuleCost, versions
from soar_pipeline.reporting.sampled_questions import SampledQuestion
from soar_pipeline.reporting.table_files import BLANK, shown
from soar_pipeline.reporting.tables import PasskRow

# Which part of the page shows a kind of figure; the order within a part is the configuration's.
SECTIONS = {
    "passk": ("improvement", "bars", "sweep"),
    "curves": ("learning_curves", "seed_curves"),
    "teacher": ("teacher_reward", "baseline_accuracy", "question_difficulty"),
    "diversity": ("diversity",),
    "questions": ("question_evolution",),
}


def findings(config: Config, tables: Tables) -> list[str]:
    """The finding of every dataset."""
    return [finding(config, dataset, tables.passk, tables.sizes, tables.runs) for dataset in config.datasets]


def render(
    config: Config,
    tables: Tables,
    paper: PaperFigures,
    figures: list[Path],
    captions: list[Path],
    samples: Mapping[TeacherRun, dict[int, list[SampledQuestion]]],
    counts: list[AttemptCounts],
    costs: list[RuleCost],
) -> str:
    """The page; figures are SVG files by name, captions text files by kind of figure or name of table."""
    return _template().render(
        config=config,
        findings=findings(config, tables),
        notes=notes(config, tables.passk, tables.runs),
        tables=tables,
        paper_tables=paper_tables(config, tables, paper),
        blank=BLANK,
        shown=shown,
        sections={
            section: [name for name, figure in config.figures.items() if figure.kind in kinds]
            for section, kinds in SECTIONS.items()
        },
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


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("soar_pipeline.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "seeds_of": seeds_of}
    return environment.get_template("report.html.j2")


def _scale(config: Config, passk: list[PasskRow]) -> float:
    """Right end of the interval plots in percent: the next multiple of ten above everything at the largest k."""
    ends = [row.interval_high_percent or row.mean_percent or 0.0 for row in passk if row.k == config.pass_at_k[-1]]
    return max(10.0, min(100.0, 10.0 * -(-max(ends) // 10)))


def _data_uri(figure: Path) -> str:
    # As an image, not inline: its ids cannot meet those of another figure, and nothing in it can run.
    return "data:image/svg+xml;base64," + base64.b64encode(figure.read_bytes()).decode()
