"""Table 7: what a judge says of each arm's questions, beside the paper's figures. Percentages are in [0, 100]."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from soar_pipeline.artifact_paths import TeacherRun
from soar_pipeline.config import ArmConfig, Config
from soar_pipeline.evaluation.taxonomy import TaxonomyShares, cost, taxonomy_shares
from soar_pipeline.reporting.paper import PaperTaxonomy
from soar_pipeline.reporting.tables import Rows, promotion_status

# Column of the table -> category in the paper's file.
PAPER_CATEGORIES = {
    "paper_well_posed_percent": "well_posed_percent",
    "paper_correct_percent": "correct_percent",
    "paper_arithmetic_percent": "arithmetic_error_percent",
    "paper_logical_fallacy_percent": "logic_error_percent",
    "paper_ill_posed_percent": "impossibility_error_percent",
    "paper_ambiguous_percent": "ambiguity_error_percent",
}


@dataclass(frozen=True)
class TaxonomyRow:
    """Verdicts on one arm's questions (table 7).

    judged, unjudged: questions with and without a verdict; percentages are of the judged ones, over all question
    files of the arm, and their SDs between these files (empty for one). well posed = correct + arithmetic + logical
    fallacy. replies, tokens, cost: what the verdicts took, cached or not; cost is empty where the config gives no
    prices.
    """

    dataset: str
    arm: str
    label: str
    teacher_seeds: int
    judged: int
    unjudged: int
    well_posed_percent: float | None
    correct_percent: float | None
    arithmetic_percent: float | None
    logical_fallacy_percent: float | None
    ill_posed_percent: float | None
    ambiguous_percent: float | None
    well_posed_sd_percent: float | None
    correct_sd_percent: float | None
    arithmetic_sd_percent: float | None
    logical_fallacy_sd_percent: float | None
    ill_posed_sd_percent: float | None
    ambiguous_sd_percent: float | None
    replies: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    status: str
    paper_judged: int | None
    paper_well_posed_percent: float | None
    paper_correct_percent: float | None
    paper_arithmetic_percent: float | None
    paper_logical_fallacy_percent: float | None
    paper_ill_posed_percent: float | None
    paper_ambiguous_percent: float | None


def taxonomy_rows(
    config: Config, taxonomy: Rows, promotions: Mapping[TeacherRun, Rows], paper: PaperTaxonomy
) -> list[TaxonomyRow]:
    """One row per dataset and arm of `taxonomy.arms`, in the config's order; `taxonomy`: TAXONOMY rows of all files."""
    rows = []
    for dataset in config.datasets:
        for name, arm in config.arms_on(dataset).items():
            if name not in config.taxonomy.arms:
                continue
            found = [row for row in taxonomy if (row["dataset"], row["arm"]) == (dataset, name)]
            rows.append(
                TaxonomyRow(
                    dataset=dataset,
                    arm=name,
                    label=arm.label,
                    teacher_seeds=len(_teacher_seeds(found) - {0}),
                    **_figures(config, found),
                    status=promotion_status(arm, dataset, promotions),
                    **_paper_figures(arm, paper),
                )
            )
    return rows


def _figures(config: Config, rows: Rows) -> dict[str, Any]:
    shares = taxonomy_shares(rows)
    files = [taxonomy_shares([row for row in rows if row["teacher_seed"] == seed]) for seed in _teacher_seeds(rows)]
    by_file = [_percentages(file) for file in files if file.judged]
    return {
        "judged": shares.judged,
        "unjudged": shares.unjudged,
        **_percentages(shares),
        **{
            name.replace("_percent", "_sd_percent"): _sd([file[name] for file in by_file])
            for name in _percentages(shares)
        },
        "replies": shares.replies,
        "prompt_tokens": shares.prompt_tokens,
        "completion_tokens": shares.completion_tokens,
        "cost": cost(config.taxonomy.judge, shares),
    }


def _percentages(shares: TaxonomyShares) -> dict[str, float | None]:
    return {
        "well_posed_percent": _percent(shares.well_posed),
        "correct_percent": _percent(shares.correct),
        **{f"{kind}_percent": _percent(share) for kind, share in shares.errors.items() if kind != "none"},
    }


def _teacher_seeds(rows: Rows) -> set[int]:
    return {row["teacher_seed"] for row in rows}


def _sd(percentages: list[float]) -> float | None:
    return float(np.std(percentages, ddof=1)) if len(percentages) > 1 else None


def _paper_figures(arm: ArmConfig, paper: PaperTaxonomy) -> dict[str, Any]:
    """The paper's column for an arm, empty where it has none; it says `PQ` for SOAR-PQ."""
    figures = paper.get((arm.paper or "").removeprefix("SOAR-"), {})
    return {
        "paper_judged": int(figures["total_samples"]) if figures else None,
        **{column: figures.get(category) for column, category in PAPER_CATEGORIES.items()},
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share
