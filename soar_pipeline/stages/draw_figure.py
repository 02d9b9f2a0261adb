"""One configured figure of a run, as SVG and PNG (spec section 9)."""

from pathlib import Path

from soar_pipeline.artifact_paths import student_run, teacher_run
from soar_pipeline.artifacts import CURVE, QUESTIONS, STEPS, read_rows
from soar_pipeline.reporting.csv_files import read_csv
from soar_pipeline.reporting.figures import FigureData, draw
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import save
from soar_pipeline.reporting.tables import PasskRow, VendiRow
from soar_pipeline.slices import FigureSlice
from soar_pipeline.stages.command import run_stage


def draw_figure(
    config: FigureSlice,
    passk_table: list[Path],
    vendi_table: list[Path],
    curves: list[Path],
    steps: list[Path],
    questions: list[Path],
    svg: Path,
    png: Path,
) -> None:
    """Draw one figure; inputs that its kind does not read are left out. `questions` are those of the SOAR runs."""
    data = FigureData(
        passk=[row for path in passk_table for row in read_csv(path, PasskRow)],
        vendi=[row for path in vendi_table for row in read_csv(path, VendiRow)],
        curves={student_run(path): read_rows(path, CURVE) for path in curves},
        steps={teacher_run(path): read_rows(path, STEPS) for path in steps},
        questions={teacher_run(path): read_rows(path, QUESTIONS) for path in questions},
    )
    save(draw(Selection(config.config, config.name), data), svg, png)


if __name__ == "__main__":
    run_stage(draw_figure)
