"""The schedule of a fresh student: the exact questions of every step, before training (spec section 6)."""

from dataclasses import asdict
from pathlib import Path

from soar_pipeline.artifacts import HARD, QUESTIONS, SCHEDULE, Provenance, read_rows, table, write_parquet
from soar_pipeline.seeds import derive
from soar_pipeline.slices import ScheduleSlice
from soar_pipeline.stages.command import run_stage
from soar_pipeline.training.schedules import Question, fresh_student_schedule


def write_schedule(
    config: ScheduleSlice, train: Path, questions: list[Path], student_seed: int, teacher_seed: int, schedule: Path
) -> None:
    """Write the schedule; an empty one where the arm's extra questions turned out to be none (no promotion)."""
    real = [Question(row["problem_id"], row["question"], row["answer"]) for row in read_rows(train, HARD)]
    synthetic = [
        Question(row["question_id"], row["question"], row["answer"])
        for path in questions
        for row in read_rows(path, QUESTIONS)
    ]
    planned = []
    if synthetic or not config.extra_questions:
        planned = fresh_student_schedule(
            real,
            synthetic,
            steps=config.steps,
            batch_size=config.batch_size,
            mixing=config.mixing,
            synthetic_steps=config.synthetic_steps,
            seed=derive(config.seed, "schedule", teacher_seed, student_seed),
        )
    provenance = Provenance("write_schedule", config.model_dump(mode="json"), student_seed, (train, *questions))
    write_parquet(schedule, table(map(asdict, planned), SCHEDULE), provenance)


if __name__ == "__main__":
    run_stage(write_schedule)
