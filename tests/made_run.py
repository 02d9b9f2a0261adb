"""A whole results folder with known answers, written through the real artifact writers."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from soar_pipeline import artifacts
from soar_pipeline.artifacts import Provenance, table, write_parquet
from soar_pipeline.config import Config, validate
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.reporting.selection import READS, Selection
from soar_pipeline.reporting.table_names import table_names
from soar_pipeline.slices import DiversitySlice, FigureSlice, PassKSlice, ReportSlice, SelectionSlice
from soar_pipeline.stages.draw_figure import draw_figure
from soar_pipeline.stages.estimate_passk import estimate_passk
from soar_pipeline.stages.make_tables import make_tables
from soar_pipeline.stages.measure_diversity import measure_diversity
from soar_pipeline.stages.select_evaluation import select_evaluation
from soar_pipeline.stages.shape_tables import shape_tables
from soar_pipeline.stages.write_report import write_report

ROOT = Path(__file__).parent.parent
PAPER = ROOT / "resources" / "paper"
CAPTIONS = ROOT / "workflow" / "report"
HOSTILE = ("<script>alert(1)</script>", "</td></table><img src=x onerror=\"document.title='owned'\">")
DATASET = "shuffles"
TEST_PROBLEMS, SAMPLES = 4, 8
LONG_TABLES = ("passk", "sizes", "vendi", "runs", "taxonomy")
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
OUTER_STEPS, QUESTIONS_PER_DATASET = 12, 4


def made_config(**changes: object) -> Config:
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
        "soar": {"datasets": 2, "questions_per_dataset": QUESTIONS_PER_DATASET, "outer_steps": OUTER_STEPS},
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
    return validate(values | changes, "made_run.py")


Solved = dict[tuple[str, str, int, int], int]


@dataclass
class MadeRun:
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
        for dataset, objective, seed in self.config.soar_runs():
            if dataset in self.datasets:
                _write_soar_run(self.folder / dataset / f"soar/{objective}/t{seed}", rng, self.promoted)
        for dataset in self.datasets:
            for arm, settings in self.config.arms_on(dataset).items():
                for seed in self.config.teacher_seeds(arm) if settings.questions else ():
                    rows = [_question(rng, index, 0, 0) for index in range(0 if self._has_nothing(arm) else 8)]
                    _write(self.folder / dataset / f"questions/{arm}/t{seed}.parquet", rows, artifacts.QUESTIONS)
        for (dataset, arm, teacher, student), solved in self.solved.items():
            self._write_student(self.folder / dataset, arm, teacher, student, solved)
        for (dataset, arm, seed), kinds in self.verdicts.items():
            rows = [_verdict(dataset, arm, seed, index, kind) for index, kind in enumerate(kinds)]
            _write(self.folder / dataset / f"taxonomy/{arm}/t{seed}.parquet", rows, artifacts.TAXONOMY)
        benchmark = self.folder / "benchmarks/train_soar/shuffles_t1.tsv"
        benchmark.parent.mkdir(parents=True)
        benchmark.write_text("s\th:m:s\tmax_rss\n61.5\t0:01:01\t512.0\n")

    def _has_nothing(self, arm: str) -> bool:
        return self.config.arms[arm].lives_on_promotions and not self.promoted

    def _write_student(self, data: Path, arm: str, teacher: int, student: int, solved: int) -> None:
        policy, nothing = self.config.arms[arm].policy, self._has_nothing(arm)
        if policy not in ("fresh_student", "serl"):
            rows = [] if nothing else _attempts(solved, step=0)
            _write(data / f"evaluation/{arm}/t{teacher}-s{student}.parquet", rows, artifacts.EVALUATION)
            return
        name = f"students/{arm}/t{teacher}-s{student}" if policy == "fresh_student" else f"serl/s{student}"
        attempts = [] if nothing else [*_attempts(0, step=10), *_attempts(solved, step=20)]
        _write(data / name / "test_attempts.parquet", attempts, artifacts.EVALUATION)
        _write(data / name / "curve.parquet", [] if nothing else _curve(solved), artifacts.CURVE)

    def select(self) -> None:
        """What the workflow would select: SeRL's curves for every arm that reports them."""
        for dataset, arm, teacher, student in self.solved:
            policy, name = self.config.arms[arm].policy, f"t{teacher}-s{student}"
            if policy in ("fresh_student", "serl"):
                folder = f"students/{arm}/{name}" if policy == "fresh_student" else f"serl/s{student}"
                trained = self.folder / dataset / folder
                select_evaluation(
                    SelectionSlice.of(self.config, dataset, arm),
                    trained / "curve.parquet",
                    trained / "test_attempts.parquet",
                    self.folder / dataset / "evaluation" / arm / f"{name}.parquet",
                )

    def summarise(self) -> None:
        """From the evaluations to the tables."""
        self.select()
        estimate_passk(PassKSlice.of(self.config), self.found("evaluation/*/*.parquet"), self.folder / "passk.parquet")
        questions = self.found("questions/*/*.parquet")
        measure_diversity(DiversitySlice.of(self.config), questions, self.folder / "diversity.parquet")
        make_tables(
            ReportSlice.of(self.config),
            passk=self.folder / "passk.parquet",
            diversity=self.folder / "diversity.parquet",
            problems=self.found("problems.parquet"),
            train=self.found("train.parquet"),
            test=self.found("test.parquet"),
            steps=self.found("soar/*/*/steps.parquet"),
            promotions=self.found("soar/*/*/promotions.parquet"),
            taxonomy=self.found("taxonomy/*/*.parquet"),
            paper=sorted(PAPER.glob("*.csv")),
            **self._long_tables(),
        )
        names = table_names(self.config)
        shape_tables(
            ReportSlice.of(self.config),
            paper=sorted(PAPER.glob("*.csv")),
            csv=[self.table(name) for name in names],
            markdown=[self.table(name, "md") for name in names],
            **self._long_tables(),
        )

    def table(self, name: str, kind: str = "csv") -> Path:
        return self.folder / "tables" / f"{name}.{kind}"

    def _long_tables(self) -> dict[str, Path]:
        return {f"{name}_table": self.table(name) for name in LONG_TABLES}

    def figure(self, name: str, kind: str = "svg") -> Path:
        return self.folder / "figures" / f"{name}.{kind}"

    def draw(self) -> None:
        """Every configured figure, from the files that its kind reads."""
        for name in self.config.figures:
            reads = READS[Selection(self.config, name).figure.kind]
            draw_figure(
                FigureSlice.of(self.config, name),
                passk_table=[self.table("passk")] if "passk" in reads else [],
                vendi_table=[self.table("vendi")] if "vendi" in reads else [],
                curves=self.curves() if "curves" in reads else [],
                steps=self.found("soar/*/*/steps.parquet") if "steps" in reads else [],
                questions=self.found("soar/*/*/questions.parquet") if "questions" in reads else [],
                svg=self.figure(name),
                png=self.figure(name, "png"),
            )

    def curves(self) -> list[Path]:
        return [*self.found("students/*/*/curve.parquet"), *self.found("serl/*/curve.parquet")]

    def report(self) -> str:
        """Write the page and return it."""
        page = self.folder / "report.html"
        write_report(
            ReportSlice.of(self.config),
            **self._long_tables(),
            paper=sorted(PAPER.glob("*.csv")),
            figures=[self.figure(name) for name in self.config.figures],
            captions=sorted(CAPTIONS.glob("*.rst")),
            steps=self.found("soar/*/*/steps.parquet"),
            questions=self.found("soar/*/*/questions.parquet"),
            attempts=self.found("attempts/*.parquet"),
            evaluations=self.found("evaluation/*/*.parquet"),
            benchmarks=self.folder / "benchmarks",
            report=page,
            finding=self.folder / "finding.txt",
            provenance_file=self.folder / "provenance.json",
        )
        return page.read_text(encoding="utf-8")


