"""SOAR: a language model writes itself a curriculum and is rewarded by its student's measured progress.

snakemake --cores all                                       the embedded world (config/config.yaml)
snakemake --cores all --configfile config/smoke.yaml        another run
snakemake --cores 1 results/embedded/shuffles/hard.parquet  one file and what it needs (files before --configfile)
"""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

from soar_pipeline.config import ConfigError, validate
from soar_pipeline.located import find, located

min_version("9.27")

PROJECT = Path(workflow.basedir)

# Snakemake would merge `--configfile` into this one; here every configuration is whole in itself.
if not workflow.overwrite_configfiles:

    configfile: PROJECT / "config" / "config.yaml"


include: "workflow/rules/common.smk"


CONFIG = validated(config)

# The rules' `conda:` says what software they need; run Snakemake inside that environment, not with `--sdm conda`.
# Stages run in the interpreter that runs Snakemake (`.venv/bin/snakemake` needs no activated environment), and from the
# package beside this file, wherever the working directory is.
os.environ.update(
    PATH=f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
    PYTHONPATH=f"{PROJECT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
)


pathvars:
    run=f"{CONFIG.results}/{CONFIG.run}",
    logs=f"logs/{CONFIG.run}",
    benchmarks="<run>/benchmarks",


wildcard_constraints:
    dataset=one_of(CONFIG.datasets),
    pool=one_of([*CONFIG.datasets, *CONFIG.pools]),
    model=one_of(CONFIG.models),
    objective=one_of(CONFIG.objectives),
    arm=one_of(CONFIG.arms),
    figure=one_of(CONFIG.figures),
    teacher_seed=r"\d+",
    student_seed=r"\d+",
    shard=r"\d+",


report: "workflow/report/workflow.rst"


localrules:
    all,
    filter_hard,
    split_hard,
    extract_promotion_questions,
    draw_pool_questions,
    keep_judged_questions,
    write_schedule,
    select_evaluation,
    estimate_passk,
    make_tables,
    shape_tables,
    draw_figure,
    write_report,


rule all:
    default_target: True
    input:
        "<run>/report.html",
        "<run>/finding.txt",
        "<run>/provenance.json",
        expand("<run>/tables/{name}.md", name=table_names(CONFIG)),


include: "workflow/rules/base_model.smk"
include: "workflow/rules/problems.smk"
include: "workflow/rules/filter.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/soar.smk"
include: "workflow/rules/questions.smk"
include: "workflow/rules/students.smk"
include: "workflow/rules/serl.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/diversity.smk"
include: "workflow/rules/taxonomy.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
