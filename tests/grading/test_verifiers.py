"""A data set's own verifier: exact text, or a function of the user's own in the killable workers."""

from pathlib import Path

import pytest
from minimal_config import MINIMAL
from workflow_runs import ROOT

from soar_pipeline.config import (
    Config,
    ConfigError,
    Dataset,
    OwnVerifier,
    Pool,
    QuestionSet,
    SerlRun,
    Settings,
    Shard,
    SoarRun,
    StudentConfig,
    StudentRun,
    validate,
)
from soar_pipeline.config.own_functions import read_verifier_file
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.config.stages import STAGES
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.reward import student_reward
from soar_pipeline.grading.voting import votes

LIMITS = {"timeout_seconds": 1, "memory_mb": 512}
# One file whose function does what its gold says.
OWN = """
import sys

print("a module may print")


def same(gold, answer):
    print("a function, too", file=sys.stderr)
    if gold == "raise":
        return int(answer) == 5
    if gold == "count":
        return answer.count("a")
    if gold == "read":
        return input() == answer
    if gold == "leave":
        sys.exit(3)
    if gold == "hang":
        while True:
            pass
    if gold == "hoard":
        return bool(bytearray(2**32))
    return gold.casefold() == answer.casefold() != "none"
"""


def boxed(answer: str) -> str:
    return rf"\boxed{{{answer}}}"


def own(folder: Path, text: str = OWN) -> OwnVerifier:
    file = folder / "mine.py"
    file.write_text(text, encoding="utf-8")
    return OwnVerifier(file=str(file), function="same")


@pytest.fixture(scope="module")
def exact():
    with Grader(**LIMITS, verifier="exact") as grader:
        yield grader


@pytest.fixture(scope="module")
def grader(tmp_path_factory):
    with Grader(**LIMITS, verifier=own(tmp_path_factory.mktemp("own"))) as grader:
        yield grader


def test_exact_is_equality_in_one_spelling(exact):
    pairs = [
        ("73", "73."),
        (r"\frac{1}{2}", r"\dfrac12"),
        ("7", "007"),
        ("0.5", r"\frac{1}{2}"),
        ("a b", "ab"),
        ("", ""),
    ]
    assert exact.verify(pairs) == [True, True, False, False, False, False]
    assert exact.parses(["(unbalanced", "$.$", ""]) == [True, False, False]
    assert exact.can_be_met(["a word", "} not in a box", ""]) == [True, False, False]


def test_own_function_decides_even_about_plain_integers_and_equal_texts(grader):
    verdicts = [grade.verdict for grade in grader.grade([("Yes", boxed("YES")), ("5", boxed("5.0")), ("5", "5")])]
    assert verdicts == ["right", "wrong", "no_box"]
    # An answer can be a gold, if it is right against itself.
    assert grader.parses(["yes", "None", ""]) == [True, False, False]
    assert grader.can_be_met(["yes", "None"]) == [True, False]
    assert grader.verify([("none", "none"), ("", "yes"), ("yes", "")]) == [False, False, False]


