"""The long tables of a run: their columns, and their CSV files. Everything that is shown is made from them.

A percentage is in [0, 100]; a cell is empty if nothing is known. docs/artifacts.md says what each column means.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.files import ArtifactError

DECIMALS = 4
TEXT, COUNT, REAL = "string", "Int64", "Float64"
Columns = dict[str, str]

PASSK: Columns = {
    "dataset": TEXT,
    "arm": TEXT,
    "label": TEXT,
    "k": COUNT,
    "mean_percent": REAL,
    "sd_percent": REAL,
    "interval_low_percent": REAL,
    "interval_high_percent": REAL,
    "interval_over": TEXT,
    "teacher_seeds": COUNT,
    "student_runs": COUNT,
    "status": TEXT,
    "all_runs_mean_percent": REAL,
    "all_runs_sd_percent": REAL,
    "all_runs_interval_low_percent": REAL,
    "all_runs_interval_high_percent": REAL,
    "paper": TEXT,
    "paper_mean_percent": REAL,
    "paper_sd_percent": REAL,
}
DIFFERENCES: Columns = {
    "dataset": TEXT,
    "arm": TEXT,
    "label": TEXT,
    "k": COUNT,
    "baseline": TEXT,
    "difference_points": REAL,
    "sd_points": REAL,
    "interval_low_points": REAL,
    "interval_high_points": REAL,
    "students": COUNT,
    "students_above": COUNT,
    "above_low_percent": REAL,
    "above_high_percent": REAL,
}
UNSTUCK: Columns = {
    "dataset": TEXT,
    "arm": TEXT,
    "label": TEXT,
    "k": COUNT,
    "threshold_percent": REAL,
    "students": COUNT,
    "unstuck": COUNT,
    "unstuck_low_percent": REAL,
    "unstuck_high_percent": REAL,
    "teachers": COUNT,
    "teachers_unstuck": COUNT,
    "teachers_low_percent": REAL,
    "teachers_high_percent": REAL,
}
CHECKPOINTS: Columns = {
    "dataset": TEXT,
    "arm": TEXT,
    "label": TEXT,
    "teacher_seed": COUNT,
    "student_seed": COUNT,
    "rule": TEXT,
    "selected_step": COUNT,
    "selected_low_step": COUNT,
    "selected_high_step": COUNT,
    "reported_steps": TEXT,
    "k": COUNT,
    "reported_percent": REAL,
    "fixed_window_percent": REAL,
    "status": TEXT,
}
SIZES: Columns = {
    "dataset": TEXT,
    "pool": COUNT,
    "train": COUNT,
    "test": COUNT,
    "paper_dataset": TEXT,
    "paper_pool": COUNT,
    "paper_train": COUNT,
    "paper_test": COUNT,
}
VENDI: Columns = {
    "dataset": TEXT,
    "arm": TEXT,
    "label": TEXT,
    "teacher_seeds": COUNT,
    "questions": COUNT,
    "subsample": COUNT,
    "vendi_mean": REAL,
    "vendi_sd": REAL,
    "teacher_sd": REAL,
    "status": TEXT,
    "paper_vendi": REAL,
    "paper_sd": REAL,
}
RUNS: Columns = {
    "dataset": TEXT,
    "objective": TEXT,
    "teacher_seed": COUNT,
    "outer_steps": COUNT,
    "steps_with_signal": COUNT,
    "promotions": COUNT,
    "promotion_questions": COUNT,
    "train_accuracy_start_percent": REAL,
    "train_accuracy_best_percent": REAL,
    "mean_reward": REAL,
    "acceptance_rate": REAL,
    "seconds": REAL,
}
PROMOTED_STUDENTS: Columns = {
    "dataset": TEXT,
    "objective": TEXT,
    "teacher_seed": COUNT,
    "stage": COUNT,
    "outer_step": COUNT,
    "student_step": COUNT,
    "dataset_reward": REAL,
    "student_reward": REAL,
    "baseline_train_accuracy_percent": REAL,
    "train_accuracy_percent": REAL,
    "status": TEXT,
}
CATEGORIES = ("well_posed", "correct", "arithmetic", "logical_fallacy", "ill_posed", "ambiguous")
TAXONOMY: Columns = {
    "dataset": TEXT,
    "arm": TEXT,
    "label": TEXT,
    "teacher_seeds": COUNT,
    "judged": COUNT,
    "unjudged": COUNT,
    **{f"{category}_percent": REAL for category in CATEGORIES},
    **{f"{category}_sd_percent": REAL for category in CATEGORIES},
    "replies": COUNT,
    "prompt_tokens": COUNT,
    "completion_tokens": COUNT,
    "cost": REAL,
    "status": TEXT,
    "paper_judged": COUNT,
    **{f"paper_{category}_percent": REAL for category in CATEGORIES},
}
QUESTION_SHARES: Columns = {
    "dataset": TEXT,
    "arm": TEXT,
    "label": TEXT,
    "category": TEXT,
    "sets": COUNT,
    "share_percent": REAL,
    "sd_percent": REAL,
    "interval_low_percent": REAL,
    "interval_high_percent": REAL,
    "reference": TEXT,
    "difference_points": REAL,
    "sd_points": REAL,
    "interval_low_points": REAL,
    "interval_high_points": REAL,
}
COLUMNS: dict[str, Columns] = {
    "passk": PASSK,
    "differences": DIFFERENCES,
    "unstuck": UNSTUCK,
    "checkpoints": CHECKPOINTS,
    "sizes": SIZES,
    "vendi": VENDI,
    "runs": RUNS,
    "promoted_students": PROMOTED_STUDENTS,
    "taxonomy": TAXONOMY,
    "question_shares": QUESTION_SHARES,
}


@dataclass(frozen=True)
class Tables:
    """The long tables by their names, each with its COLUMNS."""

    passk: pd.DataFrame
    differences: pd.DataFrame
    unstuck: pd.DataFrame
    checkpoints: pd.DataFrame
    sizes: pd.DataFrame
    vendi: pd.DataFrame
    runs: pd.DataFrame
    promoted_students: pd.DataFrame
    taxonomy: pd.DataFrame
    question_shares: pd.DataFrame


def with_columns(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """These columns of a frame, in this order and of these types; a missing text is empty."""
    texts = {name: "" for name, kind in columns.items() if kind == TEXT}
    return frame[list(columns)].astype(columns).fillna(texts)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """A frame as CSV, written atomically; numbers are rounded to four decimals."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n", float_format=_rounded))


def _rounded(value: float) -> str:
    return str(round(float(value), DECIMALS))


def read_table(path: Path, columns: Columns) -> pd.DataFrame:
    """A CSV file with at least these columns; ArtifactError if one is missing or a cell does not fit."""
    try:
        frame = pd.read_csv(path, dtype=columns, keep_default_na=False, na_values=[""], encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: {error}; delete the file and run again") from None
    if missing := set(columns) - set(frame.columns):
        raise ArtifactError(f"{path}: columns {sorted(missing)} are missing; delete the file and run again")
    return with_columns(frame, columns)


def read_tables(paths: list[Path]) -> Tables:
    """The long tables, each from the file of its name."""
    files = {path.stem: path for path in paths}
    return Tables(**{field.name: read_table(files[field.name], COLUMNS[field.name]) for field in fields(Tables)})
