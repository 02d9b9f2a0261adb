# Helpers about configuration, paths and wildcards; pure, and without rules.

import re
import shlex

from soar_pipeline import slices
from soar_pipeline.reporting.selection import READS, Selection
from soar_pipeline.reporting.table_names import TITLES, table_names

PAPER_TABLES = tuple(TITLES)
LONG_TABLES = ("passk", "sizes", "vendi", "runs", "taxonomy")


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
    several = asked.ray_nodes > 1
    return {
        "gpu": 0 if several else asked.gpu,
        "mem_mb": asked.mem_mb,
        "runtime": asked.runtime,
        "nodes": max(1, asked.ray_nodes),
        "workers": CONFIG.processes_of(rule),
        "ray_nodes": asked.ray_nodes,
        "sharding": asked.sharding,
        "gpus_per_node": asked.gpu,
        "report_to": ",".join(CONFIG.tracking.report_to) or "none",
    } | (several_nodes(asked) if several else {})


def several_nodes(asked):
    """What Slurm's executor needs for one task on each of several whole nodes, which the rule's shell starts with srun."""
    gres = {"gres": f"gpu:{asked.gpu}", "tasks_per_gpu": 0} if asked.gpu else {}
    return gres | {
        "mpi": "srun",
        "tasks": asked.ray_nodes,
        "cpus_per_task": asked.threads,
        "slurm_extra": "--exclusive",
    }


def launcher_of(rule):
    """What the command of the rule's shell is started with: on several nodes, srun and Ray; else nothing.

    Who has Ray's token can run code as this user: each job has a new one, and only in its environment.
    """
    if CONFIG.resources_of(rule).ray_nodes <= 1:
        return ""
    script = shlex.quote(str(PROJECT / "workflow" / "scripts" / "over_ray.sh"))
    return (
        "RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex())')"
        " {resources.mpi} --nodes={resources.nodes} --ntasks-per-node=1 --cpus-per-task={resources.cpus_per_task}"
        f" --kill-on-bad-exit=1 bash {script} {{resources.cpus_per_task}} {{resources.gpus_per_node}} "
    )


def python_of(rule):
    """What runs the module of the rule's stage: Python, or torchrun, which starts it in several processes at once.

    A port of its own for each job (`--standalone`): several may run on one node. `--` ends torchrun's own options, or it
    would take the stage's `--log` for one of them.
    """
    if CONFIG.processes_of(rule) <= 1:
        return "python -m"
    return "python -m torch.distributed.run --standalone --nproc-per-node={resources.workers} -m --"


def threads_of(rule):
    return CONFIG.resources_of(rule).threads


def one_of(names):
    """A wildcard constraint: one of the names, or nothing at all where there is none."""
    return "|".join(names) or "(?!)"


def arms_with(*policies):
    return [name for name, arm in CONFIG.arms.items() if arm.policy in policies]


def question_arms(*sources):
    """Arms whose extra questions come from one of the sources (none named: from any)."""
    return [
        name
        for name, arm in CONFIG.arms.items()
        if arm.questions and (not sources or arm.questions.source in sources)
    ]


def for_datasets(pattern):
    return expand(pattern, dataset=CONFIG.datasets)


def for_shards(pattern):
    """The dataset stays a wildcard where the pattern has it."""
    return expand(pattern, shard=range(CONFIG.filter.shards), allow_missing=True)


def for_soar_runs(pattern):
    return [
        path
        for dataset, objective, seed in CONFIG.soar_runs()
        for path in expand(
            pattern, dataset=dataset, objective=objective, teacher_seed=seed
        )
    ]


def for_question_sets(pattern, arms):
    """One path per question set of the arms."""
    return [
        path
        for arm in arms
        for path in expand(
            pattern,
            dataset=CONFIG.datasets_of(arm),
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
            dataset=CONFIG.datasets_of(arm),
            arm=arm,
            teacher_seed=CONFIG.teacher_seeds(arm),
            student_seed=CONFIG.student_seeds(arm),
        )
    ]


def soar_run_of(wildcards, name):
    """A file or folder of the SOAR run that an arm builds on."""
    arm = CONFIG.arms[wildcards.arm]
    dataset = arm.transfer_from or wildcards.dataset
    return f"<run>/{dataset}/soar/{arm.soar_objective}/t{wildcards.teacher_seed}/{name}"


