"""The tables of a run, beside the paper's figures (spec section 9). Percentages are in [0, 100]."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from soar_pipeline.artifact_paths import TeacherRun, dataset_of
from soar_pipeline.config import ArmConfig, Config
from soar_pipeline.evaluation.statistics import summarise
from soar_pipeline.reporting.paper import PaperFigures, paper_name

NO_PROMOTION = "no promotion"
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class PasskRow:
    """pass@k of one arm (tables 4–6).

    status: empty, "no promotion", or how many SOAR runs had none; teacher_seeds: 0 for arms without a teacher.
    """

    dataset: str
    arm: str
    label: str
    k: int
    mean_percent: float | None
    sd_percent: float | None
    interval_low_percent: float | None
    interval_high_percent: float | None
    interval_over: str
    teacher_seeds: int
    student_runs: int
    status: str
    paper: str
    paper_mean_percent: float | None
    paper_sd_percent: float | None


@dataclass(frozen=True)
class SizeRow:
    """Problems before and after the fail@k filter (table 2)."""

    dataset: str
    pool: int
    train: int
    test: int
    paper_dataset: str
    paper_pool: int | None
    paper_train: int | None
    paper_test: int | None


@dataclass(frozen=True)
class VendiRow:
    """Vendi score of one arm's questions (table 1).

    vendi_mean: over teacher seeds; vendi_sd: root mean square of their bootstrap SDs, as the paper's SD is over
    subsamples; teacher_sd: between teacher seeds.
    """

    dataset: str
    arm: str
    label: str
    teacher_seeds: int
    questions: int
    subsample: int | None
    vendi_mean: float | None
    vendi_sd: float | None
    teacher_sd: float | None
    status: str
    paper_vendi: float | None
    paper_sd: float | None


@dataclass(frozen=True)
class SoarRunRow:
    """One SOAR run. `train_accuracy_…`: the baseline student's greedy accuracy on train, at the start and at best."""

    dataset: str
    objective: str
    teacher_seed: int
    outer_steps: int
    steps_with_signal: int
    promotions: int
    promotion_questions: int
    train_accuracy_start_percent: float | None
    train_accuracy_best_percent: float | None
    mean_reward: float | None
    acceptance_rate: float | None
    seconds: float


def passk_rows(
    config: Config, passk: Rows, promotions: Mapping[TeacherRun, Rows], paper: PaperFigures
) -> list[PasskRow]:
    """One row per dataset, arm and k, in the config's order; an arm without any run has empty figures."""
    values: dict[tuple[str, str, int], dict[tuple[int, int], float]] = {}
    for row in passk:
        runs = values.setdefault((row["dataset"], row["arm"], row["k"]), {})
        runs[row["teacher_seed"], row["student_seed"]] = row["value"]
    rows = []
    for dataset in config.datasets:
        for name, arm in config.arms_on(dataset).items():
            status = promotion_status(arm, dataset, promotions)
            for k in config.pass_at_k:
                runs = values.get((dataset, name, k))
                summary = summarise(runs) if runs else None
                paper_mean, paper_sd = paper.passk_of(config, dataset, arm, k)
                rows.append(
                    PasskRow(
                        dataset=dataset,
                        arm=name,
                        label=arm.label,
                        k=k,
                        mean_percent=_percent(summary and summary.mean),
                        sd_percent=_percent(summary and summary.sd),
                        interval_low_percent=_percent(summary and summary.low),
                        interval_high_percent=_percent(summary and summary.high),
                        interval_over=summary.interval_over if summary else "",
                        teacher_seeds=summary.teacher_seeds if summary and config.nested_in_teachers(name) else 0,
                        student_runs=summary.runs if summary else 0,
                        status=status,
                        paper=arm.paper or "",
                        paper_mean_percent=paper_mean,
                        paper_sd_percent=paper_sd,
                    )
                )
    return rows


