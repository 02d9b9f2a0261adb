"""Which keys of the configuration each stage reads.

A key that decides results makes the jobs due again that read it. A key that only decides speed, memory or the display
(`SPEED`) does not, and a training that is not finished goes on with its new value.
"""

_ENGINE = tuple(
    f"generation.{key}"
    for key in (
        "engine",
        "segment_tokens",
        "batch_size",
        "vllm_memory_share",
        "vllm_stays_awake",
        "deterministic",
    )
)
_SAMPLING = ("seed", "model.dtype", "model.chat_template", "generation.temperature", *_ENGINE, "grading")
_STUDENT = (*_SAMPLING, "prompts.student", "generation.student_max_new_tokens")
# Who judges questions, and how.
_JUDGE = (
    "taxonomy.judge",
    "taxonomy.attempts",
    "taxonomy.concurrency",
    "judge_prompt",
    "judge_model.dtype",
    "judge_model.chat_template",
)
_JUDGING = ("seed", *_JUDGE, *_ENGINE, "grading")
_EVALUATION = ("evaluation.samples", "evaluation.test_limit")
_TEACHER = ("prompts.teacher", "prompts.teacher_answer", "generation.teacher_max_new_tokens")

# A section without a key is read with all its keys.
STAGES: dict[str, tuple[str, ...]] = {
    "prepare_base_model": (
        "seed",
        "model.source",
        "model.path",
        "model.revision",
        "model.dtype",
        "model.pretrain_steps",
    ),
    "load_problems": ("pool", "grading"),
    "sample_attempts": (*_STUDENT, "filter.rounds", "filter.shards"),
    "filter_hard": ("filter.keep_all", "filter.leave_out_disputed", "grading"),
    "split_hard": ("seed",),
    "train_soar": (
        *_STUDENT,
        *_TEACHER,
        "student",
        "teacher",
        "soar",
        "objective.reward",
        "objective.promotion",
        "objective.turns",
        "objective_name",
        "reward_sha256",
        # None of these, unless the objective's reward asks the judge.
        *_JUDGE,
        "resources",
        "tracking",
    ),
    "extract_promotion_questions": (),
    "sample_questions": (*_SAMPLING, *_TEACHER, "teacher.max_draws_per_question", "questions"),
    "sample_pool_questions": ("seed", "questions"),
    "keep_judged_questions": ("questions",),
    "judge_questions": (*_JUDGING, "taxonomy.questions_per_file"),
    "judge_soar_questions": (*_JUDGING, "taxonomy.questions_per_step"),
    "write_schedule": (
        "seed",
        "student.batch_size",
        "fresh_student.steps",
        "fresh_student.mixing",
        "fresh_student.synthetic_steps",
        "questions",
    ),
    "train_fresh_student": (
        *_STUDENT,
        "student",
        "lora",
        "hints",
        "fresh_student.schedule_steps",
        "fresh_student.evaluate_every",
        "evaluation_in_training",
        "resources",
        "tracking",
    ),
    "train_serl": (
        *_STUDENT,
        *_TEACHER,
        "serl",
        "serl_prompts",
        "evaluation_in_training",
        "resources",
        "tracking",
    ),
    "evaluate_student": (*_STUDENT, *_EVALUATION, "lora"),
    "evaluate_serl": (*_STUDENT, *_EVALUATION),
    "select_evaluation": ("checkpoint",),
    "evaluate_policy": (*_STUDENT, *_EVALUATION),
    "estimate_passk": ("evaluation.samples",),
    "measure_diversity": ("seed", "diversity"),
    "make_tables": ("config",),
    "plot_figure": ("config",),
    "write_report": ("config",),
}
# Stages that read the whole configuration, and take seconds.
REPORTING = tuple(stage for stage, keys in STAGES.items() if keys == ("config",))
# Keys of a section that change no result, wherever the section stands.
SPEED = {
    # Where the run lies: it may be moved.
    "config.results",
    "grading.workers",
    "grading.memory_mb",
    # Another size may draw other samples, from the same distribution.
    "generation.batch_size",
    "generation.vllm_memory_share",
    "generation.vllm_stays_awake",
    # How many sequences pass the model at once, and what it holds meanwhile: the last digits follow.
    *(
        f"{section}.{key}"
        for section in ("student", "teacher", "serl")
        for key in ("micro_batch_size", "gradient_checkpointing", "length_buckets", "pass_tokens", "offload_moments")
    ),
    "serl.checkpoint_every",
    "soar.checkpoint_every",
    # When to give up: whoever raises it has no results yet.
    "teacher.max_draws_per_question",
    "serl.max_rounds",
    "serl.max_rollouts",
    "taxonomy.concurrency",
    "judge.timeout_seconds",
    "judge.retries",
    "judge.backoff_seconds",
    "judge.max_wait_seconds",
    # How the judge is paid, which stands in the log alone.
    "judge.api_key_variable",
    "judge.prompt_price",
    "judge.completion_price",
}
SPEED_SECTIONS = {"resources", "tracking"}


def is_speed(place: tuple[str, ...]) -> bool:
    """Whether the key at this place in a job's settings changes no result."""
    # The whole configuration, of stages that report on it, has the sections one level down.
    section = place[1:2] if place[0] == "config" else place[:1]
    return ".".join(place[-2:]) in SPEED or not SPEED_SECTIONS.isdisjoint(section)
