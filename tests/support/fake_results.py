"""A whole results folder with known answers, written through the real artifact writers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from soar_pipeline.artifacts import schemas
from soar_pipeline.artifacts.files import table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.config import (
    SERL,
    Config,
    Figure,
    Plan,
    QuestionSet,
    Settings,
    SoarRun,
    StudentRun,
    WholeRun,
    validate,
)
from soar_pipeline.config.items import Item
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.reporting.frames import Row, rows
from soar_pipeline.reporting.long_tables import COLUMNS, read_table
from soar_pipeline.reporting.selection import READS, Selection
from soar_pipeline.reporting.table_names import LONG_TABLES, table_names
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.estimate_passk import estimate_passk
from soar_pipeline.stages.make_tables import make_tables
from soar_pipeline.stages.measure_diversity import measure_diversity
from soar_pipeline.stages.plot_figure import plot_figure
from soar_pipeline.stages.select_evaluation import select_evaluation
from soar_pipeline.stages.write_report import write_report

WHOLE = WholeRun()
ROOT = Path(__file__).parent.parent.parent
PAPER = ROOT / "resources" / "paper"
CAPTIONS = ROOT / "workflow" / "report"
HOSTILE = ("<script>alert(1)</script>", "</td></table><img src=x onerror=\"document.title='owned'\">")
DATASET = "shuffles"
TEST_PROBLEMS, SAMPLES = 4, 8
# How many of the 4 test problems (8 samples each) have exactly one right sample, per arm, teacher and student seed.
SOLVED = {
    ("base", 0, 1): 0,
    ("base", 0, 2): 0,
    ("hard_only", 0, 1): 0,
    ("hard_only", 0, 2): 1,
    ("soar_pq", 1, 1): 4,
    ("soar_pq", 1, 2): 3,
    ("soar_pq", 2, 1): 4,
    ("soar_pq", 2, 2): 4,
    ("soar_ps", 1, 1): 3,
    ("soar_ps", 1, 2): 2,
    ("soar_ps", 2, 1): 3,
    ("soar_ps", 2, 2): 3,
    ("base_t", 1, 1): 1,
    ("base_t", 1, 2): 2,
    ("base_t", 2, 1): 0,
    ("base_t", 2, 2): 2,
}
# The section `taxonomy` of a run with a judge, and its verdicts: well posed are 50 and 25 % of the questions of the
# untrained teachers, 100 and 75 % of the others'.
JUDGED = {"judge": {"kind": "exact"}, "arms": ["base_t", "soar_pq"]}
VERDICTS = {
    (DATASET, "base_t", 1): ["none"] * 4 + ["ambiguous"] * 4,
    (DATASET, "base_t", 2): ["none"] * 2 + ["ambiguous"] * 6,
    (DATASET, "soar_pq", 1): ["none"] * 8,
    (DATASET, "soar_pq", 2): ["none"] * 6 + ["ambiguous"] * 2,
}
OUTER_STEPS, QUESTIONS_PER_DATASET = 12, 4


def fake_config(**changes: object) -> Config:
    values = {
        "run": "made",
        "datasets": {
            DATASET: {
                "adapter": "digit_shuffles",
                "size": 20,
                "difficulties": [7, 8],
                "paper_table": "table4_math",
            }
        },
        "objectives": {"soar": {"reward": "grounded"}},
        "arms": {
            "base": {"label": "Base model", "paper": "Base model inference", "policy": "base"},
            "hard_only": {"label": "Hard-Only", "paper": "Hard-Only"},
            "soar_pq": {
                "label": "SOAR-PQ",
                "paper": "SOAR-PQ",
                "questions": {"source": "promotions", "objective": "soar"},
            },
            "soar_ps": {
                "label": "SOAR-PS",
                "paper": "SOAR-PS",
                "policy": "promoted_student",
                "objective": "soar",
            },
            "base_t": {"label": "Base-T", "paper": "Base-T", "questions": {"source": "base_teacher", "size": 6}},
        },
        "soar": {
            "datasets": 2,
            "questions_per_dataset": QUESTIONS_PER_DATASET,
            "outer_steps": OUTER_STEPS,
            "reward_questions": 5,
        },
        "fresh_student": {
            "steps": 20,
            "synthetic_steps": 10,
            "evaluate_every": 10,
            "checkpoint": {"rule": "fixed", "step": 20},
        },
        "evaluation": {"samples": SAMPLES},
        "serl": {"evaluate_at": [10, 20]},
        "seeds": {"teacher": 2, "student": 2},
        "diversity": {"embedder": "character_ngrams", "sample_size": 6, "draws": 5},
    }
    return validate(values | changes, "fake_results.py")


Solved = dict[tuple[str, str, int, int], int]


@dataclass
class FakeResults:
    """The folder of a made run and the stages that turn it into a report.

    solved: by dataset, arm, teacher and student seed, as SOLVED above; datasets that are not in it have no files.
    """

    config: Config
    folder: Path
    promoted: bool = True
    solved: Solved = field(default_factory=lambda: {(DATASET, *run): count for run, count in SOLVED.items()})
    # Judged questions: by dataset, arm and teacher seed, the error types of its questions ("" for no verdict).
    verdicts: dict[tuple[str, str, int], list[str]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / DATASET

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(dataset for dataset, *_ in self.solved))

    def found(self, pattern: str) -> list[Path]:
        return sorted(path for name in self.config.datasets for path in (self.folder / name).glob(pattern))

    def write_inputs(self) -> None:
        """Everything up to the evaluations, as the training stages would leave it."""
        rng = random.Random(0)
        for dataset in self.datasets:
            _write_problems(self.folder / dataset, dataset)
        plan = Plan(self.config)
        for run in plan.soar_runs:
            if run.dataset in self.datasets:
                _write_soar_run(self.folder, run, rng, self.promoted)
        for dataset in self.datasets:
            for arm, settings in self.config.arms_on(dataset).items():
                for seed in plan.teacher_seeds(arm) if settings.questions else ():
                    rows = [_question(rng, index, 0, 0) for index in range(0 if self._has_nothing(arm) else 8)]
                    path = self.folder / dataset / f"questions/{arm}/t{seed}.parquet"
                    _write(path, rows, schemas.QUESTION_SET, QuestionSet(dataset, arm, seed).columns())
        for (dataset, arm, teacher, student), solved in self.solved.items():
            self._write_student(StudentRun(dataset, arm, teacher, student), solved)
        for (dataset, arm, seed), kinds in self.verdicts.items():
            rows = [_verdict(index, kind) for index, kind in enumerate(kinds)]
            path = self.folder / dataset / f"taxonomy/{arm}/t{seed}.parquet"
            _write(path, rows, schemas.TAXONOMY, QuestionSet(dataset, arm, seed).columns())
        benchmark = self.folder / "benchmarks/train_soar/shuffles_t1.tsv"
        benchmark.parent.mkdir(parents=True)
        benchmark.write_text("s\th:m:s\tmax_rss\n61.5\t0:01:01\t512.0\n")

    def _has_nothing(self, arm: str) -> bool:
        return self.config.arms[arm].needs_promotion and not self.promoted

    def _write_student(self, run: StudentRun, solved: int) -> None:
        data, (_, arm, teacher, student) = self.folder / run.dataset, run
        policy, nothing = self.config.arms[arm].policy, self._has_nothing(arm)
        if policy not in ("fresh_student", "serl"):
            rows = [] if nothing else _attempts(run.dataset, solved, step=0)
            _write(data / f"evaluation/{arm}/t{teacher}-s{student}.parquet", rows, schemas.EVALUATION, run.columns())
            return
        name = f"students/{arm}/t{teacher}-s{student}" if policy == "fresh_student" else f"serl/s{student}"
        attempts = [] if nothing else [*_attempts(run.dataset, 0, step=10), *_attempts(run.dataset, solved, step=20)]
        trained = run if policy == "fresh_student" else StudentRun(run.dataset, SERL, 0, student)
        _write(data / name / "test_attempts.parquet", attempts, schemas.EVALUATION, trained.columns())
        _write(data / name / "curve.parquet", [] if nothing else _curve(solved), schemas.CURVE, trained.columns())

    def select(self) -> None:
        """What the workflow would select: SeRL's curves for every arm that reports them."""
        for dataset, arm, teacher, student in self.solved:
            policy, name = self.config.arms[arm].policy, f"t{teacher}-s{student}"
            if policy in ("fresh_student", "serl"):
                folder = f"students/{arm}/{name}" if policy == "fresh_student" else f"serl/s{student}"
                trained = self.folder / dataset / folder
                self._call(
                    select_evaluation,
                    StudentRun(dataset, arm, teacher, student),
                    curve=trained / "curve.parquet",
                    attempts=trained / "test_attempts.parquet",
                    evaluation=self.folder / dataset / "evaluation" / arm / f"{name}.parquet",
                )

    def summarise(self) -> None:
        """From the evaluations to the tables."""
        self.select()
        self._call(
            estimate_passk, evaluations=self.found("evaluation/*/*.parquet"), passk=self.folder / "passk.parquet"
        )
        self._call(
            measure_diversity,
            questions=self.found("questions/*/*.parquet"),
            soar_questions=self.found("soar/*/*/questions.parquet"),
            diversity=self.folder / "diversity.parquet",
            steps=self.folder / "step_diversity.parquet",
        )
        names = table_names(self.config)
        self._call(
            make_tables,
            passk=self.folder / "passk.parquet",
            diversity=self.folder / "diversity.parquet",
            problems=self.found("problems.parquet"),
            train=self.found("train.parquet"),
            test=self.found("test.parquet"),
            curves=self.found("students/*/*/curve.parquet"),
            steps=self.found("soar/*/*/steps.parquet"),
            promotions=self.found("soar/*/*/promotions.parquet"),
            taxonomy=self.found("taxonomy/*/*.parquet"),
            paper=sorted(PAPER.glob("*.csv")),
            long=self.long_tables,
            csv=[self.table(name) for name in names],
            markdown=[self.table(name, "md") for name in names],
        )

    def _call(self, stage: Callable[..., None], run: Item = WHOLE, **files: Path | list[Path]) -> None:
        call_stage(stage, Settings.of(self.config, stage.__name__, run), run, **files)

    def table(self, name: str, kind: str = "csv") -> Path:
        return self.folder / "tables" / f"{name}.{kind}"

    @property
    def long_tables(self) -> list[Path]:
        return [self.table(name) for name in LONG_TABLES]

    def long(self, name: str) -> pd.DataFrame:
        """A long table as it is read again."""
        return read_table(self.table(name), COLUMNS[name])

    def rows(self, name: str) -> list[Row]:
        """Its rows as named tuples."""
        return rows(self.long(name))

    def figure(self, name: str, kind: str = "svg") -> Path:
        return self.folder / "figures" / f"{name}.{kind}"

    def draw(self) -> None:
        """Every configured figure, from the files that its kind reads."""
        for name in self.config.figures:
            reads = READS[Selection(self.config, name).figure.kind]
            self._call(
                plot_figure,
                Figure(name),
                long=[self.table(name) for name in LONG_TABLES if name in reads],
                curves=self.curves() if "curves" in reads else [],
                steps=self.found("soar/*/*/steps.parquet") if "steps" in reads else [],
                promoted=self.found("soar/*/*/promotions.parquet") if "promoted" in reads else [],
                questions=self.found("soar/*/*/questions.parquet") if "questions" in reads else [],
                verdicts=self.found("soar/*/*/taxonomy.parquet") if "verdicts" in reads else [],
                step_diversity=[self.folder / "step_diversity.parquet"] if "step_diversity" in reads else [],
                svg=self.figure(name),
                png=self.figure(name, "png"),
            )

    def curves(self) -> list[Path]:
        return [*self.found("students/*/*/curve.parquet"), *self.found("serl/*/curve.parquet")]

    def report(self) -> str:
        """Write the page and return it."""
        page = self.folder / "report.html"
        self._call(
            write_report,
            long=self.long_tables,
            passk=self.folder / "passk.parquet",
            paper=sorted(PAPER.glob("*.csv")),
            figures=[self.figure(name) for name in self.config.figures],
            captions=sorted(CAPTIONS.glob("*.rst")),
            steps=self.found("soar/*/*/steps.parquet"),
            questions=self.found("soar/*/*/questions.parquet"),
            verdicts=self.found("soar/*/*/taxonomy.parquet"),
            audits=self.found("hard_audit.parquet"),
            attempts=self.found("attempts/*.parquet"),
            evaluations=self.found("evaluation/*/*.parquet"),
            report=page,
            finding=self.folder / "finding.txt",
            provenance_file=self.folder / "provenance.json",
        )
        return page.read_text(encoding="utf-8")


