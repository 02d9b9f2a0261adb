"""The questions of a run as a data set: three tables in Parquet, a card, and how every file of the run was made."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.schemas import PROMOTIONS, QUESTION_SET, SOAR_QUESTIONS
from soar_pipeline.config import ConfigError
from soar_pipeline.reporting.frames import read_frame
from soar_pipeline.sharing.cards import PAPER, card, made_with, sources, table
from soar_pipeline.sharing.finished import FinishedRun

DATASET = ["dataset", "objective", "teacher_seed", "outer_step", "dataset_index"]
MEANING = {
    "promotion_questions": "the datasets whose students were promoted: what SOAR trains fresh students with (PQ)",
    "sampled_questions": "written by a trained teacher, or by the base model (its arm says which), after training",
    "written_questions": "every question of every SOAR run, with the reward of the dataset that it was part of",
}
COLUMNS = {
    "dataset": "the hard problems that the questions were written for",
    "objective": "what the teacher was rewarded for",
    "arm": "the arm of the run that trained with the questions",
    "teacher_seed": "seed of the SOAR run; 0: no teacher was trained",
    "question_id": "unique in the run",
    "outer_step": "step of the SOAR run, from 1; 0: after training",
    "dataset_index": "which dataset of the step; students train on a dataset",
    "question": "as a student sees it",
    "answer": "the writer's own, which may be wrong",
    "completion": "all that the writer wrote",
    "dataset_reward": "the teacher's reward for the dataset",
    "rejected_before": "completions that were refused before this one",
}


def export_questions(run: FinishedRun, folder: Path, licence: str) -> None:
    """Write the data set; `load_dataset(folder, name)` reads the table of a name of MEANING, if it has rows.

    ConfigError if the run has no questions.
    """
    soar_files = [run.of_soar_run(one, "questions.parquet") for one in run.plan.soar_runs]
    promotion_files = [run.of_soar_run(one, "promotions.parquet") for one in run.plan.soar_runs]
    written = read_frame(soar_files, SOAR_QUESTIONS)
    promoted = read_frame(promotion_files, PROMOTIONS)[DATASET].drop_duplicates()
    set_files = run.question_sets()
    frames = {
        "promotion_questions": (written.merge(promoted, on=DATASET), SOAR_QUESTIONS),
        "sampled_questions": (read_frame(set_files, QUESTION_SET), QUESTION_SET),
        "written_questions": (written, SOAR_QUESTIONS),
    }
    rows = {name: len(frame) for name, (frame, _) in frames.items()}
    if not any(rows.values()):
        raise ConfigError(f"{run.folder}: has no questions: none of its arms or objectives has a model write any")
    folder.mkdir(parents=True, exist_ok=True)
    for name, (frame, schema) in frames.items():
        # `datasets` cannot load a file without rows.
        if rows[name]:
            pq.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False), folder / f"{name}.parquet")
    files = [*soar_files, *promotion_files, *set_files]
    records = {path.relative_to(run.folder).as_posix(): run.provenance(path) for path in files}
    write_text(folder / "provenance.json", json.dumps(records, indent=2, sort_keys=True) + "\n")
    versions = next(iter(records.values()), {}).get("versions", {})
    write_text(folder / "README.md", _card(run, rows, versions, licence))


def _card(run: FinishedRun, rows: dict[str, int], versions: dict[str, str], licence: str) -> str:
    names = sorted({one.dataset for one in run.plan.soar_runs} | {one.dataset for one in run.plan.question_sets})
    names_with_rows = [name for name in rows if rows[name]]
    default = names_with_rows[0]
    head = {
        "license": licence,
        "language": ["en"],
        "pretty_name": f"Questions of the SOAR run {run.name}",
        "size_categories": [_size(max(rows.values()))],
        "task_categories": ["text-generation"],
        "tags": ["soar", "synthetic", "reasoning"],
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": f"{name}.parquet"}]}
            | ({"default": True} if name == default else {})
            for name in names_with_rows
        ],
    }
    return card(
        head,
        f"# Questions of the SOAR run {run.name}",
        "Questions that a language model wrote for a copy of itself, as steps towards hard problems of which it solves "
        "none (SOAR, arXiv 2601.18778). The writer was rewarded by what students learned; it never saw those problems. "
        "**The answers are the writer's own; many may be wrong**, and questions ill-posed. Nobody has read them.",
        table(("configuration", "rows", "what"), [(name, rows[name], MEANING[name]) for name in rows]),
        "```python\nfrom datasets import load_dataset\n\n"
        f'questions = load_dataset("PATH OR NAME", "{default}", split="train")\n```',
        "## Columns",
        table(("column", "meaning"), COLUMNS.items()),
        "## How they were made",
        f"{made_with(versions)} `provenance.json` holds, for each file of the run that went in here, the keys of the "
        "configuration that decide its content, package versions, and digests of what it was made from.",
        sources(run.licences(names)),
        "## Citation",
        PAPER,
    )


def _size(rows: int) -> str:
    """The Hub's word for a number of rows."""
    for limit, word in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return word
    return "n>1M"