def promotion_status(arm: ArmConfig, dataset: str, promotions: Mapping[TeacherRun, Rows]) -> str:
    """Whether an arm that lives on promotions had any: "", "no promotion", or "1 of 4 SOAR runs had no promotion"."""
    if not arm.lives_on_promotions:
        return ""
    source = (arm.transfer_from or dataset, arm.soar_objective)
    runs = [rows for run, rows in promotions.items() if run[:2] == source]
    without = sum(not rows for rows in runs)
    if without == len(runs):
        return NO_PROMOTION
    return f"{without} of {len(runs)} SOAR runs had no promotion" if without else ""


def size_rows(
    config: Config, problems: list[Path], train: list[Path], test: list[Path], paper: PaperFigures
) -> list[SizeRow]:
    """One row per dataset; only row counts are read from the files."""
    pools, trains, tests = (_row_counts(paths) for paths in (problems, train, test))
    rows = []
    for dataset in config.datasets:
        paper_dataset = paper_name(config, dataset)
        paper_pool, paper_train, paper_test = paper.sizes.get(paper_dataset, (None, None, None))
        rows.append(
            SizeRow(
                dataset=dataset,
                pool=pools[dataset],
                train=trains[dataset],
                test=tests[dataset],
                paper_dataset=paper_dataset,
                paper_pool=paper_pool,
                paper_train=paper_train,
                paper_test=paper_test,
            )
        )
    return rows


def vendi_rows(
    config: Config, diversity: Rows, promotions: Mapping[TeacherRun, Rows], paper: PaperFigures
) -> list[VendiRow]:
    """One row per dataset and arm that has questions of its own, in the config's order."""
    rows = []
    for dataset in config.datasets:
        for name, arm in config.arms_on(dataset).items():
            if arm.questions is None:
                continue
            sets = [row for row in diversity if (row["dataset"], row["arm"]) == (dataset, name)]
            scored = [row for row in sets if row["vendi_mean"] is not None]
            means = [row["vendi_mean"] for row in scored]
            spreads = [row["vendi_sd"] for row in scored if row["vendi_sd"] is not None]
            paper_vendi, paper_sd = paper.vendi_of(config, dataset, arm)
            rows.append(
                VendiRow(
                    dataset=dataset,
                    arm=name,
                    label=arm.label,
                    teacher_seeds=len(scored),
                    questions=sum(row["questions"] for row in sets),
                    subsample=min((row["subsample"] for row in scored), default=None),
                    vendi_mean=float(np.mean(means)) if means else None,
                    vendi_sd=float(np.sqrt(np.mean(np.square(spreads)))) if spreads else None,
                    teacher_sd=float(np.std(means, ddof=1)) if len(means) > 1 else None,
                    status=promotion_status(arm, dataset, promotions),
                    paper_vendi=paper_vendi,
                    paper_sd=paper_sd,
                )
            )
    return rows


def soar_run_rows(
    config: Config, steps: Mapping[TeacherRun, Rows], promotions: Mapping[TeacherRun, Rows]
) -> list[SoarRunRow]:
    """One row per SOAR run, sorted by dataset, objective and seed."""
    rows = []
    for run in sorted(steps):
        taken, promoted = steps[run], promotions[run]
        accuracies = [row["baseline_train_accuracy"] for row in taken] + [row["train_accuracy"] for row in promoted]
        rows.append(
            SoarRunRow(
                dataset=run.dataset,
                objective=run.name,
                teacher_seed=run.teacher_seed,
                outer_steps=len(taken),
                steps_with_signal=sum(row["signal"] for row in taken),
                promotions=len(promoted),
                promotion_questions=len(promoted) * config.soar_of(run.dataset, run.name).questions_per_dataset,
                train_accuracy_start_percent=_percent(taken[0]["baseline_train_accuracy"]) if taken else None,
                train_accuracy_best_percent=_percent(max(accuracies, default=None)),
                mean_reward=float(np.mean([row["mean_reward"] for row in taken])) if taken else None,
                acceptance_rate=float(np.mean([row["acceptance_rate"] for row in taken])) if taken else None,
                seconds=sum(row["seconds"] for row in taken),
            )
        )
    return rows


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100.0 * fraction


def _row_counts(paths: list[Path]) -> dict[str, int]:
    return {dataset_of(path): pq.read_metadata(path).num_rows for path in paths}
