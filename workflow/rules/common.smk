# Helpers about configuration, paths and wildcards; without rules.


import shlex
import threading

from soar_pipeline.artifacts.due_jobs import JobFiles, mark
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.artifacts.leftovers import EDITED, lines_about, stray_files
from soar_pipeline.artifacts.settings_files import SettingsFiles
from soar_pipeline.config.stages import STAGES
from soar_pipeline.cost.model_size import check_judge
from soar_pipeline.problems.sources import check_solutions
from soar_pipeline.reporting.selection import READS, Selection
from soar_pipeline.reporting.table_names import LONG_TABLES, TITLES, table_names

PAPER_TABLES = tuple(TITLES)


def config_files():
    """What the configuration was read from; a workflow that uses this one as a module may have more, or none."""
    files = workflow.overwrite_configfiles or workflow.configfiles
    return [os.path.relpath(file) for file in files]


def config_source():
    """What error messages call the configuration; one line if it is not one file."""
    files = config_files()
    # Snakemake would merge them.
    if len(files) > 1 and workflow.modifier.is_main_snakefile():
        raise WorkflowError(
            f"--configfile {' '.join(files)}: one file describes one run, so give one of them"
        )
    names = " and ".join(files) or "the module's config"
    return f"{names} with --config" if workflow.config_settings.config else names


def validated(values):
    """The configuration with its files found, or one clear line that names file and key."""
    source, files = config_source(), [Path(file) for file in config_files()]
    try:
        # Snakemake's own reader keeps the last of two equal keys without a word.
        for file in files:
            read_yaml(file)
        beside = files[0].parent if files else None
        config = resolve_paths(validate(values, source), source, PROJECT, beside)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None
    try:
        check_judge(config, PROJECT)
    except ConfigError as error:
        raise WorkflowError(f"{source}: {error}") from None
    return config


def check_resource_names():
    """One line if a name under `resources` is not that of a rule: it would change nothing and say nothing."""
    names = ["default", *sorted(STAGES)]
    for name in CONFIG.resources:
        if name not in names:
            raise WorkflowError(
                f"{config_source()}: resources.{name}: there is no rule of this name; the names are "
                f"{', '.join(names)}"
            )


def check_planned_packages(rules):
    """One line if the jobs that are about to run need a package that is not installed."""
    try:
        check_packages(CONFIG, rules, config_source())
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def missing_packages():
    """The same for all jobs of the plan, as a list: empty if nothing is missing."""
    try:
        check_packages(CONFIG, {job.rule for job in PLAN.jobs}, config_source())
    except ConfigError as error:
        return [str(error)]
    return []


def check_own_files():
    """One line if a reward or a verifier of the user's own cannot be imported."""
    try:
        files = {own.path: (own, key) for key, own in own_functions(CONFIG)}
        for own, key in files.values():
            check_import(own, key)
    except ConfigError as error:
        raise WorkflowError(f"{config_source()}: {error}") from None


def settings_of(rule):
    """An input function: the file of what decides a job's results, the keys of the configuration that it reads."""

    def path(wildcards):
        try:
            return SETTINGS.results(rule, dict(wildcards.items()))
        except ConfigError as error:
            raise WorkflowError(str(error)) from None

    return path


def files_of(job):
    """The files of a job of the plan; None if it has no settings."""
    wildcards = {name: str(value) for name, value in job.item._asdict().items()}
    # By the name that it has here: a workflow that uses this one as a module may call it otherwise.
    made_by = getattr(rules, job.rule).rule
    if not made_by.output:
        return None
    inputs, *_ = made_by.expand_input(wildcards)
    outputs = [file.apply_wildcards(wildcards) for file in made_by.output]
    return JobFiles(
        Path(SETTINGS.results(job.rule, wildcards)),
        inputs=tuple(map(Path, inputs)),
        outputs=tuple(map(Path, outputs)),
    )


def marked():
    """Which jobs are due, as time stamps and for the reader."""
    try:
        jobs = [files_of(job) for job in (*PLAN.jobs, *PLAN.on_request)]
        found = mark(filter(None, jobs))
    except (ConfigError, OSError) as error:
        raise WorkflowError(str(error)) from None
    for line in lines_about(
        stray_files(Path(CONFIG.results, CONFIG.run), PLAN, found.digests)
    ):
        logger.warning(line)
    return found


def check_inputs(jobs):
    """One line if a job would read a file that somebody has edited."""
    jobs = list(jobs)
    made = {Path(path) for job in jobs for path in job.output}
    read = {Path(path) for job in jobs for path in job.input}
    edited = [path for path in FOUND.edited if path in read and path not in made]
    if edited:
        raise WorkflowError(f"{edited[0]}: {EDITED.replace('FILE', str(edited[0]))}")


