"""The report of a run: report.html, the finding as text, and provenance.json."""

import json
import logging
from pathlib import Path

from soar_pipeline.artifact_paths import dataset_of, student_run, teacher_run
from soar_pipeline.artifacts import ATTEMPTS, EVALUATION, QUESTIONS, STEPS, read_rows, write_text
from soar_pipeline.reporting import page
from soar_pipeline.reporting.long_tables import read_tables
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.record import AttemptCounts, attempt_counts, provenance, rule_costs
from soar_pipeline.reporting.sampled_questions import sampled_questions
from soar_pipeline.slices import ReportSlice
from soar_pipeline.stages.command import run_stage

log = logging.getLogger(__name__)


def write_report(
    config: ReportSlice,
    passk_table: Path,
    sizes_table: Path,
    vendi_table: Path,
    runs_table: Path,
    taxonomy_table: Path,
    paper: list[Path],
    figures: list[Path],
    captions: list[Path],
    steps: list[Path],
    questions: list[Path],
    attempts: list[Path],
    evaluations: list[Path],
    benchmarks: Path,
    report: Path,
    finding: Path,
    provenance_file: Path,
) -> None:
    """`figures` are the SVG files; `questions` those of the SOAR runs; `benchmarks` a folder that need not exist."""
    whole = config.config
    tables = read_tables(passk_table, sizes_table, vendi_table, runs_table, taxonomy_table)
    taken = {teacher_run(path): read_rows(path, STEPS) for path in steps}
    asked = {teacher_run(path): path for path in questions}
    first_seeds = [run for run in sorted(asked) if run.teacher_seed == min(seed for *_, seed in asked)]
    samples = {
        run: sampled_questions(whole, run, taken[run], read_rows(asked[run], QUESTIONS), whole.report.sample_questions)
        for run in first_seeds
    }
    counts = _counts(list(whole.datasets), attempts, evaluations)
    html = page.render(
        whole, tables, read_paper(whole, paper), figures, captions, samples, counts, rule_costs(benchmarks)
    )
    write_text(report, html)
    found = "\n".join(page.findings(whole, tables))
    write_text(finding, found + "\n")
    long = [passk_table, sizes_table, vendi_table, runs_table, taxonomy_table]
    inputs = [*long, *steps, *questions, *attempts, *evaluations]
    write_text(provenance_file, json.dumps(provenance(whole, inputs), indent=2, sort_keys=True) + "\n")
    log.info("%s", report)
    print(found)


def _counts(datasets: list[str], attempts: list[Path], evaluations: list[Path]) -> list[AttemptCounts]:
    counts = []
    for dataset in datasets:
        drawn = [path for path in attempts if dataset_of(path) == dataset]
        tested = [path for path in evaluations if student_run(path).dataset == dataset]
        counts.append(attempt_counts(f"{dataset}: filter", drawn, ATTEMPTS))
        counts.append(attempt_counts(f"{dataset}: evaluation on test", tested, EVALUATION))
    return counts


if __name__ == "__main__":
    run_stage(write_report)