def _write(path: Path, rows: list[dict], schema: object, run: dict[str, str | int]) -> None:
    write_parquet(path, table(rows, schema, **run), Provenance("made", {}, run=run))


def _verdict(index: int, kind: str) -> dict:
    judged = {} if kind == "" else {"well_posed": kind not in ("ill_posed", "ambiguous"), "correct": kind == "none"}
    return {
        "question_id": f"q{index}",
        "question": "?",
        "answer": "1",
        "error_type": kind or None,
        "attempts": 1,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        **judged,
    }


def _write_problems(data: Path, dataset: str) -> None:
    shuffles = digit_shuffles.sample_distinct(random.Random(1), [7, 8] * 10)
    problems = [
        {"problem_id": f"{dataset}/p{i}", "question": one.question, "answer": one.answer}
        for i, one in enumerate(shuffles)
    ]
    _write(data / "problems.parquet", problems, schemas.PROBLEMS, {"dataset": dataset})
    hard = [{**row, "attempts_drawn": 128} for row in problems]
    _write(data / "train.parquet", hard[:5], schemas.HARD, {"dataset": dataset})
    _write(data / "test.parquet", hard[5 : 5 + TEST_PROBLEMS], schemas.HARD, {"dataset": dataset})
    disputed = {"problem_id": f"{dataset}/p0", "answer": problems[0]["answer"], "reason": "agreement"}
    _write(data / "hard_audit.parquet", [disputed], schemas.HARD_AUDIT, {"dataset": dataset})
    drawn = [{**_attempt(f"{dataset}/p0", sample, "wrong"), "truncated": sample == 0} for sample in range(3)]
    _write(data / "attempts/0.parquet", drawn, schemas.ATTEMPTS, {"dataset": dataset})


