"""Everything that a configuration makes, in one list: data sets × objectives × arms × teacher seeds × student seeds.

Rules, costs and reports ask the plan, and nothing else enumerates.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from soar_pipeline.config.analysis import LocalJudge
from soar_pipeline.config.arms import BaseTeacherQuestions, JudgedQuestions, PoolQuestions
from soar_pipeline.config.items import (
    Dataset,
    Figure,
    Item,
    Model,
    Pool,
    QuestionSet,
    SerlRun,
    Shard,
    SoarRun,
    StudentRun,
    WholeRun,
)
from soar_pipeline.config.run import Config

# Which rule makes an arm's extra questions, by their source.
QUESTION_RULES = {
    "promotions": "extract_promotion_questions",
    "teacher": "sample_questions",
    "base_teacher": "sample_questions",
    "pool": "sample_pool_questions",
    "judged": "keep_judged_questions",
}
# Which rule makes an arm's evaluation: a selection of a training's attempts, or new attempts of another policy.
EVALUATION_RULES = {"fresh_student": "select_evaluation", "serl": "select_evaluation"}
# Rules with one job per run.
SUMMARY_RULES = ("estimate_passk", "measure_diversity", "make_tables", "write_report", "all")


class Job(NamedTuple):
    """One job of the workflow; the fields of its item are its rule's wildcards."""

    rule: str
    item: Item


