"""The tables of figures in README.md and docs/results-toy.md, from finished runs: nobody copies a figure by hand.

    python benchmarks/result_tables.py results/toy results/toy_findings

For each run it writes docs/figures/<run>/<table>.csv, the figures as pages show them, and prints them as Markdown with
their marks. Then it fills the pages: what stands between `<!-- table RUN/TABLE -->` and `<!-- end of table -->` becomes
that file's table, so a page chooses its tables by its marks. A table that a run does not have, such as the verdicts if
no judge was asked, has no file. Without a run it fills the pages alone. If a page says something else than the files,
tests/benchmarks/test_result_tables.py fails.
"""

import argparse
import re
import sys
from collections.abc import Callable, Hashable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.artifacts.schemas import DIVERSITY, QUESTION_SET, SOAR_QUESTIONS, STEP_DIVERSITY
from soar_pipeline.config import ConfigError
from soar_pipeline.evaluation.statistics import summarise
from soar_pipeline.reporting.finding import seeds_of
from soar_pipeline.reporting.frames import Row, of_objective, read_frame, rows
from soar_pipeline.reporting.long_tables import CATEGORIES, Tables, read_tables
from soar_pipeline.reporting.question_profile import composition
from soar_pipeline.reporting.table_names import LONG_TABLES
from soar_pipeline.sharing.finished import FinishedRun