def _attempt(problem_id: str, sample: int, verdict: str) -> dict:
    return {
        "problem_id": problem_id,
        "sample": sample,
        "completion": "\\boxed{1}",
        "extracted_answer": "1",
        "verdict": verdict,
        "tokens": 5,
        "truncated": False,
    }


def _attempts(dataset: str, solved: int, step: int) -> list[dict]:
    """The first `solved` problems have one right sample of eight; one sample of the last problem timed out."""
    rows = []
    for problem in range(TEST_PROBLEMS):
        for sample in range(SAMPLES):
            verdict = "right" if sample == 0 and problem < solved else "wrong"
            if problem == TEST_PROBLEMS - 1 and sample == SAMPLES - 1:
                verdict = "timeout"
            rows.append({"step": step, **_attempt(f"{dataset}/p{5 + problem}", sample, verdict)})
    return rows


def _curve(solved: int) -> list[dict]:
    rows = []
    for step in range(21):
        row = {"step": step, "phase": "real" if step > 10 else "synthetic", "train_reward": 2.0 * step, "seconds": 0.1}
        if step % 10 == 0:
            share = solved / TEST_PROBLEMS * step / 20
            row |= {"pass_at_1": share / SAMPLES, "pass_at_4": share / 2, "pass_at_8": share}
        rows.append(row)
    return rows