class Plan:
    """What a configuration makes; every list is in the configuration's order, seeds count from 1."""

    def __init__(self, config: Config):
        self.config = config

    @cached_property
    def models(self) -> list[Model]:
        """The base models of the data sets, and a local judge's."""
        names = [dataset.model for dataset in self.config.datasets.values()]
        judge = self.config.taxonomy.judge
        rewarded = any(self.config.objectives[run.objective].needs_judge for run in self.soar_runs)
        if isinstance(judge, LocalJudge) and (self.judged_sets or self.judged_soar_runs or rewarded):
            names.append(judge.model)
        return [Model(name) for name in dict.fromkeys(names)]

    @cached_property
    def pools(self) -> list[Pool]:
        """Those of the data sets, and those that arms draw real questions from."""
        drawn_from = [
            arm.questions.pool for arm in self.config.arms.values() if isinstance(arm.questions, PoolQuestions)
        ]
        return [Pool(name) for name in dict.fromkeys([*self.config.datasets, *drawn_from])]

    @cached_property
    def datasets(self) -> list[Dataset]:
        return [Dataset(name) for name in self.config.datasets]

    @cached_property
    def attempts(self) -> list[Shard]:
        return [Shard(name, shard) for name in self.config.datasets for shard in range(self.config.filter.shards)]

    @cached_property
    def soar_runs(self) -> list[SoarRun]:
        """Every SOAR run that an arm builds on."""
        wanted = {
            SoarRun(arm.transfer_from or dataset, arm.soar_objective, seed)
            for name, arm in self.config.arms.items()
            if arm.soar_objective is not None
            for dataset in self.config.datasets_of(name)
            for seed in self.teacher_seeds(name)
        }
        datasets, objectives = list(self.config.datasets), list(self.config.objectives)
        return sorted(wanted, key=lambda run: (datasets.index(run.dataset), objectives.index(run.objective), run))

    @cached_property
    def question_sets(self) -> list[QuestionSet]:
        """Of every arm with extra questions; `question_rule` says what makes them."""
        return [
            one for name, arm in self.config.arms.items() if arm.questions is not None for one in self.sets_of(name)
        ]

    @cached_property
    def judged_sets(self) -> list[QuestionSet]:
        """Those of the taxonomy's table, and those that a judged arm chooses from."""
        judged = {one for name in self.config.taxonomy.arms for one in self.sets_of(name)}
        for one in self.question_sets:
            questions = self.config.arms[one.arm].questions
            if isinstance(questions, JudgedQuestions):
                judged.add(one._replace(arm=questions.arm))
        return sorted(judged)

    @cached_property
    def judged_soar_runs(self) -> list[SoarRun]:
        """Those of which a sample of each outer step's questions is judged."""
        return self.soar_runs if self.config.taxonomy.questions_per_step else []

    @cached_property
    def fresh_students(self) -> list[StudentRun]:
        return [run for run in self.evaluations if self.config.arms[run.arm].policy == "fresh_student"]

    @cached_property
    def serl_runs(self) -> list[SerlRun]:
        """One training per data set and student seed, whichever of its steps the arms report."""
        runs = [run for run in self.evaluations if self.config.arms[run.arm].policy == "serl"]
        return sorted({SerlRun(run.dataset, run.student_seed) for run in runs})

    @cached_property
    def evaluations(self) -> list[StudentRun]:
        """Every policy that is evaluated on test: arm by arm."""
        return [
            StudentRun(dataset, name, teacher_seed, student_seed)
            for name in self.config.arms
            for dataset in self.config.datasets_of(name)
            for teacher_seed in self.teacher_seeds(name)
            for student_seed in self.student_seeds(name)
        ]

    @cached_property
    def figures(self) -> list[Figure]:
        return [Figure(name) for name in self.config.figures]

    @cached_property
    def jobs(self) -> list[Job]:
        """Every job of a run that starts from nothing, as `snakemake --dry-run` announces them."""
        return list(self._jobs())

    @cached_property
    def on_request(self) -> list[Job]:
        """Jobs that a run does without, and that are made if somebody asks for their file by name."""
        if self.config.taxonomy.judge is None:
            return []
        return [Job("judge_questions", one) for one in self.question_sets if one not in self.judged_sets]

    def _jobs(self) -> Iterator[Job]:
        for rule, items in (
            ("prepare_base_model", self.models),
            ("load_problems", self.pools),
            ("sample_attempts", self.attempts),
            ("filter_hard", self.datasets),
            ("split_hard", self.datasets),
            ("train_soar", self.soar_runs),
        ):
            yield from (Job(rule, item) for item in items)
        yield from (Job(self.question_rule(one.arm), one) for one in self.question_sets)
        for rule, items in (
            ("judge_questions", self.judged_sets),
            ("judge_soar_questions", self.judged_soar_runs),
            ("write_schedule", self.fresh_students),
            ("train_fresh_student", self.fresh_students),
            ("evaluate_student", self.fresh_students),
            ("train_serl", self.serl_runs),
            ("evaluate_serl", self.serl_runs),
        ):
            yield from (Job(rule, item) for item in items)
        yield from (Job(self.evaluation_rule(run.arm), run) for run in self.evaluations)
        yield from (Job("plot_figure", figure) for figure in self.figures)
        yield from (Job(rule, WholeRun()) for rule in SUMMARY_RULES)

    def question_rule(self, arm: str) -> str:
        """The rule that makes the arm's extra questions."""
        return QUESTION_RULES[self.config.arms[arm].questions.source]

    def evaluation_rule(self, arm: str) -> str:
        """The rule that makes the arm's evaluation."""
        return EVALUATION_RULES.get(self.config.arms[arm].policy, "evaluate_policy")

    def arms_of(self, rule: str) -> list[str]:
        """The arms whose question sets, trainings or evaluations the rule makes."""
        return list(dict.fromkeys(job.item.arm for job in self.jobs if job.rule == rule))

    def sets_of(self, arm: str) -> list[QuestionSet]:
        """The question sets of an arm that has extra questions."""
        return [
            QuestionSet(dataset, arm, seed)
            for dataset in self.config.datasets_of(arm)
            for seed in self.teacher_seeds(arm)
        ]

    def soar_run_of(self, run: QuestionSet | StudentRun) -> SoarRun:
        """The SOAR run whose questions, teacher or promoted student the run of an arm builds on."""
        arm = self.config.arms[run.arm]
        return SoarRun(arm.transfer_from or run.dataset, arm.soar_objective, run.teacher_seed)

    def per_teacher_seed(self, arm: str) -> bool:
        """Whether the arm has one set of students per teacher seed.

        Its questions or its policy come from teachers, or its real questions are drawn several times.
        """
        questions = self.config.arms[arm].questions
        if isinstance(questions, PoolQuestions):
            return self.config.arms[arm].teacher_seeds is not None
        if isinstance(questions, JudgedQuestions):
            return self.per_teacher_seed(questions.arm)
        return self.config.arms[arm].soar_objective is not None or isinstance(questions, BaseTeacherQuestions)

    def teacher_seeds(self, arm: str) -> list[int]:
        """[0] if the arm has no teacher."""
        if not self.per_teacher_seed(arm):
            return [0]
        questions, objective = self.config.arms[arm].questions, self.config.arms[arm].soar_objective
        if isinstance(questions, JudgedQuestions):
            return self.teacher_seeds(questions.arm)
        of_objective = self.config.objectives[objective].teacher_seeds if objective else None
        return list(range(1, (self.config.arms[arm].teacher_seeds or of_objective or self.config.seeds.teacher) + 1))

    def student_seeds(self, arm: str) -> list[int]:
        return list(range(1, (self.config.arms[arm].student_seeds or self.config.seeds.student) + 1))