PROJECT = Path(__file__).resolve().parent.parent
FIGURES = PROJECT / "docs" / "figures"
PAGES = (PROJECT / "README.md", PROJECT / "docs" / "results-toy.md")
MARKED = re.compile(r"(<!-- table ([\w/]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

# Of a teacher's training, at its start and at its end.
OUTER_STEPS = 4

Cells = list[dict[str, str]]
"""The rows of a table, as they are shown."""


def arms(run: FinishedRun, tables: Tables) -> Cells:
    """What every arm solves, at the smallest, the middle and the largest k."""
    ks = run.config.pass_at_k
    found = {(one.dataset, one.arm, one.k): one for one in rows(tables.passk)}
    unstuck = {(one.dataset, one.arm): f"{one.unstuck} of {one.students}" for one in rows(tables.unstuck)}
    made = []
    for dataset, arm in dict.fromkeys((dataset, arm) for dataset, arm, _ in found):
        last = found[dataset, arm, ks[-1]]
        means = {k: found[dataset, arm, k].mean_percent for k in sorted({ks[0], ks[len(ks) // 2], ks[-1]})}
        made.append(
            _of(run, dataset)
            | {"arm": last.label, "seeds": seeds_of(last) if last.student_runs else last.status}
            | {f"pass@{k}, %": _number(mean) for k, mean in means.items()}
            | {
                f"95 % interval of pass@{ks[-1]}": _interval(last.interval_low_percent, last.interval_high_percent),
                "came unstuck": unstuck.get((dataset, arm), "–"),
            }
        )
    return made


def differences(run: FinishedRun, tables: Tables) -> Cells:
    """What every arm solves more than the baseline arm, at the largest k."""
    k, baseline = run.config.pass_at_k[-1], run.config.arms[run.config.report.baseline_arm].label
    return [
        _of(run, one.dataset)
        | {
            "arm": one.label,
            f"points over {baseline} at pass@{k}": _number(one.difference_points),
            "95 % interval": _interval(one.interval_low_points, one.interval_high_points),
            "students above every one of its": f"{one.students_above} of {one.students}",
        }
        for one in rows(tables.differences)
        if one.k == k and one.difference_points is not None
    ]


def soar_runs(run: FinishedRun, tables: Tables) -> Cells:
    """What became of every teacher whose student is promoted."""
    found = {(one.dataset, one.objective, one.teacher_seed): one for one in rows(tables.runs)}
    promoted = rows(tables.promoted_students)
    made = []
    for key in run.plan.soar_runs:
        if not run.config.objectives[key.objective].promotion:
            continue
        one = found[key]
        after = [str(row.outer_step) for row in promoted if (row.dataset, row.objective, row.teacher_seed) == key]
        reached = (one.train_accuracy_start_percent, one.train_accuracy_best_percent)
        made.append(
            _of(run, one.dataset)
            | {
                "teacher": f"{one.objective}, seed {one.teacher_seed}",
                "outer steps": str(one.outer_steps),
                "promotion after step": ", ".join(after) or "none",
                "promotion questions": str(one.promotion_questions),
                "greedy accuracy on hard train, start → best, %": " → ".join(_number(value, 0) for value in reached),
            }
        )
    return made


def questions(run: FinishedRun, tables: Tables) -> Cells:
    """What teachers of the toy task ask after their training, with intervals over teachers, and how diverse that is."""
    asked = read_frame(run.question_sets(), QUESTION_SET)
    asked = asked[asked["dataset"].isin(_toy_datasets(run))]
    diversity = read_frame([run.folder / "diversity.parquet"], DIVERSITY)
    of_sets = diversity[~diversity["pooled"]].set_index(["dataset", "arm", "teacher_seed"]).sort_index()
    made = []
    for (dataset, arm), part in asked.groupby(["dataset", "arm"], sort=False):
        classes = _classes(part)
        sets = of_sets.loc[dataset, arm]
        # A score is at most the number of questions that were compared, which is the same for all teachers of an arm.
        compared = sets["subsample"].max()
        over = _over_teachers(classes.assign(vendi=sets["vendi_mean"] / compared))
        made.append(
            _of(run, dataset)
            | {"questions of": run.config.arms[arm].label, "teachers": str(len(classes)), "questions": str(len(part))}
            | {f"{name}, %": _over(over[name], 100, 0) for name in classes.columns}
            | {"Vendi score": _over(over["vendi"], compared, 1)}
        )
    return made


def teachers(run: FinishedRun, tables: Tables) -> Cells:
    """What the teachers of the toy task ask in their first and their last outer steps, with intervals over teachers."""
    toy = _toy_datasets(run)
    files = [run.of_soar_run(one, "questions.parquet") for one in run.plan.soar_runs if one.dataset in toy]
    asked = read_frame(files, SOAR_QUESTIONS)
    diversity = read_frame([run.folder / "step_diversity.parquet"], STEP_DIVERSITY)
    made = []
    for (dataset, objective), part in asked.groupby(["dataset", "objective"], sort=False):
        last, apart = part["outer_step"].max(), of_objective(diversity, dataset, objective)
        for steps in (range(1, OUTER_STEPS + 1), range(last - OUTER_STEPS + 1, last + 1)):
            classes = _classes(part[part["outer_step"].isin(steps)])
            of_teachers = apart[apart["outer_step"].isin(steps)].groupby("teacher_seed")["diversity"].mean()
            over = _over_teachers(classes.assign(diversity=of_teachers))
            made.append(
                _of(run, dataset)
                | {"reward": objective, "teachers": str(len(classes)), "outer steps": f"{steps[0]} to {steps[-1]}"}
                | {f"{name}, %": _over(over[name], 100, 0) for name in classes.columns}
                | {"diversity": _over(over["diversity"], 1, 2)}
            )
    return made


def verdicts(run: FinishedRun, tables: Tables) -> Cells:
    """A judge's verdicts on every arm's questions, and the interval of the difference to the untrained teacher's."""
    found = {(one.dataset, one.arm, one.category): one for one in rows(tables.question_shares)}
    made = []
    for dataset, arm in dict.fromkeys((dataset, arm) for dataset, arm, _ in found):
        shares = {name: found[dataset, arm, name] for name in CATEGORIES}
        made.append(
            _of(run, dataset)
            | {"questions of": shares["correct"].label, "teachers": str(shares["correct"].sets)}
            | {
                f"{name.replace('_', ' ')}, % (interval of the difference, points)": _share(one)
                for name, one in shares.items()
            }
        )
    return made


TABLES: dict[str, Callable[[FinishedRun, Tables], Cells]] = {
    make.__name__: make for make in (arms, differences, soar_runs, teachers, questions, verdicts)
}


def _toy_datasets(run: FinishedRun) -> list[str]:
    return [name for name, dataset in run.config.datasets.items() if dataset.adapter == "digit_shuffles"]


def _of(run: FinishedRun, dataset: str) -> dict[str, str]:
    return {"dataset": dataset} if len(run.config.datasets) > 1 else {}


def _number(value: float | None, decimals: int = 1) -> str:
    return "–" if value is None else f"{value:.{decimals}f}".replace("-", "−")


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None else f"{_number(low)} to {_number(high)}"


def _classes(asked: pd.DataFrame) -> pd.DataFrame:
    """The share of each class in the questions of each teacher."""
    return pd.get_dummies(composition(asked)).groupby(asked["teacher_seed"]).mean()


def _over_teachers(values: pd.DataFrame) -> dict[Hashable, Row]:
    """Each column's mean and interval; values: one row for each teacher."""
    column = values.melt(var_name="of", ignore_index=False).reset_index().assign(student_seed=0)
    return {one.Index: one for one in summarise(column, ["of"]).itertuples()}


def _over(one: Row, scale: float, decimals: int) -> str:
    """A fraction in units of which `scale` are one, and its interval over teachers if there are several."""
    mean, low, high = (_number(scale * value, decimals) for value in (one.mean, one.low, one.high))
    return f"{mean} ({low} to {high})" if one.interval_over else mean


def _share(one: Row) -> str:
    if one.interval_low_points is None:
        return _number(one.share_percent)
    return f"{_number(one.share_percent)} ({_interval(one.interval_low_points, one.interval_high_points)})"


def write_figures(run: FinishedRun, folder: Path) -> list[Path]:
    """The files of a run's tables; one that was written before, and that the run does not have, is removed."""
    tables = read_tables([run.table(name) for name in LONG_TABLES])
    made = []
    for name, make in TABLES.items():
        file = folder / run.name / f"{name}.csv"
        if cells := make(run, tables):
            write_text(file, pd.DataFrame(cells).to_csv(index=False, lineterminator="\n"))
            made.append(file)
        else:
            file.unlink(missing_ok=True)
    return made


def markdown(file: Path) -> str:
    """A file's table."""
    frame = pd.read_csv(file, dtype="string", keep_default_na=False)
    lines = [list(frame), ["---"] * len(frame.columns), *frame.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str, folder: Path) -> str:
    """A page whose marked tables are those of the files; ArtifactError if one is missing."""

    def table(mark: re.Match[str]) -> str:
        file = folder / f"{mark[2]}.csv"
        if not file.exists():
            raise ArtifactError(f"{file}: is missing; benchmarks/result_tables.py writes it from the finished run")
        return f"{mark[1]}{markdown(file)}{mark[3]}"

    return MARKED.sub(table, page)


def main() -> None:
    """Parse the command line; exit status 1 with one line if a run is not finished or a file is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="folder of a finished run, as results/toy")
    try:
        for folder in parser.parse_args().runs:
            for file in write_figures(FinishedRun.read(folder), FIGURES):
                name = file.relative_to(FIGURES).with_suffix("").as_posix()
                print(f"<!-- table {name} -->\n{markdown(file)}<!-- end of table -->\n")
        for page in PAGES:
            write_text(page, filled(page.read_text(encoding="utf-8"), FIGURES))
    except (ArtifactError, ConfigError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
