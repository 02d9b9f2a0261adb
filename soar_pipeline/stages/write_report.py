"""The report of a run: report.html, the finding as text, and provenance.json."""

import json
import logging

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.leftovers import lines_about, stray_files
from soar_pipeline.artifacts.schemas import (
    ATTEMPTS,
    EVALUATION,
    HARD_AUDIT,
    PASSK,
    SOAR_QUESTIONS,
    SOAR_TAXONOMY,
    STEPS,
)
from soar_pipeline.config import Plan, Settings
from soar_pipeline.reporting import page
from soar_pipeline.reporting.frames import by_soar_run, read_frame
from soar_pipeline.reporting.long_tables import read_tables
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.record import attempt_counts, provenance, rule_costs
from soar_pipeline.reporting.sampled_questions import asked_by_step
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage

log = logging.getLogger(__name__)


def write_report(
    settings: Settings,
    long: Inputs,
    passk: Input,
    paper: Inputs,
    figures: Inputs,
    captions: Inputs,
    steps: Inputs,
    questions: Inputs,
    verdicts: Inputs,
    audits: Inputs,
    attempts: Inputs,
    evaluations: Inputs,
    report: Output,
    finding: Output,
    provenance_file: Output,
) -> None:
    """Write the page, and beside it what it says first.

    long: the long tables; figures: the SVG files; questions, verdicts: those of the SOAR runs; audits: of the hard
    problems. What the jobs took is read from the folder `benchmarks` beside `report`, which every job adds to.
    """
    config, tables = settings.config, read_tables(long)
    steps_of = dict(by_soar_run(read_frame(steps, STEPS)))
    judged = read_frame(verdicts, SOAR_TAXONOMY)
    # The questions of one teacher seed are enough for a reader.
    first_seed = min((run.teacher_seed for run in steps_of), default=None)
    questions_of = dict(by_soar_run(read_frame(questions, SOAR_QUESTIONS)))
    asked = {
        run: asked_by_step(config, run, steps_of[run], questions_of[run], judged)
        for run in Plan(config).soar_runs
        if run.teacher_seed == first_seed and run in questions_of
    }
    frames = page.RunFrames(
        passk=read_frame([passk], PASSK),
        audit=read_frame(audits, HARD_AUDIT),
        counts={
            "filter": attempt_counts(attempts, ATTEMPTS),
            "evaluation on test": attempt_counts(evaluations, EVALUATION),
        },
        costs=rule_costs(report.parent / "benchmarks"),
    )
    # Said here and not only at the start of a run: who reads the report may not have made it.
    strays = lines_about(stray_files(report.parent, Plan(config)))
    html = page.render(config, tables, read_paper(config, paper), figures, captions, asked, frames, strays)
    write_text(report, html)
    text = "\n".join(page.findings(config, tables))
    write_text(finding, text + "\n")
    record = provenance(config, [*long, passk, *steps, *questions, *verdicts, *audits, *attempts, *evaluations])
    write_text(provenance_file, json.dumps(record, indent=2) + "\n")
    log.info("%s", report)
    print(text)


if __name__ == "__main__":
    run_stage(write_report)