def _write(path: Path, rows: list[dict], schema: object) -> None:
    write_parquet(path, table(rows, schema), Provenance("made", {}))


def _verdict(dataset: str, arm: str, seed: int, index: int, kind: str) -> dict:
    judged = {} if kind == "" else {"well_posed": kind not in ("ill_posed", "ambiguous"), "correct": kind == "none"}
    return {
        "dataset": dataset,
        "arm": arm,
        "teacher_seed": seed,
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
        {"problem_id": f"p{i}", "dataset": dataset, "question": one.question, "answer": one.answer}
        for i, one in enumerate(shuffles)
    ]
    _write(data / "problems.parquet", problems, artifacts.PROBLEMS)
    hard = [{**row, "attempts_drawn": 128} for row in problems]
    _write(data / "train.parquet", hard[:5], artifacts.HARD)
    _write(data / "test.parquet", hard[5 : 5 + TEST_PROBLEMS], artifacts.HARD)
    drawn = [{**_attempt("p0", sample, "wrong"), "truncated": sample == 0} for sample in range(3)]
    _write(data / "attempts/0.parquet", drawn, artifacts.ATTEMPTS)


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


def _attempts(solved: int, step: int) -> list[dict]:
    """The first `solved` problems have one right sample of eight; one sample of the last problem timed out."""
    rows = []
    for problem in range(TEST_PROBLEMS):
        for sample in range(SAMPLES):
            verdict = "right" if sample == 0 and problem < solved else "wrong"
            if problem == TEST_PROBLEMS - 1 and sample == SAMPLES - 1:
                verdict = "timeout"
            rows.append({"step": step, **_attempt(f"p{5 + problem}", sample, verdict)})
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
        "dataset_reward": 0.1,
        "rejected_before": 0,
    }


def _write_soar_run(folder: Path, rng: random.Random, promoted: bool) -> None:
    """Promotions at steps 5 and 9 (reward 0.3), or silence throughout."""
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
                    "dataset_index": 1,
                    "repeat": 0,
                    "dataset_reward": 0.3,
                    "student_reward": 0.3,
                    "stage": stage,
                    "train_accuracy": 0.2 * stage,
                }
            )
    _write(folder / "steps.parquet", steps, artifacts.STEPS)
    _write(folder / "questions.parquet", questions, artifacts.QUESTIONS)
    _write(folder / "promotions.parquet", promotions, artifacts.PROMOTIONS)
