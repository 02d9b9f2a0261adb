"""Arms, the rows of the tables: who answers, and after which questions."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from soar_pipeline.config.data import PaperTable
from soar_pipeline.config.rl import FreshStudentChanges, HintConfig, StudentChanges
from soar_pipeline.config.section import Name, Section, SeedCount

# SeRL trains one student for all the arms that report it, at different steps: its files carry this in place of an arm.
SERL = "serl"


class PromotionQuestions(Section):
    """All of D_best of a SOAR run [PQ]."""

    source: Literal["promotions"]
    """this kind of source"""

    objective: Name
    """name in `objectives`: whose SOAR runs the questions come from"""


class TeacherQuestions(Section):
    """Questions sampled from the trained teacher of a SOAR run [Grounded-T, Intrinsic-T]."""

    source: Literal["teacher"]
    """this kind of source"""

    objective: Name
    """name in `objectives`: whose SOAR runs the teacher comes from"""

    size: int = Field(128, ge=1)
    """questions [experiments: 128]"""


class BaseTeacherQuestions(Section):
    """Questions sampled from the base model, by the same format filter [Base-T]."""

    source: Literal["base_teacher"]
    """this kind of source"""

    size: int = Field(128, ge=1)
    """questions [experiments: 128]"""


class PoolQuestions(Section):
    """Real questions, drawn at random: an upper bound [MATH train, HARP train]."""

    source: Literal["pool"]
    """this kind of source"""

    pool: Name
    """name in `pools`, or in `datasets`; questions of the arm's own train and test are left out"""

    size: int | None = Field(None, ge=1)
    """questions; none: all [experiments: 128, 6750]"""


class JudgedQuestions(Section):
    """The questions of another arm that the taxonomy's judge let pass [PQ correct-only, PQ well-posed]."""

    source: Literal["judged"]
    """this kind of source"""

    arm: Name
    """name in `arms`: whose questions"""

    keep: Literal["well_posed", "correct"]
    """the verdict that a kept question has"""


QuestionSource = Annotated[
    PromotionQuestions | TeacherQuestions | BaseTeacherQuestions | PoolQuestions | JudgedQuestions,
    Field(discriminator="source"),
]


class ArmConfig(Section):
    """One row of the tables, by a name of your choice: a fresh student, or a policy that exists and only answers."""

    label: str = Field(min_length=1)
    """name in tables and figures"""

    datasets: tuple[Name, ...] | None = None
    """names in `datasets`; none: all of them"""

    paper: str | None = None
    """row name in resources/paper, for the comparison"""

    paper_table: PaperTable | None = None
    """the table of that row; none: the data set's"""

    policy: Literal["fresh_student", "base", "promoted_student", "teacher", "serl"] = "fresh_student"
    """who answers the test problems: a base model trained here, or one that exists and only answers, or the SeRL
    baseline [experiments: base model inference, SOAR-PS, inference with Grounded-T, SeRL]
    """

    objective: Name | None = None
    """name in `objectives`: whose promoted student or teacher answers"""

    questions: QuestionSource | None = None
    """extra questions; none: hard problems only"""

    hints: HintConfig | None = None
    """train on hard problems with hints, which are withdrawn (the baseline hint withdrawal); `{}` takes the defaults;
    none: without
    """

    transfer_from: Name | None = None
    """name in `datasets`: whose SOAR runs the questions or the policy come from; none: this one's own
    [out-of-distribution evaluation]
    """

    step: int | None = Field(None, ge=1)
    """policy serl: the step that is reported [SeRL: 50 and 100]"""

    student: StudentChanges = StudentChanges()
    """keys of the `student` section that differ in this arm"""

    fresh_student: FreshStudentChanges = FreshStudentChanges()
    """keys of the `fresh_student` section that differ in this arm"""

    fresh_student_on: dict[Name, FreshStudentChanges] = {}
    """the same, by the names of `datasets` on which they differ [Table 3: no warm-up for PQ with a curriculum]"""

    teacher_seeds: SeedCount | None = None
    """none: those of its objective, else seeds.teacher; real questions: how often they are drawn, none: once
    [experiments: anew for each seed]
    """

    student_seeds: SeedCount | None = None
    """seeds per teacher seed; none: seeds.student"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.policy in ("promoted_student", "teacher")) != (self.objective is not None):
            raise ValueError("`objective` belongs to policies promoted_student and teacher, and only to them")
        trained = (self.questions, self.hints, self.student.given(), self.fresh_student.given(), self.fresh_student_on)
        if self.policy != "fresh_student" and any(trained):
            raise ValueError(
                f"policy {self.policy} is not a fresh student: drop `questions`, `hints`, `student`, `fresh_student` "
                "and `fresh_student_on`"
            )
        if self.hints is not None and self.questions is not None:
            raise ValueError("`hints` are for hard problems alone: drop `questions`")
        if (self.policy == "serl") != (self.step is not None):
            raise ValueError("`step` belongs to policy serl, and only to it")
        if self.transfer_from is not None and self.soar_objective is None:
            raise ValueError("`transfer_from` belongs to arms that build on a SOAR run")
        return self

    @property
    def soar_objective(self) -> str | None:
        """The objective whose SOAR runs this arm needs, or None."""
        return self.objective or getattr(self.questions, "objective", None)

    @property
    def needs_promotion(self) -> bool:
        """Whether the arm has nothing to show without a promotion: SOAR-PQ and SOAR-PS."""
        return self.policy == "promoted_student" or isinstance(self.questions, PromotionQuestions)
