"""What must hold between the sections of a configuration."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from soar_pipeline.config.analysis import PASS_AT_K, ExactJudge, LocalJudge
from soar_pipeline.config.arms import SERL, JudgedQuestions, PoolQuestions
from soar_pipeline.config.overrides import place_of
from soar_pipeline.config.resource_checks import check_resources

if TYPE_CHECKING:
    from soar_pipeline.config.run import Config


def check(config: Config) -> None:
    """Raise ValueError that names the key unless the sections of a configuration go together."""
    if both := sorted(set(config.datasets) & set(config.pools)):
        raise ValueError(f"pools: {both} are names in `datasets` too; their files would meet")
    for name, dataset in config.datasets.items():
        _check_known(dataset.model, f"datasets.{name}.model", models=config.models)
    _check_batches(config)
    for name in config.objectives:
        _check_objective(config, name)
    _check_labels(config)
    _check_serl_name(config)
    for name in config.arms:
        _check_arm(config, name)
    for name in config.datasets:
        _check_train_size(config, name)
    _check_known(config.report.baseline_arm, "report.baseline_arm", arms=config.arms)
    for name in config.report.headline_arms:
        _check_known(name, "report.headline_arms", arms=config.arms)
    for name in config.figures:
        _check_figure(config, name)
    _check_taxonomy(config)
    for name in config.resources:
        check_resources(config, name)
    if max(PASS_AT_K) > config.evaluation.samples and config.evaluation.samples not in PASS_AT_K:
        raise ValueError(f"evaluation.samples: must be one of {PASS_AT_K} or at least {max(PASS_AT_K)}")


def _check_batches(config: Config) -> None:
    student, serl = config.student, config.serl
    rollouts = student.batch_size * student.group_size
    _check_micro_batch("student.micro_batch_size", student.micro_batch_size, rollouts, "of a step")
    _check_micro_batch("serl.micro_batch_size", serl.micro_batch_size, serl.batch_size, "of an optimizer step")


def _check_objective(config: Config, name: str) -> None:
    for dataset in config.datasets:
        soar = config.soar_of(dataset, name)
        rollouts = soar.datasets_per_step * soar.questions_per_dataset
        of = f"of an outer step of objectives.{name} on datasets.{dataset}"
        _check_micro_batch("teacher.micro_batch_size", config.teacher.micro_batch_size, rollouts, of)


def _check_serl_name(config: Config) -> None:
    """SeRL's own files carry this name in place of an arm: no fresh student may have it, nor a question set."""
    if SERL in config.arms and config.arms[SERL].policy != "serl":
        raise ValueError(
            f"arms.{SERL}: files of SeRL's trainings have this name in the column `arm`, so only an arm of policy serl "
            "may have it; name this one otherwise"
        )


