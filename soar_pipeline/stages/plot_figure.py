"""One configured figure of a run, as SVG and PNG."""

from soar_pipeline.artifacts.schemas import CURVE, PROMOTIONS, SOAR_QUESTIONS, SOAR_TAXONOMY, STEP_DIVERSITY, STEPS
from soar_pipeline.config import Figure, Settings
from soar_pipeline.reporting.figures import FigureData, draw
from soar_pipeline.reporting.frames import read_frame
from soar_pipeline.reporting.long_tables import COLUMNS, read_table
from soar_pipeline.reporting.selection import Selection
from soar_pipeline.reporting.style import save
from soar_pipeline.stages.command import Inputs, Output, run_stage


def plot_figure(
    settings: Settings,
    run: Figure,
    long: Inputs,
    curves: Inputs,
    steps: Inputs,
    promoted: Inputs,
    questions: Inputs,
    verdicts: Inputs,
    step_diversity: Inputs,
    svg: Output,
    png: Output,
) -> None:
    """Draw one figure; inputs that its kind does not read are left out.

    long: long tables; questions, verdicts: those of the SOAR runs.
    """
    data = FigureData(
        **{path.stem: read_table(path, COLUMNS[path.stem]) for path in long},
        curves=read_frame(curves, CURVE),
        steps=read_frame(steps, STEPS),
        promoted=read_frame(promoted, PROMOTIONS),
        questions=read_frame(questions, SOAR_QUESTIONS),
        verdicts=read_frame(verdicts, SOAR_TAXONOMY),
        step_diversity=read_frame(step_diversity, STEP_DIVERSITY),
    )
    save(draw(Selection(settings.config, run.figure), data), svg, png)


if __name__ == "__main__":
    run_stage(plot_figure)
