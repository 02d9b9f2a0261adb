"""SOAR: a language model writes itself a curriculum and is rewarded by its student's measured progress.

snakemake --cores all                                       the toy task (config/config.yaml)
snakemake --cores all --configfile config/smoke.yaml        another run
snakemake --cores 1 results/toy/shuffles/hard.parquet  one file and what it needs (files before --configfile)
"""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

from soar_pipeline.config import ConfigError, Plan, read_yaml, validate
from soar_pipeline.config.own_functions import check_import, own_functions
from soar_pipeline.config.packages import check_packages
from soar_pipeline.config.paths import PROJECT, find, resolve_paths
from soar_pipeline.fork_server import SOCKET

min_version("9.27")

# Snakemake would merge `--configfile` into this one; here every configuration is whole in itself.
if not workflow.overwrite_configfiles:

    configfile: PROJECT / "config" / "config.yaml"


include: "workflow/rules/common.smk"


CONFIG = validated(config)
PLAN = Plan(CONFIG)
SETTINGS = SettingsFiles(CONFIG, Path(CONFIG.results, CONFIG.run, "settings"))

# A dry run tells in time which jobs will not finish within their `runtime`, and what is not installed here. It may plan
# a run for another machine, so it only warns.
if workflow.output_settings.dryrun:
    from soar_pipeline.cost.estimate import long_jobs

    check_own_files()
    for line in [*long_jobs(CONFIG, PROJECT), *missing_packages()]:
        logger.warning(line)

# The rules' `conda:` says what software they need; run Snakemake inside that environment, not with `--sdm conda`.
# Stages run in the interpreter that runs Snakemake (`.venv/bin/snakemake` needs no activated environment), and from the
# package that was imported above: in a clone it lies beside this file, wherever the working directory is.
os.environ.update(
    PATH=f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
    PYTHONPATH=f"{PROJECT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
)

# What runs the module of a stage: a fork server, if `soar-pipeline run` has started one.
PYTHON = "python -m soar_pipeline.fork_server" if SOCKET in os.environ else "python -m"


pathvars:
    run=f"{CONFIG.results}/{CONFIG.run}",
    logs=f"logs/{CONFIG.run}",


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
    sample_pool_questions,
    keep_judged_questions,
    write_schedule,
    select_evaluation,
    estimate_passk,
    make_tables,
    plot_figure,
    write_report,


rule all:
    default_target: True
    input:
        "<run>/report.html",
        "<run>/finding.txt",
        "<run>/provenance.json",
        "<run>/passk.parquet",
        "<run>/diversity.parquet",
        expand("<run>/tables/{name}.csv", name=LONG_TABLES),
        expand(
            "<run>/tables/{name}.{kind}", name=table_names(CONFIG), kind=["csv", "md"]
        ),
        expand("<run>/figures/{name}.{kind}", name=CONFIG.figures, kind=["svg", "png"]),
        # What README and docs tell readers to open; weights may be removed.
        each(
            PLAN.datasets,
            "<run>/{dataset}/{file}.parquet",
            file=["problems", "hard", "hard_audit", "train", "test"],
        ),
        each(
            PLAN.soar_runs,
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/{file}.parquet",
            file=["steps", "questions", "students", "promotions"],
        ),
        each(
            PLAN.question_sets,
            "<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
        ),
        each(
            PLAN.fresh_students,
            "<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/{file}.parquet",
            file=["curve", "test_attempts"],
        ),
        each(
            PLAN.evaluations,
            "<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
        ),


include: "workflow/rules/stage.smk"
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


check_resource_names()


# Not in the processes that Snakemake starts for jobs.
if workflow.is_main_process:
    check_hints()
    FOUND = marked()


onstart:
    check_own_files()
    check_planned_packages({job.rule.name for job in workflow.dag.needrun_jobs()})
    check_inputs(workflow.dag.needrun_jobs())


onsuccess:
    end_timers()


onerror:
    end_timers()
