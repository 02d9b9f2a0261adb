"""The second opinion on hard problems, for the report: how many are disputed, and why (docs/verdicts.md)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from soar_pipeline.config import Config

# By reason, as in grading/audit.py, in words for a reader.
REASONS = {
    "notation": "the gold has a typo of notation",
    "not_an_expression": "the gold is not an expression",
    "other_notation": "the gold is not met by its own value in other notation",
    "agreement": "many completions agree on a value that a looser comparison takes for the gold",
}


def audit_notes(config: Config, sizes: pd.DataFrame, audit: pd.DataFrame) -> list[str]:
    """One note for each data set with disputed golds; sizes: the long table, audit: HARD_AUDIT rows of the run."""
    left_out = config.filter.leave_out_disputed
    notes = []
    for dataset, listed in audit.groupby("dataset", sort=False):
        size = sizes.set_index("dataset").loc[dataset]
        hard_problems = int(size["train"] + size["test"]) + left_out * len(listed)
        lines = audit_lines(listed.to_dict("records"), hard_problems)
        lines.append(f"They are {'left out' if left_out else 'kept'} (filter.leave_out_disputed).")
        notes.append(f"{dataset}: {' '.join(lines)}")
    return notes


def audit_lines(rows: Iterable[Mapping[str, Any]], hard_problems: int) -> list[str]:
    """One sentence on HARD_AUDIT rows of a data set beside the size of its hard set, then one for each reason."""
    counts = Counter(row["reason"] for row in rows)
    lines = [f"A second opinion disputes the golds of {counts.total()} of {hard_problems} hard problems."]
    return lines + [f"{counts[reason]}: {words}." for reason, words in REASONS.items() if counts[reason]]
