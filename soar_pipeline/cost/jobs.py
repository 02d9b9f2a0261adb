"""The jobs that a configuration asks of the workflow: one per set of wildcards, shared ones once."""

from collections import Counter
from dataclasses import dataclass

from soar_pipeline.config import Config, JudgedQuestions, LocalJudge, PoolQuestions

# Which rule makes an arm's extra questions, by their source.
QUESTION_RULES = {
    "promotions": "extract_promotion_questions",
    "teacher": "sample_questions",
    "base_teacher": "sample_questions",
    "pool": "draw_pool_questions",
    "judged": "keep_judged_questions",
}
# Rules of arms whose policy is trained for them; the others are only asked. SeRL's own training is shared by its arms.
STUDENT_RULES = {
    "fresh_student": ("write_schedule", "train_fresh_student", "select_evaluation"),
    "serl": ("select_evaluation",),
}
# Rules with one job per run, at its end.
SUMMARY_RULES = ("estimate_passk", "measure_diversity", "make_tables", "shape_tables", "write_report", "all")


@dataclass(frozen=True)
class Job:
    """One job: its rule and the wildcards that tell it from the others (empty where the rule has none)."""

    rule: str
    dataset: str = ""
    name: str = ""
    teacher_seed: int = 0
    student_seed: int = 0


def jobs_of(config: Config) -> list[Job]:
    """Every job of a run that starts from nothing."""
    jobs = _preparation(config)
    jobs += [Job("train_soar", *run) for run in config.soar_runs()]
    for name, arm in config.arms.items():
        for dataset in config.datasets_of(name):
            if arm.questions is not None:
                rule = QUESTION_RULES[arm.questions.source]
                jobs += [Job(rule, dataset, name, seed) for seed in config.teacher_seeds(name)]
            jobs += _student_jobs(config, name, dataset)
    jobs += _serl_jobs(config) + _judge_jobs(config)
    jobs += [Job("draw_figure", name=figure) for figure in config.figures]
    return jobs + [Job(rule) for rule in SUMMARY_RULES]


def job_counts(config: Config) -> dict[str, int]:
    """Jobs per rule, as `snakemake --dry-run` announces them."""
    return dict(Counter(job.rule for job in jobs_of(config)))


def _preparation(config: Config) -> list[Job]:
    models = dict.fromkeys(dataset.model for dataset in config.datasets.values())
    if isinstance(config.taxonomy.judge, LocalJudge) and _judge_jobs(config):
        models |= {config.taxonomy.judge.model: None}
    asked = [arm.questions.pool for arm in config.arms.values() if isinstance(arm.questions, PoolQuestions)]
    jobs = [Job("prepare_base_model", name=model) for model in models]
    jobs += [Job("load_problems", pool) for pool in dict.fromkeys([*config.datasets, *asked])]
    for dataset in config.datasets:
        jobs += [Job("sample_attempts", dataset, str(shard)) for shard in range(config.filter.shards)]
        jobs += [Job("filter_hard", dataset), Job("split_hard", dataset)]
    return jobs


def _student_jobs(config: Config, name: str, dataset: str) -> list[Job]:
    return [
        Job(rule, dataset, name, teacher_seed, student_seed)
        for rule in STUDENT_RULES.get(config.arms[name].policy, ("evaluate_policy",))
        for teacher_seed in config.teacher_seeds(name)
        for student_seed in config.student_seeds(name)
    ]


def _serl_jobs(config: Config) -> list[Job]:
    """One training per data set and student seed, whichever of its steps the arms report."""
    runs = {
        (dataset, seed)
        for name, arm in config.arms.items()
        if arm.policy == "serl"
        for dataset in config.datasets_of(name)
        for seed in config.student_seeds(name)
    }
    return [Job("train_serl", dataset, student_seed=seed) for dataset, seed in sorted(runs)]


def _judge_jobs(config: Config) -> list[Job]:
    """One per question set that stands in the taxonomy's table, or that a judged arm chooses from."""
    sets = {
        (dataset, name, seed)
        for name in config.taxonomy.arms
        for dataset in config.datasets_of(name)
        for seed in config.teacher_seeds(name)
    }
    for name, arm in config.arms.items():
        if isinstance(arm.questions, JudgedQuestions):
            pairs = ((dataset, seed) for dataset in config.datasets_of(name) for seed in config.teacher_seeds(name))
            sets |= {(dataset, arm.questions.arm, seed) for dataset, seed in pairs}
    return [Job("judge_questions", *key) for key in sorted(sets)]
