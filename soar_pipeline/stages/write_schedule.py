"""The schedule of a fresh student: the exact questions of every step, before training (docs/method.md §6)."""

import logging

from soar_pipeline.artifacts.files import Artifacts
from soar_pipeline.artifacts.schemas import SCHEDULE
from soar_pipeline.config import Settings, StudentRun
from soar_pipeline.questions import read_problems, read_questions
from soar_pipeline.rl.schedules import fresh_student_schedule
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage

log = logging.getLogger(__name__)


def write_schedule(
    settings: Settings, run: StudentRun, artifacts: Artifacts, train: Input, questions: Inputs, schedule: Output
) -> None:
    """Write the schedule; an empty one if the arm's extra questions turned out to be none (no promotion)."""
    real = read_problems(train)
    synthetic = [question for path in questions for question in read_questions(path)]
    planned = []
    if settings.student.batch_size > len(real):
        log.warning(
            "student.batch_size is %d, and train has only %d problems: a step has some of them more than once",
            settings.student.batch_size,
            len(real),
        )
    if synthetic or settings.questions is None:
        planned = fresh_student_schedule(
            real,
            synthetic,
            steps=settings.fresh_student.steps,
            batch_size=settings.student.batch_size,
            mixing=settings.fresh_student.mixing,
            synthetic_steps=settings.fresh_student.synthetic_steps,
            seed=derive(settings.seed, "schedule", run.teacher_seed, run.student_seed),
        )
    artifacts.write(schedule, (item.row() for item in planned), SCHEDULE)


if __name__ == "__main__":
    run_stage(write_schedule)
