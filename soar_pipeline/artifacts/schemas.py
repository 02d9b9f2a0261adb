"""The columns of every Parquet artifact (docs/artifacts.md).

Files of one run begin with the columns that say which run: files of several runs can be put together.
"""

import pyarrow as pa

VERDICTS = ("right", "wrong", "no_box", "timeout")


PHASES = ("synthetic", "real", "mixed")


MEASURED_COLUMNS = ("seconds",)


# Files are written, and taken digests of, so many rows at a time: attempts of a large pool do not fit in memory.
ROWS_AT_ONCE = 8192


def _schema(**columns: pa.DataType | pa.Field) -> pa.Schema:
    """Columns are required unless given as `optional(type)`."""
    fields = []
    for name, column in columns.items():
        if isinstance(column, pa.Field):
            fields.append(column.with_name(name))
        else:
            fields.append(pa.field(name, column, nullable=False))
    return pa.schema(fields)


def optional(data_type: pa.DataType) -> pa.Field:
    return pa.field("", data_type, nullable=True)


TEXT, INTEGER, REAL, FLAG = pa.string(), pa.int32(), pa.float64(), pa.bool_()
# Which SOAR run, which question set, or which student (or other policy) the rows belong to.
SOAR_RUN = {"dataset": TEXT, "objective": TEXT, "teacher_seed": INTEGER}
QUESTION_SET_OF = {"dataset": TEXT, "arm": TEXT, "teacher_seed": INTEGER}
STUDENT_RUN = {**QUESTION_SET_OF, "student_seed": INTEGER}


PROBLEMS = _schema(
    problem_id=TEXT,
    dataset=TEXT,
    question=TEXT,
    answer=TEXT,
    subject=optional(TEXT),
    level=optional(TEXT),
    solution=optional(TEXT),
)


_ATTEMPT = {
    "problem_id": TEXT,
    "sample": INTEGER,
    "completion": TEXT,
    "extracted_answer": optional(TEXT),
    "verdict": TEXT,
    "tokens": INTEGER,
    "truncated": FLAG,
}
ATTEMPTS = _schema(dataset=TEXT, **_ATTEMPT)


# Attempts of one policy on test; `step` is the student's training step (0 for policies that are not trained).
EVALUATION = _schema(**STUDENT_RUN, step=INTEGER, **_ATTEMPT)


# Survivors of the filter, and their halves.
HARD = pa.schema([*PROBLEMS, pa.field("attempts_drawn", INTEGER, nullable=False)])


# Kept problems whose gold may be at fault; `value` is what `completions` of its attempts agree on.
HARD_AUDIT = _schema(
    problem_id=TEXT, dataset=TEXT, answer=TEXT, reason=TEXT, value=optional(TEXT), completions=optional(INTEGER)
)


_QUESTION = {
    "question_id": TEXT,
    # 0 for questions that were sampled after training.
    "outer_step": INTEGER,
    "dataset_index": INTEGER,
    "question": TEXT,
    "answer": TEXT,
    "completion": TEXT,
    "dataset_reward": optional(REAL),
    "rejected_before": INTEGER,
}
# All that a SOAR run tried, and the set that an arm's fresh students get.
SOAR_QUESTIONS = _schema(**SOAR_RUN, **_QUESTION)
QUESTION_SET = _schema(**QUESTION_SET_OF, **_QUESTION)


STUDENTS = _schema(
    **SOAR_RUN,
    outer_step=INTEGER,
    dataset_index=INTEGER,
    repeat=INTEGER,
    baseline_accuracy=REAL,
    trained_accuracy=REAL,
    reward=REAL,
    seconds=REAL,
    tokens=pa.int64(),
    reward_samples=optional(INTEGER),
)


STEPS = _schema(
    **SOAR_RUN,
    outer_step=INTEGER,
    mean_reward=REAL,
    moving_average=optional(REAL),
    promoted=FLAG,
    stage=INTEGER,
    baseline_train_accuracy=REAL,
    acceptance_rate=REAL,
    diversity=REAL,
    signal=FLAG,
    kl=optional(REAL),
    seconds=REAL,
)


PROMOTIONS = _schema(
    **SOAR_RUN,
    outer_step=INTEGER,
    student_step=INTEGER,
    dataset_index=INTEGER,
    repeat=INTEGER,
    dataset_reward=REAL,
    student_reward=REAL,
    stage=INTEGER,
    baseline_train_accuracy=REAL,
    train_accuracy=REAL,
)


SCHEDULE = _schema(
    **STUDENT_RUN, step=INTEGER, position=INTEGER, phase=TEXT, question_id=TEXT, question=TEXT, answer=TEXT
)


# Every question that SeRL rolled out. kept: its majority's share was within bounds; trained: it was in the update.
SERL_QUESTIONS = _schema(
    **STUDENT_RUN,
    question_id=TEXT,
    step=INTEGER,
    rollout=INTEGER,
    question=TEXT,
    majority_answer=optional(TEXT),
    agreement=REAL,
    kept=FLAG,
    trained=FLAG,
)


# pass@k columns are null between evaluations; which k exist depends on evaluation.samples.
CURVE = _schema(
    **STUDENT_RUN,
    step=INTEGER,
    phase=optional(TEXT),
    train_reward=optional(REAL),
    kl=optional(REAL),
    zero_std_fraction=optional(REAL),
    hint_fraction=optional(REAL),
    pass_at_1=optional(REAL),
    pass_at_4=optional(REAL),
    pass_at_8=optional(REAL),
    pass_at_16=optional(REAL),
    pass_at_32=optional(REAL),
    seconds=REAL,
)


PASSK = _schema(**STUDENT_RUN, k=INTEGER, value=REAL)


# pooled: of all question sets of an arm together, with teacher seed 0.
DIVERSITY = _schema(
    **QUESTION_SET_OF,
    pooled=FLAG,
    questions=INTEGER,
    subsample=INTEGER,
    vendi_mean=optional(REAL),
    vendi_sd=optional(REAL),
)


# Of a SOAR run's completions: mean pairwise cosine distance of their embeddings.
STEP_DIVERSITY = _schema(**SOAR_RUN, outer_step=INTEGER, completions=INTEGER, diversity=REAL)


# Of a question without a verdict, `reason` says why; tokens are empty if the judge does not count them.
_JUDGED = {
    "question_id": TEXT,
    "question": TEXT,
    "answer": TEXT,
    "well_posed": optional(FLAG),
    "correct": optional(FLAG),
    "error_type": optional(TEXT),
    "correct_answer": optional(TEXT),
    "attempts": INTEGER,
    "reason": optional(TEXT),
    "prompt_tokens": optional(pa.int64()),
    "completion_tokens": optional(pa.int64()),
}
# Of the questions that an arm's students get, and of a sample of what a SOAR run tried in every outer step.
TAXONOMY = _schema(**QUESTION_SET_OF, **_JUDGED)
SOAR_TAXONOMY = _schema(**SOAR_RUN, outer_step=INTEGER, **_JUDGED)