def end_timers():
    """Snakemake waits for its timers after the last job: for the timespan of profiles/default, in which none is due."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


def module(wildcards, input):
    """A params function: the module of the stage, which is called as its rule."""
    return f"soar_pipeline.stages.{Path(input.settings).parent.name}"


def options(wildcards, input, output):
    """A params function: the options of a stage's command line, which name its settings, wildcards and files.

    They stand in a file, one word on each line: a run may have thousands of evaluations, and a command line has an end.
    """
    named = [*wildcards.items(), *input.items(), *output.items()]
    return f"@{SETTINGS.options(input.settings, named)}"


def resources_of(rule):
    """What a job of the rule asks for, and what starts its processes (`resources` repeat no job, see docs/reruns.md)."""
    needs = CONFIG.resources_of(rule)
    several = needs.ray_nodes > 1
    return {
        "gpu": 0 if several else needs.gpu,
        "mem_mb": needs.mem_mb,
        "runtime": needs.runtime,
        "nodes": max(1, needs.ray_nodes),
        "gpus_per_node": needs.gpu,
        "workers": CONFIG.processes_of(rule),
    } | (several_nodes(needs) if several else {})


def several_nodes(needs):
    """What Slurm's executor needs for one task on each of several whole nodes, which the rule's shell starts with srun."""
    gres = {"gres": f"gpu:{needs.gpu}", "tasks_per_gpu": 0} if needs.gpu else {}
    return gres | {
        "mpi": "srun",
        "tasks": needs.ray_nodes,
        "cpus_per_task": needs.threads,
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
        return PYTHON
    return "python -m torch.distributed.run --standalone --nproc-per-node={resources.workers} -m --"


def threads_of(rule):
    return CONFIG.resources_of(rule).threads


def one_of(names):
    """A wildcard constraint: one of the names, or nothing at all if there is none."""
    return "|".join(names) or "(?!)"


def each(items, pattern, **more):
    """The pattern for every item of the plan, whose fields are the wildcards; more: wildcards with several values."""
    return [
        path for item in items for path in expand(pattern, **item._asdict(), **more)
    ]


def soar_run_of(wildcards, name):
    """A file or folder of the SOAR run that an arm builds on."""
    dataset, objective, seed = PLAN.soar_run_of(wildcards)
    return f"<run>/{dataset}/soar/{objective}/t{seed}/{name}"


def base_model_of(wildcards):
    return f"<run>/models/{CONFIG.datasets[wildcards.dataset].model}"


def model_folder(wildcards):
    """What a base model is made from, if that is a folder here."""
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


def reward_judge(wildcards):
    """The same for a SOAR run, if its reward asks the judge."""
    asks = CONFIG.objectives[wildcards.objective].needs_judge
    return judging_model(wildcards) if asks else []


def questions_of(wildcards):
    """The extra questions of a fresh student, if its arm has any."""
    if CONFIG.arms[wildcards.arm].questions is None:
        return []
    return f"<run>/{wildcards.dataset}/questions/{wildcards.arm}/t{wildcards.teacher_seed}.parquet"


def solutions_of(wildcards):
    """The hard problems whose worked solutions are a fresh student's hints, if its arm has hints."""
    hints = CONFIG.arms[wildcards.arm].hints
    return [] if hints is None else f"<run>/{wildcards.dataset}/train.parquet"


def check_hints():
    """One line if a data set has no worked solutions, which an arm's hints would be made of."""
    hinted = [name for name, arm in CONFIG.arms.items() if arm.hints is not None]
    try:
        for name in dict.fromkeys(
            dataset for arm in hinted for dataset in CONFIG.datasets_of(arm)
        ):
            check_solutions(name, CONFIG.datasets[name].pool)
    except (ConfigError, ArtifactError) as error:
        raise WorkflowError(f"{config_source()}: {error}") from None


def figure_reads(what, files):
    """An input function: the files for figures whose kind reads `what`, of what the figure shows; else none."""

    def chosen(wildcards):
        selection = Selection(CONFIG, wildcards.figure)
        return files(selection) if what in READS[selection.figure.kind] else []

    return chosen


def figure_tables(wildcards):
    """The long tables that a figure's kind reads."""
    kind = CONFIG.figures[wildcards.figure].kind
    return [f"<run>/tables/{name}.csv" for name in LONG_TABLES if name in READS[kind]]


def curves_of(selection):
    """The learning curves of a figure's arms; those that report SeRL share its curves."""
    runs = [
        run
        for name in selection.trained_arms
        for run in PLAN.evaluations
        if run.arm == name and run.dataset in selection.datasets
    ]
    return list(dict.fromkeys(student_run_of(run, "curve.parquet") for run in runs))


def soar_files_of(name):
    """A file of every SOAR run that a figure shows."""
    return lambda selection: each(
        selection.soar_runs,
        f"<run>/{{dataset}}/soar/{{objective}}/t{{teacher_seed}}/{name}",
    )


def verdicts_of(selection):
    """The verdicts on the questions of every SOAR run that a figure shows, if they are judged."""
    return soar_files_of("taxonomy.parquet")(selection) if PLAN.judged_soar_runs else []


def caption_of(figure):
    """What a figure shows, as text: its heading, and what its kind is."""
    settings = CONFIG.figures[figure]
    text = Path(shipped(f"workflow/report/{settings.kind}.rst")).read_text().strip()
    return f"{settings.title}. {text}" if settings.title else text


def shipped(path):
    """A file that comes with the project, unless the working directory has its own."""
    return find(path, PROJECT)
