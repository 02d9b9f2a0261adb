"""Which tables a run has, the long ones and those in the paper's shape; light to import, for the workflow."""

from soar_pipeline.config import Config

LONG_TABLES = (
    "passk",
    "differences",
    "unstuck",
    "checkpoints",
    "sizes",
    "vendi",
    "runs",
    "promoted_students",
    "taxonomy",
    "question_shares",
)
TITLES = {
    "table1_vendi": "Table 1: diversity of the questions (Vendi score)",
    "table2_datasets": "Table 2: problems before and after the fail@k filter",
    "table3_hyperparameters": "Table 3: hyperparameters",
    "table4_math": "Table 4: pass@k on MATH, %",
    "table5_harp": "Table 5: pass@k on HARP, %",
    "table6_olympiadbench": "Table 6: pass@k on OlympiadBench, %",
    "table7_taxonomy": "Table 7: the questions by a judge's verdict, %",
    "table8_multi_turn": "Table 8: teachers that write question and answer in two turns, pass@k, %",
    "table9_llama31_8b": "Table 9: Llama-3.1-8B-Instruct, pass@k on MATH, %",
}


def table_names(config: Config) -> list[str]:
    """The tables of a run: the paper's, and one for each data set that stands for none of the paper's."""
    return [*TITLES, *(own_table(name) for name, dataset in config.datasets.items() if dataset.paper_table is None)]


def own_table(dataset: str) -> str:
    """The pass@k table of a data set that stands for none of the paper's."""
    return f"passk_{dataset}"
