# Helpers about configuration, paths and wildcards; pure, and without rules.

import re

from soar_pipeline import slices

TABLES = ("passk", "sizes", "vendi", "runs")
FIGURES = (
    "learning_curves",
    "improvement",
    "teacher_reward",
    "baseline_accuracy",
    "question_difficulty",
    "diversity",
)


def validated(values):
    """The configuration with its files found, or one clear line that names file and key."""
    files = workflow.overwrite_configfiles or workflow.configfiles
    source = " + ".join(os.path.relpath(file) for file in files)
    if workflow.config_settings.config:
        source += " with --config"
    try:
        return located(validate(values, source), source, PROJECT)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def slice_of(section, *names):
    """A params function: the stage's slice of the configuration as JSON, for the wildcards `names`."""

    def as_json(wildcards):
        return section.of(
            CONFIG, *(wildcards[name] for name in names)
        ).model_dump_json()

    return as_json


def resources_of(rule):
    """What a job of the rule asks for, and what else may change without changing a result (no `params`, no rerun)."""
    asked = CONFIG.resources_of(rule)
    return {
        "gpu": asked.gpu,
        "mem_mb": asked.mem_mb,
        "runtime": asked.runtime,
        "workers": asked.workers,
        "report_to": ",".join(CONFIG.tracking.report_to) or "none",
    }


def threads_of(rule):
    return CONFIG.resources_of(rule).threads


def one_of(names):
    """A wildcard constraint: one of the names, or nothing at all where there is none."""
    return "|".join(names) or "(?!)"


def fresh_student_arms():
    return [name for name, arm in CONFIG.arms.items() if arm.policy == "fresh_student"]


def inference_arms():
    return [name for name, arm in CONFIG.arms.items() if arm.policy != "fresh_student"]


def question_arms(*sources):
    """Arms whose extra questions come from one of the sources."""
    return [
        name
        for name, arm in CONFIG.arms.items()
        if arm.questions and arm.questions.source in sources
    ]


def for_datasets(pattern):
    return expand(pattern, dataset=CONFIG.datasets)


def for_shards(pattern):
    """The dataset stays a wildcard where the pattern has it."""
    return expand(pattern, shard=range(CONFIG.filter.shards), allow_missing=True)


def for_soar_runs(pattern):
    seeds = range(1, CONFIG.seeds.teacher + 1)
    return expand(
        pattern,
        dataset=CONFIG.datasets,
        objective=CONFIG.objectives,
        teacher_seed=seeds,
    )


def for_question_sets(pattern):
    return [
        path
        for arm in question_arms("promotions", "teacher", "base_teacher")
        for path in expand(
            pattern,
            dataset=CONFIG.datasets,
            arm=arm,
            teacher_seed=CONFIG.teacher_seeds(arm),
        )
    ]


def for_students(pattern, arms):
    """One path per student run of the arms (teacher seed 0 where the arm has no teacher)."""
    return [
        path
        for arm in arms
        for path in expand(
            pattern,
            dataset=CONFIG.datasets,
            arm=arm,
            teacher_seed=CONFIG.teacher_seeds(arm),
            student_seed=CONFIG.student_seeds(arm),
        )
    ]


def soar_run_of(wildcards, name):
    """A file or folder of the SOAR run that an arm builds on."""
    objective = CONFIG.arms[wildcards.arm].soar_objective
    return (
        f"<run>/{wildcards.dataset}/soar/{objective}/t{wildcards.teacher_seed}/{name}"
    )


def policy_of(wildcards):
    """The model that writes an arm's questions, or that answers in an inference arm."""
    arm = CONFIG.arms[wildcards.arm]
    if arm.soar_objective is None:
        return "<run>/base_model"
    return soar_run_of(
        wildcards, "student" if arm.policy == "promoted_student" else "teacher"
    )


def promotions_of(wildcards):
    """What says whether there is a promoted student; nothing for the other policies."""
    promoted = CONFIG.arms[wildcards.arm].policy == "promoted_student"
    return soar_run_of(wildcards, "promotions.parquet") if promoted else []


def questions_of(wildcards):
    """The extra questions of a fresh student, if its arm has any."""
    if CONFIG.arms[wildcards.arm].questions is None:
        return []
    return f"<run>/{wildcards.dataset}/questions/{wildcards.arm}/t{wildcards.teacher_seed}.parquet"


def beside(name, of):
    """A params function: a path beside the output `of` that is not an output: it survives a failed job."""

    def path(wildcards, output):
        return os.path.join(os.path.dirname(output[of]), name)

    return path


def shipped(path):
    """A file that comes with the project, unless the working directory has its own."""
    return find(path, PROJECT)
