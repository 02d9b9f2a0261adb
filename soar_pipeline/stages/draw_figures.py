"""The figures of a run, as SVG and PNG (spec section 9)."""

from pathlib import Path

from soar_pipeline.artifact_paths import student_run, teacher_run
from soar_pipeline.artifacts import CURVE, QUESTIONS, STEPS, read_rows
from soar_pipeline.reporting import student_figures, teacher_figures
from soar_pipeline.reporting.csv_files import read_csv
from soar_pipeline.reporting.style import save
from soar_pipeline.reporting.tables import PasskRow, VendiRow
from soar_pipeline.slices import ReportSlice
from soar_pipeline.stages.command import run_stage


def draw_figures(
    config: ReportSlice,
    passk_table: Path,
    vendi_table: Path,
    curves: list[Path],
    steps: list[Path],
    questions: list[Path],
    learning_curves_svg: Path,
    learning_curves_png: Path,
    improvement_svg: Path,
    improvement_png: Path,
    teacher_reward_svg: Path,
    teacher_reward_png: Path,
    baseline_accuracy_svg: Path,
    baseline_accuracy_png: Path,
    question_difficulty_svg: Path,
    question_difficulty_png: Path,
    diversity_svg: Path,
    diversity_png: Path,
) -> None:
    """Draw six figures; `questions` are those of the SOAR runs, not the arms' question sets."""
    whole = config.config
    passk, vendi = read_csv(passk_table, PasskRow), read_csv(vendi_table, VendiRow)
    students = {student_run(path): read_rows(path, CURVE) for path in curves}
    taken = {teacher_run(path): read_rows(path, STEPS) for path in steps}
    asked = {teacher_run(path): read_rows(path, QUESTIONS) for path in questions}
    save(student_figures.learning_curves(whole, students, passk), learning_curves_svg, learning_curves_png)
    save(student_figures.improvement(whole, passk), improvement_svg, improvement_png)
    save(teacher_figures.teacher_reward(whole, taken), teacher_reward_svg, teacher_reward_png)
    save(teacher_figures.baseline_accuracy(whole, taken), baseline_accuracy_svg, baseline_accuracy_png)
    save(teacher_figures.question_difficulty(whole, asked), question_difficulty_svg, question_difficulty_png)
    save(teacher_figures.diversity(whole, taken, vendi), diversity_svg, diversity_png)


if __name__ == "__main__":
    run_stage(draw_figures)
