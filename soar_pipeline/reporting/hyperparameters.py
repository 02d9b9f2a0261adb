"""What a run was made with, under the names of the paper's table 3."""

from collections.abc import Iterable

from soar_pipeline.config import Config, Plan


def hyperparameters(config: Config) -> dict[tuple[str, str], tuple[str, str]]:
    """(scope, name) -> (teacher, student) of every row of table 3, from the resolved configuration.

    If data sets, objectives or arms differ, every value is named: `0 or 20`. Empty if the run has none. The teacher's
    batch size is its groups, if it has several: one group is all that an update takes.
    """
    loops = [config.soar_of(*run) for run in dict.fromkeys(run[:2] for run in Plan(config).soar_runs)]
    teachers = [config.teacher] * bool(loops)
    students = [config.student] * bool(loops)
    fresh = []
    for name, arm in config.arms.items():
        for dataset in config.datasets_of(name) if arm.policy == "fresh_student" else ():
            fresh.append(config.fresh_student_of(name, dataset))
            students.append(config.student_of(name, dataset))
    after_promotion = [loop.learning_rate_after_promotion for loop in loops if loop.learning_rate_after_promotion]
    generation, evaluation = config.generation, config.evaluation
    return {
        ("rloo", "optimizer"): (_each("AdamW" for _ in teachers), _each("AdamW" for _ in students)),
        ("rloo", "kl_coefficient"): (
            _each(one.kl_coefficient for one in teachers),
            _each(one.kl_coefficient for one in students),
        ),
        ("rloo", "lr_schedule"): (_each("cosine" for _ in teachers), _each("cosine" for _ in students)),
        ("rloo", "learning_rate"): (
            _each(one.learning_rate for one in teachers),
            _each([*(one.learning_rate for one in students), *after_promotion]),
        ),
        ("rloo", "temperature"): (
            _each(generation.temperature for _ in teachers),
            _each(generation.temperature for _ in students),
        ),
        ("rloo", "lr_warmup_steps"): (
            _each(one.warmup_steps for one in teachers),
            _each(one.warmup_steps for one in students),
        ),
        ("rloo", "batch_size"): (
            _each(loop.groups for loop in loops if loop.groups > 1),
            _each(one.batch_size for one in students),
        ),
        ("rloo", "group_size"): (_each(loop.datasets for loop in loops), _each(one.group_size for one in students)),
        ("rloo", "max_generated_tokens"): (
            _each(generation.teacher_max_new_tokens for _ in teachers),
            _each(generation.student_max_new_tokens for _ in students),
        ),
        ("meta_rl", "promotion_threshold_tau"): (_each(loop.promotion_threshold for loop in loops), ""),
        ("meta_rl", "moving_average_window"): (_each(loop.moving_average_window for loop in loops), ""),
        ("meta_rl", "dataset_size_n"): (_each(loop.questions_per_dataset for loop in loops), ""),
        ("meta_rl", "student_repeats_r"): (_each(loop.repeats for loop in loops), ""),
        ("meta_rl", "outer_steps"): (_each(loop.outer_steps for loop in loops), ""),
        ("meta_rl", "reward_questions"): (_each(loop.reward_questions for loop in loops), ""),
        ("meta_rl", "inner_steps"): (
            "",
            _each(f"{loop.inner_steps} ({loop.inner_steps_after_promotion} after a promotion)" for loop in loops),
        ),
        ("evaluation", "max_training_steps"): ("", _each(one.steps for one in fresh)),
        ("evaluation", "synthetic_warmup_steps"): (
            "",
            _each(one.synthetic_steps for one in fresh if one.mixing == "curriculum"),
        ),
        ("evaluation", "samples_per_problem"): ("", str(evaluation.samples)),
    }


def _each(values: Iterable[float | int | str]) -> str:
    """The different values in their order, numbers as the paper prints them: `1e-5`."""
    return " or ".join(dict.fromkeys(str(value).replace("e-0", "e-") for value in values))
