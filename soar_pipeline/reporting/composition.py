"""What the questions of a SOAR run are, step by step: exact in the toy task, by a judge's verdicts elsewhere."""

import pandas as pd

from soar_pipeline.config import Config
from soar_pipeline.reporting.question_profile import composition
from soar_pipeline.reporting.style import Style
from soar_pipeline.reporting.theme import COLOURS, GRID, LIGHT_GREY

# A judge's kind of error (evaluation/taxonomy.py) -> class; what it gave no verdict on is a class of its own.
JUDGED = {
    "none": "correct",
    "ambiguous": "ambiguous",
    "arithmetic": "wrong",
    "logical_fallacy": "wrong",
    "ill_posed": "ill posed",
}
NO_VERDICT = "no verdict"
JUDGED_CLASSES = (*dict.fromkeys(JUDGED.values()), NO_VERDICT)

# Neighbours in the stack differ in lightness, and what is no question at all is hatched.
_GREEN, _BLUE, _SKY, _ORANGE, _RED = COLOURS[2], COLOURS[0], COLOURS[4], COLOURS[5], COLOURS[1]
CLASS_LOOKS = {
    "useful": Style(_GREEN, (), "o"),
    "correct": Style(_GREEN, (), "o"),
    "trivial": Style(_SKY, (), "o"),
    "ambiguous": Style(_ORANGE, (), "o"),
    "wrong": Style(_RED, (), "o"),
    "hard": Style(_BLUE, (), "o"),
    "malformed": Style(LIGHT_GREY, (), "o", "////"),
    "ill posed": Style(LIGHT_GREY, (), "o", "////"),
    NO_VERDICT: Style(GRID, (), "o", "...."),
}


def classes(config: Config, dataset: str, questions: pd.DataFrame, verdicts: pd.DataFrame) -> pd.Series | None:
    """The class of each question on a data set; None if nothing tells.

    questions: rows of SOAR_QUESTIONS; verdicts: of SOAR_TAXONOMY. Questions that no judge was asked about have none.
    """
    if config.datasets[dataset].adapter == "digit_shuffles":
        return composition(questions)
    verdicts = verdicts[verdicts["dataset"] == dataset]
    if verdicts.empty:
        return None
    kinds = verdicts["error_type"].map(JUDGED).fillna(NO_VERDICT)
    by_question = pd.Series(kinds.array, index=verdicts["question_id"])
    return pd.Series(
        pd.Categorical(questions["question_id"].map(by_question), categories=JUDGED_CLASSES), index=questions.index
    )


def shares(kinds: pd.Series, outer_step: pd.Series) -> pd.DataFrame:
    """Per outer step, the share of every class in [0, 1] among the questions that have one."""
    known = kinds.dropna()
    table = pd.crosstab(outer_step.loc[known.index], known, normalize="index")
    return table.reindex(columns=list(kinds.cat.categories), fill_value=0.0)