def test_reward_and_votes_work_with_any_verifier(grader):
    grades = grader.grade([("yes", boxed("YES")), ("yes", boxed("oh yes")), ("yes", boxed("no")), ("yes", "yes")])
    assert [student_reward("yes", grade, StudentConfig()) for grade in grades] == [120, 20, 10, 0]
    [vote] = votes([[boxed("a"), boxed("B"), boxed("b"), "b"]], grader)
    assert (vote.answer, vote.rewards) == ("B", [0.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("gold", ["hang", "hoard"])
def test_own_function_has_the_limits_of_any_comparison(gold, grader):
    grades = grader.grade([(gold, boxed("1")), ("yes", boxed("Yes"))])
    assert [grade.verdict for grade in grades] == ["timeout", "right"]


@pytest.mark.parametrize(
    ("gold", "problem"),
    [
        ("raise", r"raised ValueError: invalid literal.*'five'"),
        ("count", "returned 0; return True or False"),
        # Its input is empty: what the worker is asked is none of its business.
        ("read", "raised EOFError"),
        ("leave", "raised SystemExit: 3"),
    ],
)
def test_a_function_that_gives_no_verdict_is_an_error_that_names_it(gold, problem, grader):
    with pytest.raises(ConfigError, match=rf"^verifier: .*mine\.py: same\('{gold}', 'five'\) {problem}"):
        grader.verify([(gold, "five")])
    assert grader.verify([("yes", "Yes")]) == [True]


def test_a_file_that_cannot_be_imported_is_an_error_that_names_it(tmp_path):
    verifier = own(tmp_path, "raise LookupError('no table')\n" + OWN)
    with (
        Grader(verifier=verifier) as grader,
        pytest.raises(ConfigError, match=r"mine\.py cannot be imported: LookupError: no table"),
    ):
        grader.parses(["yes"])


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """The working directory of the minimal configuration, with its pool's file."""
    monkeypatch.chdir(tmp_path)
    Path("pool.jsonl").touch()
    return tmp_path


def configured(verifier: str | dict, **pools: dict) -> Config:
    """The minimal configuration, whose data set has the verifier."""
    values = MINIMAL | {"datasets": {"pool": MINIMAL["datasets"]["pool"] | {"verifier": verifier}}, "pools": pools}
    return resolve_paths(validate(values, "made"), "made", ROOT)


def test_a_worker_refuses_a_file_that_has_changed(run):
    # What it imports lies beside the run.
    Path("table_of_mine.py").write_text("NONE = ''\n", encoding="utf-8")
    text = "from table_of_mine import NONE\n\n\ndef same(gold, answer):\n    return gold == answer != NONE\n"
    verifier = own(run, text)
    config = configured({"file": "mine.py", "function": "same"})
    grading = Settings.of(config, "train_soar", SoarRun("pool", "soar", 1)).grading
    with Grader(**dict(grading)) as grader:
        assert grader.verify([("1", "1"), ("1", "1.0")]) == [True, False]
    Path(verifier.file).write_text(text + "\n", encoding="utf-8")
    with (
        Grader(**dict(grading)) as grader,
        pytest.raises(ConfigError, match=r"mine\.py is [0-9a-f]{64}, not [0-9a-f]{64}: the file has changed since"),
    ):
        grader.verify([("1", "1")])


def test_the_verifier_reaches_every_stage_that_grades(run):
    own(run)
    config = configured({"file": "mine.py", "function": "same"}, more={"adapter": "plain", "path": "pool.jsonl"})
    digest = read_verifier_file(config.datasets["pool"].verifier, "").sha256
    items = {"load_problems": Pool("pool"), "filter_hard": Dataset("pool"), "train_soar": SoarRun("pool", "soar", 1)}
    items |= {"sample_attempts": Shard("pool", 0), "train_fresh_student": StudentRun("pool", "soar_pq", 1, 1)}
    items |= {"evaluate_policy": StudentRun("pool", "soar_ps", 1, 1), "train_serl": SerlRun("pool", 1)}
    items |= {"sample_questions": QuestionSet("pool", "soar_pq", 1), "evaluate_serl": SerlRun("pool", 1)}
    items |= {"evaluate_student": StudentRun("pool", "soar_pq", 1, 1)}
    graded = {stage for stage, keys in STAGES.items() if "grading" in keys}
    # Their judges compare with a grader of their own kind.
    graded -= {"judge_questions", "judge_soar_questions"}
    assert set(items) == graded
    for stage, item in items.items():
        settings = Settings.of(config, stage, item)
        # The file counts by what it holds, wherever it lies.
        assert settings.results["grading"]["verifier"] == {"function": "same", "sha256": digest}
        assert settings.grading.verifier == OwnVerifier(file="mine.py", function="same", sha256=digest)
    assert Settings.of(config, "load_problems", Pool("more")).grading.verifier == "math_verify"


@pytest.mark.parametrize(
    ("text", "keys", "problem"),
    [
        (None, {}, "mine.py is not in"),
        ("def other(gold, answer): ...", {}, r"no `def same\(gold, answer\)` at its top level"),
        ("def same(gold): ...", {}, "must take two arguments"),
        ("import no_such_package\n" + OWN, {}, "imports no_such_package: not installed here"),
        (OWN, {"sha256": "0" * 64}, "the SHA-256 of mine.py is"),
        (OWN, {"function": "same()"}, "function: String should match"),
    ],
)
def test_a_verifier_that_cannot_be_used_is_refused_before_anything_runs(text, keys, problem, run):
    if text is not None:
        own(run, text)
    with pytest.raises(ConfigError, match=rf"^made: datasets\.pool\.verifier.*{problem}"):
        configured({"file": "mine.py", "function": "same"} | keys)


def test_a_student_cannot_train_on_a_pool_with_another_verifier(run):
    questions = {"label": "More", "questions": {"source": "pool", "pool": "more"}}
    values = MINIMAL | {"arms": MINIMAL["arms"] | {"more": questions}}
    values["pools"] = {"more": {"adapter": "plain", "path": "pool.jsonl", "verifier": "exact"}}
    with pytest.raises(
        ConfigError, match=r"arms\.more\.questions\.pool: more has another `verifier` than datasets\.pool"
    ):
        validate(values, "made")