def base_model_of(wildcards):
    return f"<run>/models/{CONFIG.datasets[wildcards.dataset].model}"


def model_folder(wildcards):
    """What a base model is made from, where that is a folder here."""
    model = CONFIG.models[wildcards.model]
    return model.path if model.source == "folder" else []


def pool_file(wildcards):
    """The local file of a pool, if it has one."""
    pools = CONFIG.pools | CONFIG.datasets
    return pools[wildcards.pool].path or []


def policy_of(wildcards):
    """The model that writes an arm's questions, or that answers in an inference arm."""
    arm = CONFIG.arms[wildcards.arm]
    if arm.soar_objective is None:
        return base_model_of(wildcards)
    return soar_run_of(
        wildcards, "student" if arm.policy == "promoted_student" else "teacher"
    )


def promotions_of(wildcards):
    """What says whether there is a promoted student; nothing for the other policies."""
    promoted = CONFIG.arms[wildcards.arm].policy == "promoted_student"
    return soar_run_of(wildcards, "promotions.parquet") if promoted else []


def student_run_of(wildcards, name):
    """A file of the training that an arm's evaluation is selected from."""
    seeds = f"t{wildcards.teacher_seed}-s{wildcards.student_seed}"
    if CONFIG.arms[wildcards.arm].policy == "serl":
        return f"<run>/{wildcards.dataset}/serl/s{wildcards.student_seed}/{name}"
    return f"<run>/{wildcards.dataset}/students/{wildcards.arm}/{seeds}/{name}"


def judged_of(wildcards, folder):
    """The questions, or their verdicts, that a judged arm chooses from."""
    arm = CONFIG.arms[wildcards.arm].questions.arm
    return f"<run>/{wildcards.dataset}/{folder}/{arm}/t{wildcards.teacher_seed}.parquet"


def judging_model(wildcards):
    """The model folder of a local judge; nothing for the others."""
    judge = CONFIG.taxonomy.judge
    local = judge is not None and judge.kind == "local"
    return f"<run>/models/{judge.model}" if local else []


def questions_of(wildcards):
    """The extra questions of a fresh student, if its arm has any."""
    if CONFIG.arms[wildcards.arm].questions is None:
        return []
    return f"<run>/{wildcards.dataset}/questions/{wildcards.arm}/t{wildcards.teacher_seed}.parquet"


def figure_reads(what, files):
    """An input function: the files for figures whose kind reads `what`, of what the figure shows; else none."""

    def chosen(wildcards):
        shown = Selection(CONFIG, wildcards.figure)
        return files(shown) if what in READS[shown.figure.kind] else []

    return chosen


def curves_of(shown):
    """The learning curves of a figure's arms; those that report SeRL share its curves."""
    arms = [
        name
        for name, arm in shown.trained_arms.items()
        if arm.policy == "fresh_student"
    ]
    paths = for_students(
        "<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/curve.parquet",
        arms,
    )
    for name, arm in shown.trained_arms.items():
        if arm.policy == "serl":
            paths += expand(
                "<run>/{dataset}/serl/s{student_seed}/curve.parquet",
                dataset=CONFIG.datasets_of(name),
                student_seed=CONFIG.student_seeds(name),
            )
    wanted = tuple(f"<run>/{dataset}/" for dataset in shown.datasets)
    return [path for path in dict.fromkeys(paths) if path.startswith(wanted)]


def soar_files_of(name):
    """A file of every SOAR run that a figure shows."""
    return lambda shown: [
        f"<run>/{dataset}/soar/{objective}/t{seed}/{name}"
        for dataset, objective, seed in shown.soar_runs
    ]


def caption_of(figure):
    """What a figure shows, as text: its heading, and what its kind is."""
    settings = CONFIG.figures[figure]
    text = Path(shipped(f"workflow/report/{settings.kind}.rst")).read_text().strip()
    return f"{settings.title}. {text}" if settings.title else text


def beside(name, of):
    """A params function: a path beside the output `of` that is not an output: it survives a failed job."""

    def path(wildcards, output):
        return os.path.join(os.path.dirname(output[of]), name)

    return path


def shipped(path):
    """A file that comes with the project, unless the working directory has its own."""
    return find(path, PROJECT)
