"""What schemes of the grounded reward cost, and what comes of them, from the files of a finished run.

    snakemake --cores all --configfile config/reward_cost.yaml
    python benchmarks/reward_cost.py results/reward_cost

- Every scheme (objective): tokens that the students of a SOAR run generate in training, promotions, and pass@k of fresh
  students that train on the promotion questions, its mean, lowest and highest. A SOAR run without a promotion has no
  such students; of one with promotions the best promoted student's accuracy on train is shown.
- Every scheme with several repeats, in replay: had it stopped early, how many tokens, and would it have found the same
  best dataset? `correlation` is that of the datasets' rewards, less the mean of their outer step, with the full ones:
  the teacher learns from these. Racing lets the better half of the datasets go on after each repeat.
- How far rewards vary between the students of one dataset, and between datasets: standard deviations.
"""

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import correlation, fmean, variance

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soar_pipeline.artifacts import provenance
from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import PASSK, PROMOTIONS, STUDENTS
from soar_pipeline.soar.promotion import best_dataset

# The trials of an outer step: a dataset's students in the order of their repeats.
Step = list[list[dict]]


@dataclass
class Run:
    """One SOAR run: the students of its outer steps, and its promotions."""

    steps: dict[int, Step]
    promotions: list[dict]

    @property
    def trials(self) -> list[dict]:
        return [trial for step in self.steps.values() for dataset in step for trial in dataset]


def read_run(folder: Path) -> Run:
    steps: dict[int, dict[int, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for trial in sorted(read_rows(folder / "students.parquet", STUDENTS), key=lambda trial: trial["repeat"]):
        steps[trial["outer_step"]][trial["dataset_index"]].append(trial)
    return Run(
        steps={number: [datasets[k] for k in sorted(datasets)] for number, datasets in sorted(steps.items())},
        promotions=read_rows(folder / "promotions.parquet", PROMOTIONS),
    )


def rewards(step: Step) -> list[float]:
    return [fmean(trial["reward"] for trial in dataset) for dataset in step]


def first(repeats: int, step: Step) -> Step:
    """What the first repeats alone would have shown."""
    return [dataset[:repeats] for dataset in step]


def raced(step: Step) -> Step:
    """After each repeat the better half of the datasets goes on, by the mean of its repeats so far."""
    seen: Step = [[] for _ in step]
    going = list(range(len(step)))
    for repeat in range(len(step[0])):
        for k in going:
            seen[k].append(step[k][repeat])
        so_far = rewards(seen)
        going = sorted(going, key=lambda k: -so_far[k])[: max(1, len(going) // 2)]
    return seen


def chosen(step: Step) -> int:
    """The best of the datasets with the most repeats."""
    most = max(len(dataset) for dataset in step)
    full = [k for k, dataset in enumerate(step) if len(dataset) == most]
    return full[best_dataset(rewards([step[k] for k in full]))]


def centred(steps: list[Step]) -> list[float]:
    return [reward - fmean(rewards(step)) for step in steps for reward in rewards(step)]


def replayed(runs: list[Run]) -> list[tuple[str, float, float, float]]:
    """Of each way to stop early: its share of the students, of equal choices, and its rewards' correlation with all."""
    steps = [step for run in runs for step in run.steps.values()]
    repeats = len(steps[0][0])
    ways = {f"{r} of {repeats} repeats": [first(r, step) for step in steps] for r in range(1, repeats)}
    if repeats > 1:
        ways["racing"] = [raced(step) for step in steps]
    everyone = sum(len(dataset) for step in steps for dataset in step)
    return [
        (
            name,
            sum(len(dataset) for step in seen for dataset in step) / everyone,
            fmean(chosen(one) == chosen(all_) for one, all_ in zip(seen, steps, strict=True)),
            correlation(centred(seen), centred(steps)),
        )
        for name, seen in ways.items()
    ]


def spread(runs: list[Run], promoted: bool) -> tuple[float, float] | None:
    """Standard deviations of the reward, within and between datasets, in outer steps before or after a promotion."""
    steps = [
        step
        for run in runs
        for number, step in run.steps.items()
        if any(promotion["outer_step"] < number for promotion in run.promotions) == promoted and len(step[0]) > 1
    ]
    if not steps:
        return None
    within = fmean(variance(trial["reward"] for trial in dataset) for step in steps for dataset in step)
    # Means of r students each vary by a share 1/r of what students vary by.
    means = fmean(variance(rewards(step)) for step in steps)
    return within**0.5, max(0.0, means - within / len(steps[0][0])) ** 0.5


def mean_and_range(values: list[float]) -> str:
    return f"{fmean(values):.3f} ({min(values):.3f}–{max(values):.3f})" if values else "-"


def print_table(head: list[str], rows: list[list[object]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run, results/<run>")
    folder = parser.parse_args().run
    schemes: dict[str, list[Run]] = defaultdict(list)
    for students in sorted(folder.glob("*/soar/*/t*/students.parquet")):
        run = read_run(students.parent)
        # Without students: an objective that does not train any.
        if run.steps:
            schemes[provenance.read_run(students)["objective"]].append(run)
    arms = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["config"]["arms"]
    passk = read_rows(folder / "passk.parquet", PASSK)

    table = []
    for scheme, runs in schemes.items():
        # Students that differ in nothing else.
        wanted = {"questions": {"source": "promotions", "objective": scheme}, "transfer_from": None}
        wanted |= {"student": {}, "fresh_student": {}}
        pq = [name for name, arm in arms.items() if wanted.items() <= arm.items()]
        values = {k: [row["value"] for row in passk if row["arm"] in pq and row["k"] == k] for k in (1, 8, 32)}
        promoted = [run.promotions for run in runs if run.promotions]
        trials = [trial for run in runs for trial in run.trials]
        table.append(
            [
                scheme,
                len(runs),
                f"{sum(trial['tokens'] for trial in trials) / len(runs) / 1e6:.2f}",
                f"{max(trial['reward'] for trial in trials):.3f}",
                " ".join(str(len(run.promotions)) for run in runs),
                " ".join(str(each[0]["outer_step"]) for each in promoted),
                " ".join(f"{max(promotion['train_accuracy'] for promotion in each):.3f}" for each in promoted),
                len(values[1]),
                *(mean_and_range(drawn) for drawn in values.values()),
            ]
        )
    head = "scheme, runs, million tokens per run, best reward, promotions, first at step, train accuracy, PQ students"
    print_table([*head.split(", "), "pass@1", "pass@8", "pass@32"], table)
    replays = [
        [scheme, name, f"{share:.2f}", f"{same:.2f}", f"{like:.2f}"]
        for scheme, runs in schemes.items()
        for name, share, same, like in replayed(runs)
    ]
    print_table(["scheme", "stopped early", "students trained", "same best dataset", "correlation"], replays)
    spreads = [
        [scheme, "after" if promoted else "before", *(f"{deviation:.3f}" for deviation in deviations)]
        for scheme, runs in schemes.items()
        for promoted in (False, True)
        if (deviations := spread(runs, promoted))
    ]
    print_table(["scheme", "promotion", "within a dataset", "between datasets"], spreads)


if __name__ == "__main__":
    main()
