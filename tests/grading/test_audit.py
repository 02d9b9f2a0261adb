"""The second opinion on hard problems: which golds it disputes, and what becomes of them."""

import pytest

from soar_pipeline.artifacts.files import read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import ATTEMPTS, HARD, HARD_AUDIT, PROBLEMS
from soar_pipeline.config import Dataset, DatasetGrading, FilterConfig, Settings
from soar_pipeline.grading.audit import Dispute, disputes, has_typo
from soar_pipeline.grading.grader import Grader
from soar_pipeline.reporting.audit import audit_lines
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.filter_hard import filter_hard

MADE = Provenance("test", {})
GOLDS = {
    "fine": r"\frac{3}{4}",
    "text": "what 1 2 may be",
    "typo": "t(0,4]",
    "agreed": "3.1416",
    "apart": "5",
}
ANSWERS = {
    "fine": ["1", "2", "3", None],
    "agreed": [r"\pi", r"\pi", r"\pi", "2", None],
    "apart": ["7", "7", "7", "7"],
}
DISPUTED = {
    "text": Dispute("not_an_expression"),
    "typo": Dispute("notation"),
    "agreed": Dispute("agreement", r"\pi", 3),
}


def test_disputed_golds_and_the_reason():
    with Grader(timeout_seconds=60) as grader:
        assert disputes(GOLDS, ANSWERS, grader) == DISPUTED


@pytest.mark.parametrize("gold", ["t(0,4]", "(1,2", "3+", "=5", "1,,2", "{1,2]", "x=", "2**3"])
def test_typos_of_notation(gold):
    assert has_typo(gold)


@pytest.mark.parametrize(
    "gold", ["(0,4]", "]0,4]", r"\{1,2\}", "f(x)=3x", "f(2)", r"\frac{1}{2}", "-5", "5!", r"\pm 3", "x<3", "(1,2)"]
)
def test_what_is_no_typo(gold):
    assert not has_typo(gold)


GOLDS_OF_BENCHMARKS = [r"\frac{3}{4}", r"2\sqrt{3}", "(1,2)", "[0,1)", "x^2+1", r"\text{even}", "1,2"]


def test_golds_in_other_notation():
    with Grader(timeout_seconds=60) as grader:
        assert grader.met_in_other_notation(GOLDS_OF_BENCHMARKS) == [True] * len(GOLDS_OF_BENCHMARKS)


@pytest.mark.parametrize("leave_out", [False, True])
def test_filter_lists_disputed_problems_and_leaves_them_out_only_if_told(tmp_path, leave_out):
    pool = [
        {"problem_id": name, "dataset": "made", "question": name, "answer": gold, "subject": None, "level": None}
        for name, gold in GOLDS.items()
    ]
    attempts = [
        {
            "problem_id": name,
            "sample": sample,
            "completion": "",
            "extracted_answer": answer,
            "verdict": "wrong",
            "tokens": 1,
            "truncated": False,
        }
        for name in GOLDS
        for sample, answer in enumerate(ANSWERS.get(name, [None]))
    ]
    write_parquet(tmp_path / "problems.parquet", table(pool, PROBLEMS), MADE)
    write_parquet(tmp_path / "0.parquet", table(attempts, ATTEMPTS, dataset="made"), MADE)
    hard, audit = tmp_path / "hard.parquet", tmp_path / "hard_audit.parquet"
    settings = Settings(filter=FilterConfig(leave_out_disputed=leave_out), grading=DatasetGrading(timeout_seconds=60))
    files = {"problems": tmp_path / "problems.parquet", "attempts": [tmp_path / "0.parquet"]}
    call_stage(filter_hard, settings, Dataset("made"), **files, hard=hard, audit=audit)
    listed = read_rows(audit, HARD_AUDIT)
    assert {row["problem_id"]: row["reason"] for row in listed} == {
        name: dispute.reason for name, dispute in DISPUTED.items()
    }
    kept = {row["problem_id"] for row in read_rows(hard, HARD)}
    assert kept == set(GOLDS) - (set(DISPUTED) if leave_out else set())
    assert audit_lines(listed, len(GOLDS)) == [
        "A second opinion disputes the golds of 3 of 5 hard problems.",
        "1: the gold has a typo of notation.",
        "1: the gold is not an expression.",
        "1: many completions agree on a value that a looser comparison takes for the gold.",
    ]