def _question(rng: random.Random, index: int, outer_step: int, dataset_index: int) -> dict:
    problem = digit_shuffles.sample(rng, min(12, 1 + rng.randrange(3) + outer_step // 3))
    question, answer = problem.question, problem.answer
    if rng.random() < 0.3:
        answer = "123456"
    if rng.random() < 0.15:
        question = HOSTILE[index % 2]
    return {
        "question_id": f"q{outer_step}-{dataset_index}-{index}",
        "outer_step": outer_step,
        "dataset_index": dataset_index,
        "question": question,
        "answer": answer,
        "completion": question,
        "dataset_reward": -0.05 if dataset_index else 0.1,
        "rejected_before": 0,
    }


def _write_soar_run(results: Path, run: SoarRun, rng: random.Random, promoted: bool) -> None:
    """Promotions at steps 5 and 9 (reward 0.3), or silence throughout."""
    folder = results / run.dataset / f"soar/{run.objective}/t{run.teacher_seed}"
    steps, questions, promotions, stage = [], [], [], 0
    for step in range(1, OUTER_STEPS + 1):
        promotes = promoted and step in (5, 9)
        steps.append(
            {
                "outer_step": step,
                "mean_reward": 0.3 if promotes else round(rng.uniform(-0.05, 0.1), 3) if promoted else 0.0,
                "moving_average": 0.12 if step % 4 != 2 else None,
                "promoted": promotes,
                "stage": stage,
                "baseline_train_accuracy": 0.2 * stage,
                "acceptance_rate": 0.75,
                "diversity": 0.4 - 0.01 * step,
                "signal": promoted,
                "kl": 0.01,
                "seconds": 10.0,
            }
        )
        for dataset_index in range(2):
            questions += [_question(rng, i, step, dataset_index) for i in range(QUESTIONS_PER_DATASET)]
        if promotes:
            stage += 1
            promotions.append(
                {
                    "outer_step": step,
                    "student_step": step,
                    "dataset_index": 1,
                    "repeat": 0,
                    "dataset_reward": 0.3,
                    "student_reward": 0.3,
                    "stage": stage,
                    "baseline_train_accuracy": 0.2 * (stage - 1),
                    "train_accuracy": 0.2 * stage,
                }
            )
    _write(folder / "steps.parquet", steps, schemas.STEPS, run.columns())
    _write(folder / "questions.parquet", questions, schemas.SOAR_QUESTIONS, run.columns())
    _write(folder / "promotions.parquet", promotions, schemas.PROMOTIONS, run.columns())
