"""The fail@k filter: stopping at a problem's first right answer, against drawing all k samples.

    python benchmarks/filter.py

- Pools of toy problems of so many operations each (`--pools`), which the shipped base model solves more or less
  often: tokens and seconds of both ways, in turns in one process, and what they keep. They draw other samples, so a
  problem that is solved about once in k samples may be kept by one of them alone; `differ` counts these.
- Memory: the filter's stage on pools of `--sizes` problems, all k samples of each, with completions cut so short that
  none is right; the peak resident memory of the stage's process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soar_pipeline.artifacts.schemas import PROBLEMS
from soar_pipeline.artifacts.settings_files import SettingsFiles
from soar_pipeline.config import Config, DatasetGrading, Pool, PoolConfig, Settings, Shard, load, read_prompts
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.policy.attempts import AttemptSampler, solved
from soar_pipeline.policy.base_models import write_base_model
from soar_pipeline.policy.open_policy import open_policy
from soar_pipeline.problems.digit_shuffles import MAX_DIFFICULTY
from soar_pipeline.questions import Question, read_problems
from soar_pipeline.runtime import set_up_process
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.load_problems import load_problems

PROJECT = Path(__file__).resolve().parent.parent
# A box alone takes more.
SHORT = 6


@dataclass
class Filtered:
    seconds: float
    tokens: int
    kept: set[str]
    solve_rate: float


def pool_of(config: Config, difficulties: list[int], size: int, file: Path) -> list[Question]:
    """Problems of these difficulties, in equal parts, written to `file` by their stage."""
    pool = PoolConfig(adapter="digit_shuffles", difficulties=difficulties, size=size, world_seed=1)
    settings = Settings(pool=pool, grading=DatasetGrading(**dict(config.grading)))
    call_stage(load_problems, settings, Pool("pool"), source=[], problems=file)
    return read_problems(file, PROBLEMS)


def filtered(sampler: AttemptSampler, problems: list[Question], rounds: list[int]) -> Filtered:
    started, tokens, kept, rates = time.perf_counter(), 0, set(), []
    for attempts in sampler.sample_until_solved(problems, rounds, seed=0):
        tokens += sum(attempt["tokens"] for attempt in attempts)
        rates.append(fmean(attempt["verdict"] == "right" for attempt in attempts))
        if not solved(attempts):
            kept.add(attempts[0]["problem_id"])
    return Filtered(time.perf_counter() - started, tokens, kept, fmean(rates))


def early_stopping(config: Config, model: Path, folder: Path, pools: list[str], size: int) -> None:
    rounds = list(config.filter.rounds)
    print("operations  solve rate  tokens all/early  seconds all/early  kept all  kept early  differ")
    base, prompts, generation = config.models["base"], read_prompts(config.prompts), config.generation
    with open_policy(model, model=base, prompts=prompts, generation=generation, grading=config.grading) as policy:
        sampler = AttemptSampler(policy)
        for pool in pools:
            difficulties = [int(difficulty) for difficulty in pool.split(",")]
            problems = pool_of(config, difficulties, size, folder / "problems.parquet")
            early = filtered(sampler, problems, rounds)
            drawn = filtered(sampler, problems, [sum(rounds)])
            print(
                f"{pool:>10}  {drawn.solve_rate:10.1%}  {drawn.tokens / early.tokens:16.1f}  "
                f"{drawn.seconds / early.seconds:17.1f}  {len(drawn.kept):8d}  {len(early.kept):10d}  "
                f"{len(drawn.kept ^ early.kept):6d}",
                flush=True,
            )


def memory(config: Config, model: Path, folder: Path, sizes: list[int]) -> None:
    short = config.model_copy(
        update={"generation": config.generation.model_copy(update={"student_max_new_tokens": SHORT})}
    )
    run, files = Shard(next(iter(config.datasets)), 0), SettingsFiles(short, folder / "settings")
    settings = files.results("sample_attempts", run._asdict())
    print("problems  attempts  peak memory  seconds")
    for size in sizes:
        problems, attempts = folder / f"{size}.parquet", folder / f"{size}-attempts.parquet"
        pool_of(config, [MAX_DIFFICULTY], size, problems)
        paths = {"settings": settings, "base-model": model, "problems": problems, "attempts": attempts}
        named = [(name, str(value)) for name, value in {**run._asdict(), **paths}.items()]
        command = [sys.executable, "-m", "soar_pipeline.stages.sample_attempts", f"@{files.options(settings, named)}"]
        started = time.perf_counter()
        with (folder / "log").open("w") as log:
            stage = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)
            _, status, usage = os.wait4(stage.pid, 0)
        if status:
            sys.exit((folder / "log").read_text())
        drawn = size * sum(config.filter.rounds)
        seconds = time.perf_counter() - started
        print(f"{size:8d}  {drawn:8d}  {usage.ru_maxrss / 2**20:8.2f} GiB  {seconds:7.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "config.yaml")
    parser.add_argument("--pools", nargs="*", default=["1,2", "2,3", "4,5"], help="operations (default: 1,2 2,3 4,5)")
    parser.add_argument("--size", type=int, default=128, help="problems of each pool (default: 128)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 5000], help="problems (default: 500 5000)")
    options = parser.parse_args()
    set_up_process()
    config = resolve_paths(load(options.configfile), str(options.configfile), PROJECT)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        write_base_model(config.models["base"], config.seed, model)
        early_stopping(config, model, Path(folder), options.pools, options.size)
        memory(config, model, Path(folder), options.sizes)


if __name__ == "__main__":
    main()