def _check_train_size(config: Config, dataset: str) -> None:
    """Train is half of the hard problems: of a pool whose size is known, half of that at most."""
    pool = config.datasets[dataset]
    sizes = [size for size in (pool.size, pool.rows, pool.limit) if size]
    if not sizes:
        return
    most, of = -(-min(sizes) // 2), f"of datasets.{dataset}, a pool of {min(sizes)} problems of which train is a half"
    for name, arm in config.arms.items():
        trains_on = config.datasets_of(name)
        if arm.soar_objective is not None and dataset in ([arm.transfer_from] if arm.transfer_from else trains_on):
            changes = config.soar_changes(dataset, arm.soar_objective)
            needed = config.soar_of(dataset, arm.soar_objective).reward_questions
            if needed > most:
                key = place_of("reward_questions", "soar", changes)
                raise ValueError(f"{key}: {needed} is more than train can have {of}")
        if arm.policy == "fresh_student" and dataset in trains_on:
            needed = config.student_of(name, dataset).batch_size
            if needed > most:
                key = place_of("batch_size", "student", config.student_changes(name))
                if key == "student.batch_size" and config.fresh_student_of(name, dataset).batch_size is not None:
                    key = place_of("batch_size", "fresh_student", config.fresh_student_changes(dataset, name))
                raise ValueError(f"{key}: {needed} is more than train can have {of}")


def _check_labels(config: Config) -> None:
    first: dict[str, str] = {}
    for name, arm in config.arms.items():
        if (other := first.setdefault(arm.label, name)) != name:
            raise ValueError(
                f"arms.{name}.label: {arm.label!r} is the label of arms.{other} too; tables and figures could not tell "
                "them apart"
            )


def _check_arm(config: Config, name: str) -> None:
    arm, where = config.arms[name], f"arms.{name}"
    datasets = config.datasets_of(name)
    for dataset in datasets:
        _check_known(dataset, f"{where}.datasets", datasets=config.datasets)
    for dataset in arm.fresh_student_on:
        if dataset not in datasets:
            raise ValueError(
                f"{where}.fresh_student_on: {dataset!r} is not one of the arm's data sets; it has {datasets}"
            )
    if arm.transfer_from is not None:
        _check_transfer(config, name)
    if arm.soar_objective is not None:
        key = f"{where}.objective" if arm.objective else f"{where}.questions.objective"
        _check_known(arm.soar_objective, key, objectives=config.objectives)
        if arm.needs_promotion and not config.objectives[arm.soar_objective].promotion:
            raise ValueError(f"{key}: objective {arm.soar_objective!r} has no promotions")
    if arm.policy == "serl" and arm.step not in config.serl.evaluate_at:
        raise ValueError(f"{where}.step: {arm.step} is not in serl.evaluate_at")
    if isinstance(arm.questions, PoolQuestions):
        _check_known(arm.questions.pool, f"{where}.questions.pool", pools=config.pools, datasets=config.datasets)
        for dataset in datasets:
            _check_verifiers(config, f"{where}.questions.pool", arm.questions.pool, dataset)
    if isinstance(arm.questions, JudgedQuestions):
        _check_known(arm.questions.arm, f"{where}.questions.arm", arms=config.arms)
        judged = config.arms[arm.questions.arm]
        if judged.questions is None or isinstance(judged.questions, JudgedQuestions):
            raise ValueError(f"{where}.questions.arm: {arm.questions.arm!r} has no questions of its own to judge")
        if missing := sorted(set(datasets) - set(config.datasets_of(arm.questions.arm))):
            raise ValueError(f"{where}.questions.arm: {arm.questions.arm!r} has no questions on {missing}")
    if arm.policy == "fresh_student":
        for dataset in datasets:
            _check_student(config, name, dataset)
            _check_fresh_student(config, name, dataset)


def _check_verifiers(config: Config, key: str, pool: str, dataset: str) -> None:
    """A student's training has one grader, for the data set's problems and for the questions of a pool."""
    if config.pool_of(pool).decided_by != config.datasets[dataset].decided_by:
        raise ValueError(
            f"{key}: {pool} has another `verifier` than datasets.{dataset}, and a student that trains on both has one; "
            "give both the same (of reasoning_gym: the same `task` and `task_config`)"
        )


def _check_transfer(config: Config, name: str) -> None:
    source, where = config.arms[name].transfer_from, f"arms.{name}"
    _check_known(source, f"{where}.transfer_from", datasets=config.datasets)
    for dataset in config.datasets_of(name):
        if dataset == source:
            raise ValueError(
                f"{where}.transfer_from: {source!r} is one of the data sets that the arm is evaluated on; name only "
                f"others in {where}.datasets"
            )
        if config.datasets[source].model != config.datasets[dataset].model:
            raise ValueError(f"{where}.transfer_from: {source} and {dataset} have different base models")


def _check_student(config: Config, arm: str, dataset: str) -> None:
    student = config.student_of(arm, dataset)
    rollouts = student.batch_size * student.group_size
    key = place_of("micro_batch_size", "student", config.student_changes(arm))
    _check_micro_batch(key, student.micro_batch_size, rollouts, f"of a step of arms.{arm}")
    processes = config.processes_of("train_fresh_student")
    if rollouts % processes:
        raise ValueError(
            f"resources.train_fresh_student: {processes} processes cannot have equal shares of the {rollouts} "
            f"rollouts of a step of arms.{arm}"
        )
    of = f"of each of the {processes} processes in a step of arms.{arm}"
    _check_micro_batch(key, student.micro_batch_size, rollouts // processes, of)


def _check_fresh_student(config: Config, arm: str, dataset: str) -> None:
    fresh, changes = config.fresh_student_of(arm, dataset), config.fresh_student_changes(dataset, arm)
    steps, run = place_of("steps", "fresh_student", changes), f"(arms.{arm} on datasets.{dataset})"
    if fresh.lora_rank is not None:
        key = place_of("lora_rank", "fresh_student", changes)
        if config.resources_of("train_fresh_student").sharding != "none":
            raise ValueError(f"{key}: adapters are trained with sharding: none only")
        if config.generation.engine == "vllm":
            raise ValueError(f"{key}: adapters need generation.engine: transformers")
    if fresh.mixing == "curriculum" and fresh.synthetic_steps > fresh.steps:
        key = place_of("synthetic_steps", "fresh_student", changes)
        raise ValueError(f"{key}: {fresh.synthetic_steps} is more than {steps}, {fresh.steps} {run}")
    if fresh.schedule_steps is not None and fresh.schedule_steps < fresh.steps:
        key = place_of("schedule_steps", "fresh_student", changes)
        raise ValueError(f"{key}: {fresh.schedule_steps} is less than {steps}, {fresh.steps} {run}")
    if config.arms[arm].hints is not None:
        _check_hints(config, arm, dataset)
    distance = fresh.checkpoint.slope_distance
    if fresh.checkpoint.rule == "reward_plateau" and fresh.steps < 2 * distance:
        key = place_of("checkpoint.slope_distance", "fresh_student", changes)
        raise ValueError(
            f"{key}: {distance} is more than half of {steps}, {fresh.steps} {run}: no two slopes to compare"
        )
    if fresh.checkpoint.rule == "fixed":
        key, step = place_of("checkpoint.step", "fresh_student", changes), fresh.checkpoint.step
        if step > fresh.steps:
            raise ValueError(f"{key}: {step} is more than {steps}, {fresh.steps} {run}")
        if step % fresh.evaluate_every and step != fresh.steps:
            every = place_of("evaluate_every", "fresh_student", changes)
            raise ValueError(
                f"{key}: there is no evaluation after step {step}, only every {fresh.evaluate_every} steps ({every}) "
                f"and after the last {run}"
            )


def _check_hints(config: Config, arm: str, dataset: str) -> None:
    if config.datasets[dataset].adapter == "reasoning_gym":
        raise ValueError(
            f"arms.{arm}.hints: problems of reasoning_gym ({dataset}) have no worked solutions; name other data sets "
            f"in arms.{arm}.datasets"
        )
    if config.fresh_student_of(arm, dataset).checkpoint.rule != "fixed":
        key = place_of("checkpoint.rule", "fresh_student", config.fresh_student_changes(dataset, arm))
        raise ValueError(
            f"{key}: the training reward of arms.{arm} is earned with hints, so it cannot select a step; set rule: "
            f"fixed in arms.{arm}.fresh_student.checkpoint"
        )


def _check_figure(config: Config, name: str) -> None:
    figure, where = config.figures[name], f"figures.{name}"
    for section in ("datasets", "arms", "objectives"):
        for chosen in getattr(figure, section) or ():
            _check_known(chosen, f"{where}.{section}", **{section: getattr(config, section)})
    if too_large := sorted(set(figure.k or ()) - set(config.pass_at_k)):
        raise ValueError(f"{where}.k: {too_large} cannot be estimated from {config.evaluation.samples} samples")
    for arm in figure.arms or ():
        if figure.against is not None and not config.has_swept(arm, figure.against):
            raise ValueError(f"{where}.arms: {arm!r} has no {figure.against} to be drawn against")


def _check_taxonomy(config: Config) -> None:
    taxonomy = config.taxonomy
    for name in taxonomy.arms:
        _check_known(name, "taxonomy.arms", arms=config.arms)
        if config.arms[name].questions is None:
            raise ValueError(f"taxonomy.arms: arm {name!r} has no questions to judge")
    choosing = {
        name: arm.questions.arm for name, arm in config.arms.items() if isinstance(arm.questions, JudgedQuestions)
    }
    judged = {*taxonomy.arms, *choosing.values()}
    rewarded = sorted(name for name, objective in config.objectives.items() if objective.needs_judge)
    if judged and taxonomy.judge is None:
        raise ValueError(f"taxonomy.judge: say who judges the questions of {sorted(judged)}")
    if taxonomy.questions_per_step is not None and taxonomy.judge is None:
        raise ValueError("taxonomy.questions_per_step: taxonomy.judge says who judges them, and is missing")
    if rewarded and taxonomy.judge is None:
        raise ValueError(f"taxonomy.judge: say who judges the questions for the reward of objectives {rewarded}")
    if choosing and taxonomy.questions_per_file is not None:
        raise ValueError(
            f"taxonomy.questions_per_file: {sorted(choosing)} choose among judged questions, so all must be judged"
        )
    if isinstance(taxonomy.judge, LocalJudge):
        _check_known(taxonomy.judge.model, "taxonomy.judge.model", models=config.models)
    if isinstance(taxonomy.judge, ExactJudge):
        asked = set(config.objectives) if taxonomy.questions_per_step is not None else set(rewarded)
        datasets = {dataset for name in judged for dataset in config.datasets_of(name)}
        datasets |= {
            arm.transfer_from or dataset
            for name, arm in config.arms.items()
            if arm.soar_objective in asked
            for dataset in config.datasets_of(name)
        }
        if others := sorted(name for name in datasets if config.datasets[name].adapter != "digit_shuffles"):
            raise ValueError(f"taxonomy.judge: `exact` knows digit_shuffles only, and {others} are not of it")


def _check_known(name: str, where: str, **sections: Collection[str]) -> None:
    """Raise ValueError if a name stands in none of the sections."""
    if not any(name in section for section in sections.values()):
        names = sorted(other for section in sections.values() for other in section)
        places = " or ".join(f"`{section}`" for section in sections)
        raise ValueError(f"{where}: {name!r} is not in {places}; there are {names or 'none'}")


def _check_micro_batch(key: str, size: int | None, rollouts: int, of: str) -> None:
    size = min(size or rollouts, rollouts)
    if rollouts % size:
        raise ValueError(f"{key}: {size} does not divide the {rollouts} rollouts {of}")
