"""Peak memory of the stages that read attempts, on files of millions of them.

    python benchmarks/large_files.py                        # 5 million rows
    python benchmarks/large_files.py --rows 20000           # a look

Makes a pool with 128 attempts at each problem, and the test attempts of a student (32 at each problem, at four steps),
of `--characters` each; then runs the stages that the workflow runs on them, each in a process of its own: the fail@k
filter, the split, the choice of the reported step, and pass@k of all four steps. Half of the problems are never solved.
Prints rows, seconds and peak memory of each; exit status 1 where one exceeds `--limit-mb`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa

from soar_pipeline.artifacts.files import read_parquet, read_rows, table, write_parquet, write_parts
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import ATTEMPTS, CURVE, EVALUATION, HARD, PASSK, PROBLEMS, ROWS_AT_ONCE
from soar_pipeline.config import (
    CheckpointRule,
    Dataset,
    DatasetGrading,
    EvaluationConfig,
    FilterConfig,
    Settings,
    StudentRun,
    WholeRun,
)
from soar_pipeline.config.items import Item

PROJECT = Path(__file__).resolve().parent.parent
SAMPLES, TEST_SAMPLES, STEPS = 128, 32, 4
RUN = StudentRun("large", "all", 0, 1)
MADE = Provenance("made", {}, run=RUN.columns())
# Different completions; more of them would only take longer to make.
TEXTS = 997


def parts(rows: int, samples: int, steps: int, schema: pa.Schema, characters: int) -> Iterator[pa.Table]:
    """Attempts, step by step and problem by problem; every other problem is solved by its last sample."""
    texts = pa.array([f"{i} is not {i + 1}, " * (characters // 12) + f"\\boxed{{{i}}}" for i in range(TEXTS)])
    names = pa.array([f"p{i:06d}" for i in range(rows // samples // steps)])
    for first in range(0, rows, ROWS_AT_ONCE):
        number = np.arange(first, min(first + ROWS_AT_ONCE, rows))
        problem, sample = number // samples % len(names), number % samples
        right = (problem % 2 == 0) & (sample == samples - 1)
        columns = {
            **{name: pa.repeat(pa.scalar(value), len(number)) for name, value in RUN.columns().items()},
            "step": pa.array(number // (samples * len(names)), pa.int32()),
            "problem_id": names.take(pa.array(problem)),
            "sample": pa.array(sample, pa.int32()),
            "completion": texts.take(pa.array(number % TEXTS)),
            "extracted_answer": pa.array(number % TEXTS).cast(pa.string()),
            "verdict": pa.array(np.where(right, "right", "wrong")),
            "tokens": pa.array(np.full(len(number), characters // 3), pa.int32()),
            "truncated": pa.array(np.zeros(len(number), bool)),
        }
        yield pa.table([columns[name] for name in schema.names], schema=schema)


def write_inputs(folder: Path, rows: int, characters: int) -> None:
    names = [f"p{i:06d}" for i in range(rows // SAMPLES)]
    pool = [{"problem_id": name, "dataset": "large", "question": f"{name}?", "answer": "7"} for name in names]
    write_parquet(folder / "problems.parquet", table(pool, PROBLEMS), MADE)
    write_parts(folder / "attempts" / "0.parquet", ATTEMPTS, parts(rows, SAMPLES, 1, ATTEMPTS, characters), MADE)
    tested = parts(rows, TEST_SAMPLES, STEPS, EVALUATION, characters)
    write_parts(folder / "students" / "all" / "t0-s1" / "test_attempts.parquet", EVALUATION, tested, MADE)
    curve = [{"step": step, "train_reward": 10.0, "seconds": 1.0} for step in range(STEPS)]
    write_parquet(folder / "students" / "all" / "t0-s1" / "curve.parquet", table(curve, CURVE, **RUN.columns()), MADE)


def stage(folder: Path, name: str, settings: Settings, run: Item, **files: Path) -> tuple[float, float]:
    """Run it as the workflow does; returns seconds and peak memory in MB."""
    command = [sys.executable, "-m", f"soar_pipeline.stages.{name}"]
    for option, values in (("settings", settings.model_dump(mode="json", exclude_none=True)), ("speed", {})):
        (folder / f"{name}-{option}.json").write_text(json.dumps(values), encoding="utf-8")
        command += [f"--{option}", str(folder / f"{name}-{option}.json")]
    for option, value in run._asdict().items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    for option, path in files.items():
        command += [f"--{option}", str(folder / path)]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=PROJECT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed")
    return time.perf_counter() - started, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def run(folder: Path, rows: int) -> dict[str, tuple[int, float, float]]:
    """Rows read, seconds and MB of each stage."""
    student, half = Path("students/all/t0-s1"), rows // SAMPLES // 2
    test, chosen = student / "test_attempts.parquet", CheckpointRule(rule="fixed", step=1, window=0)
    files = {name: Path(f"{name}.parquet") for name in ("problems", "hard", "hard_audit", "train", "test", "passk")}
    measured = {
        "filter_hard": stage(
            folder,
            "filter_hard",
            Settings(filter=FilterConfig(keep_all=False), grading=DatasetGrading()),
            Dataset(RUN.dataset),
            problems=files["problems"],
            attempts=Path("attempts/0.parquet"),
            hard=files["hard"],
            audit=files["hard_audit"],
        ),
        "split_hard": stage(
            folder,
            "split_hard",
            Settings(seed=0),
            Dataset(RUN.dataset),
            hard=files["hard"],
            train=files["train"],
            test=files["test"],
        ),
        "select_evaluation": stage(
            folder,
            "select_evaluation",
            Settings(checkpoint=chosen),
            RUN,
            curve=student / "curve.parquet",
            attempts=test,
            evaluation=Path("evaluation/all/t0-s1.parquet"),
        ),
        "estimate_passk": stage(
            folder,
            "estimate_passk",
            Settings(evaluation=EvaluationConfig(samples=TEST_SAMPLES)),
            WholeRun(),
            evaluations=test,
            passk=files["passk"],
        ),
    }
    # Every other problem is solved by one sample of 32 (or of 128, so not hard).
    assert len(read_rows(folder / files["hard"], HARD)) == half
    solved = {row["k"]: round(row["value"], 3) for row in read_rows(folder / files["passk"], PASSK)}
    assert (solved[1], solved[32]) == (round(1 / 64, 3), 0.5)
    selected = read_parquet(folder / "evaluation/all/t0-s1.parquet", EVALUATION, columns=["step"])
    assert set(selected["step"].to_pylist()) == {1}
    read = {"filter_hard": rows, "split_hard": half, "select_evaluation": rows, "estimate_passk": rows}
    return {name: (read[name], *figures) for name, figures in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--characters", type=int, default=1500, help="of each completion")
    parser.add_argument("--limit-mb", type=float, default=2000)
    options = parser.parse_args()
    # As many samples at each problem of both files.
    rows = options.rows // (SAMPLES * 2) * SAMPLES * 2
    with tempfile.TemporaryDirectory() as workplace:
        folder = Path(workplace) / "results" / "run" / "large"
        started = time.perf_counter()
        write_inputs(folder, rows, options.characters)
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e6
        print(f"two files of {rows} rows made in {time.perf_counter() - started:.0f} s, {size:.0f} MB", flush=True)
        measured = run(folder, rows)
    print("stage                  rows  seconds  peak MB")
    for name, (read, seconds, peak) in measured.items():
        print(f"{name:17} {read:9} {seconds:8.1f} {peak:8.0f}")
    if max(peak for *_, peak in measured.values()) > options.limit_mb:
        sys.exit(f"more than {options.limit_mb:.0f} MB")


if __name__ == "__main__":
    main()
