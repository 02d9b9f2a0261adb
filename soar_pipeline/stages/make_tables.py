"""The tables of a run beside the paper's figures: the long ones, and those in the paper's shape."""

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.schemas import CURVE, DIVERSITY, HARD, PASSK, PROBLEMS, PROMOTIONS, STEPS, TAXONOMY
from soar_pipeline.config import Plan, Settings
from soar_pipeline.reporting import tables
from soar_pipeline.reporting.checkpoints import checkpoints_table
from soar_pipeline.reporting.frames import read_frame
from soar_pipeline.reporting.long_tables import read_tables, write_table
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.paper_tables import paper_tables
from soar_pipeline.reporting.question_shares import question_shares_table
from soar_pipeline.reporting.unstuck import unstuck_table
from soar_pipeline.stages.command import Input, Inputs, Outputs, run_stage


def make_tables(
    settings: Settings,
    passk: Input,
    diversity: Input,
    problems: Inputs,
    train: Inputs,
    test: Inputs,
    curves: Inputs,
    steps: Inputs,
    promotions: Inputs,
    taxonomy: Inputs,
    paper: Inputs,
    long: Outputs,
    csv: Outputs,
    markdown: Outputs,
) -> None:
    """Summarise seeds and write every table to the file of its name.

    curves: of the fresh students; taxonomy: the judged question sets, which may be none; long: the long tables;
    csv, markdown: the paper's.
    """
    config, plan = settings.config, Plan(settings.config)
    figures = read_paper(config, paper)
    promoted, judged = read_frame(promotions, PROMOTIONS), read_frame(taxonomy, TAXONOMY)
    made = {
        "passk": tables.passk_table(plan, read_frame([passk], PASSK), promoted, figures),
        "differences": tables.differences_table(plan, read_frame([passk], PASSK), promoted),
        "unstuck": unstuck_table(plan, read_frame([passk], PASSK), promoted),
        "checkpoints": checkpoints_table(plan, read_frame(curves, CURVE)),
        "sizes": tables.sizes_table(
            plan,
            read_frame(problems, PROBLEMS, ["dataset"]),
            read_frame(train, HARD, ["dataset"]),
            read_frame(test, HARD, ["dataset"]),
            figures,
        ),
        "vendi": tables.vendi_table(plan, read_frame([diversity], DIVERSITY), promoted, figures),
        "runs": tables.runs_table(plan, read_frame(steps, STEPS), promoted),
        "promoted_students": tables.promoted_students_table(promoted),
        "taxonomy": tables.taxonomy_table(plan, judged, promoted, figures),
        "question_shares": question_shares_table(plan, judged),
    }
    for path in long:
        write_table(path, made[path.stem])
    # From the files, so that what is shown is exactly what they hold.
    shaped = {table.name: table for table in paper_tables(config, read_tables(long), figures)}
    for path in csv:
        write_table(path, shaped[path.stem].figures())
    for path in markdown:
        write_text(path, shaped[path.stem].markdown())


if __name__ == "__main__":
    run_stage(make_tables)
