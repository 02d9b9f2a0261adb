"""What a SOAR run carries from one outer step to the next."""

from dataclasses import asdict, dataclass, field

from soar_pipeline.policy.weights import Weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.checkpoints import Checkpoint
from soar_pipeline.soar.promotion import Candidate, RewardWindow
from soar_pipeline.soar.record import RunRecord


@dataclass
class SoarState:
    """A run after `step` outer steps.

    teacher, optimizer_state: the teacher's weights, and AdamW's two moments of them. sampled_teacher: its weights after
    `soar.sampled_teacher_step`; none before it, or if that is the last step. student: the baseline θ, from
    which students are trained; best_student: the baseline that answered most of train. stage: promotions so far.
    train_accuracy, best_train_accuracy: of these two students, greedy, in [0, 1]. window: mean rewards since the last
    promotion. candidates: students that may be promoted next, the best one first. D_best: the questions that students
    were promoted for.
    """

    teacher: Weights
    student: Weights
    best_student: Weights
    train_accuracy: float
    best_train_accuracy: float
    window: RewardWindow
    optimizer_state: Weights = field(default_factory=dict)
    sampled_teacher: Weights | None = None
    step: int = 0
    stage: int = 0
    candidates: list[Candidate] = field(default_factory=list)
    D_best: list[Question] = field(default_factory=list)
    record: RunRecord = field(default_factory=RunRecord)

    @property
    def teacher_to_sample(self) -> Weights:
        """The teacher that questions are sampled from after the run."""
        return self.teacher if self.sampled_teacher is None else self.sampled_teacher

    def remaining_steps(self, outer_steps: int) -> range:
        """The numbers of the steps that are left; they count from 1."""
        return range(self.step + 1, outer_steps + 1)

    def promote(self, student: Weights, train_accuracy: float) -> None:
        """The student becomes the baseline, and the best one if it answers more of train; a new window begins."""
        self.student, self.train_accuracy = student, train_accuracy
        if train_accuracy > self.best_train_accuracy:
            self.best_student, self.best_train_accuracy = student, train_accuracy
        self.stage += 1
        self.window.restart()
        self.candidates = []

    def checkpoint(self) -> Checkpoint:
        record = {
            "stage": self.stage,
            "train_accuracy": self.train_accuracy,
            "best_train_accuracy": self.best_train_accuracy,
            "window": asdict(self.window),
            "candidates": [candidate.record() for candidate in self.candidates],
            "D_best": [asdict(question) for question in self.D_best],
            "record": asdict(self.record),
        }
        weights = {
            "teacher": self.teacher,
            "optimizer_state": self.optimizer_state,
            "student": self.student,
            "best_student": self.best_student,
        }
        if self.sampled_teacher is not None:
            weights["sampled_teacher"] = self.sampled_teacher
        weights |= {_candidate_file(i): candidate.weights for i, candidate in enumerate(self.candidates)}
        return Checkpoint(self.step, record, weights)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "SoarState":
        weights = dict(checkpoint.weights)
        candidates = [
            Candidate.of(row, weights.pop(_candidate_file(i))) for i, row in enumerate(checkpoint.record["candidates"])
        ]
        record = checkpoint.record | {
            "candidates": candidates,
            "window": RewardWindow(**checkpoint.record["window"]),
            "D_best": [Question(**row) for row in checkpoint.record["D_best"]],
            "record": RunRecord(**checkpoint.record["record"]),
        }
        return cls(step=checkpoint.step, **record, **weights)


def _candidate_file(i: int) -> str:
    return f"candidate_{i}"
