import json
import signal
import threading
import time
from itertools import pairwise

import psutil
import pytest
from math_verify import parse, verify

from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.fast_path import settled
from soar_pipeline.grading.grader import Grade, Grader

LIMITS = {"timeout_seconds": 2, "memory_mb": 1024}
# Runs in C, deaf to the worker's own alarm: only the parent's kill ends it.
TOWER = "9^{9^{9^{9}}}"


@pytest.fixture(scope="module")
def grader():
    with Grader(**LIMITS) as grader:
        yield grader


@pytest.fixture(scope="module")
def math_golds(benchmark_data):
    with (benchmark_data / "math_test.jsonl").open(encoding="utf-8") as rows:
        golds = [last_boxed(json.loads(row)["solution"]) for row in rows]
    # Every 25th of the 5000 rows, so that all subjects are there.
    return golds[::25]


def boxed(answer):
    return f"So the final answer is: \\boxed{{{answer}}}"


def children():
    return psutil.Process().children()


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{5}", "5"),
        (r"first \boxed{4}, no: \boxed{5}. Done", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{ 5 }", "5"),
        (r"\boxed{}", ""),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{a\\}b}", r"a\\"),
        (r"\boxed{[0,1\}}", r"[0,1\}"),
        ("\\boxed{1\n2}", "1\n2"),
        (r"no box", None),
        ("", None),
        (r"\boxed 5", None),
        (r"\boxed{\frac{1}{2}", None),
        ("\\boxed{5\\", None),
    ],
)
def test_last_box(text, content):
    assert last_boxed(text) == content


@pytest.mark.parametrize(
    "text", ["\\boxed{" * 20_000, "{" * 100_000, "\\boxed{" + "{" * 100_000, "\\boxed{" + "}" * 10**5]
)
def test_hostile_text_is_read_in_linear_time(text):
    started = time.process_time()
    last_boxed(text)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "5"),
        ("5", " 5 "),
        ("5", "5.0"),
        ("5", "$5$"),
        ("5", "x=5"),
        ("5", r"\text{5}"),
        ("7", "007"),
        ("-3", "- 3"),
        ("1000", "1,000"),
        ("1024", "2^{10}"),
        ("10", r"\binom{5}{2}"),
        ("120", "5!"),
        ("0.001", "10^{-3}"),
        (r"\frac{1}{2}", "0.5"),
        (r"\frac{1}{2}", "1/2"),
        (r"\frac12", r"\dfrac{1}{2}"),
        (r"\frac{1}{2}", r"\frac{3}{6}"),
        (r"-\frac{1}{2}", r"\frac{-1}{2}"),
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("2", r"\sqrt[3]{8}"),
        (r"2\pi", r"\pi \cdot 2"),
        ("(x+1)^2", "x^2+2x+1"),
        ("3+4i", "4i+3"),
        ("(1,2)", r"\left( 1, 2 \right)"),
        (r"\left(\frac12,3\right)", "(0.5,3)"),
        ("1,2", "2,1"),
        (r"\{1,2\}", r"\{2,1\}"),
        ("[0,1)", r"\left[0,1\right)"),
        (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty) \cup (-\infty,2)"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        ("5", r"5 \text{ cm}"),
        (r"5\text{ cm}", "5"),
        (r"90^\circ", "90"),
        (r"\$5", "5"),
        (r"50\%", "50"),
        (r"\text{even}", r"\text{even}"),
        (r"\text{Tuesday}", r"\text{ Tuesday}"),
        (r"\infty", r"\infty"),
        # Only text to Math-Verify.
        ("a + b + c", "a+b+c"),
    ],
)
def test_right(grader, gold, answer):
    assert grader.grade([(gold, boxed(answer))]) == [Grade("right", answer.strip())]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "6"),
        ("5", "-5"),
        ("5", ""),
        ("5", "  "),
        ("", ""),
        ("", "5"),
        ("5", "five"),
        ("5", r"\text{no solution}"),
        ("5", "5x"),
        ("482917", "829174"),
        ("482917", "482917482917"),
        ("12345678901234567890123456789012345678901", "12345678901234567890123456789012345678902"),
        (r"\frac{1}{2}", r"\frac{1}{3}"),
        (r"\frac{1}{2}", "2"),
        (r"\frac{1}{2}", r"\frac{1}{}"),
        (r"\sqrt{2}", "1.4"),
        (r"2\pi", r"\pi"),
        ("(x+1)^2", "x^2+1"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "(1,2,3)"),
        (r"\{1,2\}", r"\{1,3\}"),
        (r"\{1,2\}", r"\{1\}"),
        ("1,2", "1"),
        ("[0,1)", "[0,2)"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
        (r"\text{even}", r"\text{odd}"),
        (r"\infty", r"-\infty"),
        # Of this gold Math-Verify reads `a +`, and so it does of the answers.
        ("a + b + c", "a + m"),
        ("a + b + c", "a + b + d"),
        # The gold comes first: the other way round, Math-Verify takes the equation for its right side.
        ("2x+z=1", "1"),
        ("5", "\N{SUPERSCRIPT FIVE}"),
        ("5", "????"),
        ("5", "\\ "),
        ("5", "1}{0"),
    ],
)
def test_wrong(grader, gold, answer):
    [grade] = grader.grade([(gold, boxed(answer))])
    assert grade.verdict == "wrong"


@pytest.mark.parametrize(
    "completion",
    ["", "5", "The final answer is: 5", "$5$", r"\boxed 5", r"\boxed{5", "(5)"],
)
def test_answer_outside_a_box_is_no_answer(grader, completion):
    assert grader.grade([("5", completion)]) == [Grade("no_box", None)]


@pytest.mark.parametrize(
    ("completion", "verdict"),
    [
        (r"\boxed{5}. Hence the final answer is 7.", "right"),
        (r"The final answer is $5$. \boxed{7}", "wrong"),
        (r"\boxed{5}, no: \boxed{7}", "wrong"),
        (r"\boxed{7}, no: \boxed{5}", "right"),
    ],
)
def test_only_the_last_box_counts(grader, completion, verdict):
    assert [grade.verdict for grade in grader.grade([("5", completion)])] == [verdict]


def test_each_math_gold_verifies_against_itself_in_math_verify(grader, math_golds):
    # The dollar signs keep the fast path out of it.
    grades = grader.grade([(gold, boxed(f"${gold}$")) for gold in math_golds])
    assert [gold for gold, grade in zip(math_golds, grades, strict=True) if grade.verdict != "right"] == []


def test_math_golds_parse(grader, math_golds):
    assert [gold for gold, parses in zip(math_golds, grader.parses(math_golds), strict=True) if not parses] == []


def _math_verify(gold, answer):
    return verify(*(parse(f"\\boxed{{{text}}}") for text in (gold, answer)))


SMALL = [
    "0",
    "-0",
    "00",
    "7",
    "07",
    "-7",
    "--7",
    "+7",
    "70",
    "7.0",
    "-70",
    "829174",
    "482917",
    "9" * 60,
    "-" + "9" * 60,
]


@pytest.mark.parametrize("gold", SMALL)
def test_fast_path_agrees_with_math_verify(gold):
    quick = {answer: settled(gold, answer) for answer in SMALL}
    known = {answer: right for answer, right in quick.items() if right is not None}
    assert known == {answer: _math_verify(gold, answer) for answer in known}


def test_fast_path_agrees_with_math_verify_on_math_golds(math_golds):
    pairs = [*zip(math_golds, math_golds, strict=True), *pairwise(math_golds)]
    known = {pair: right for pair in pairs if (right := settled(*pair)) is not None}
    assert len(known) > len(math_golds)
    assert known == {pair: _math_verify(*pair) for pair in known}


@pytest.mark.parametrize("answer", ["5", "-12", r"\frac{1}{2}", "(1,2)", r"\text{even}", "x^2+1", "482917"])
def test_expressions_parse(grader, answer):
    assert grader.parses([answer]) == [True]


@pytest.mark.parametrize("answer", ["", " ", "$", "}{"])
def test_what_is_no_expression_does_not_parse(grader, answer):
    assert grader.parses([answer]) == [False]


@pytest.mark.parametrize("gold", ["5", " 5 ", r"\frac{1}{2}", "1,2", r"\text{even}", r"\sin^2 t", r"\frac{1}{5,\!525}"])
def test_golds_can_be_met_even_if_only_as_text(grader, gold):
    assert grader.can_be_met([gold]) == [True]


@pytest.mark.parametrize("gold", ["", " ", "$", "}{", r"\text{}"])
def test_golds_that_nothing_can_verify(grader, gold):
    assert grader.can_be_met([gold]) == [False]


def test_text_does_not_pass_for_an_expression(grader):
    # What a teacher may answer its question with is no wider for published answers that are text.
    assert grader.parses(["}{5", r"5 + \frac{1}", "what 1 2 may be"]) == [False] * 3


def test_plain_answers_start_no_worker():
    before = children()
    with Grader(**LIMITS) as grader:
        grades = grader.grade([("482917", boxed("482917")), ("482917", boxed("829174")), ("482917", "no box")])
        assert grader.parses(["482917", "829174"]) == [True, True]
        assert children() == before
    assert [grade.verdict for grade in grades] == ["right", "wrong", "no_box"]


def test_closing_ends_the_workers():
    before = children()
    with Grader(**LIMITS) as grader:
        grader.grade([("5", boxed("5.0"))])
        assert len(children()) == len(before) + 1
    assert children() == before


def test_hostile_tower_costs_only_its_own_pair():
    with Grader(**LIMITS) as grader:
        started = time.monotonic()
        grades = grader.grade([("5", boxed("5.0")), ("5", boxed(TOWER)), (r"\frac12", boxed("0.5"))])
        # Beyond the timeout come two worker starts, the kill's grace, and other work on the machine.
        assert time.monotonic() - started < LIMITS["timeout_seconds"] + 30
    assert [grade.verdict for grade in grades] in (["right", "timeout", "right"], ["right", "wrong", "right"])


def test_worker_out_of_memory_costs_only_its_own_pair():
    before = set(children())
    with Grader(**LIMITS) as grader:
        grader.grade([("5", boxed("5.0"))])
        [worker] = set(children()) - before
        # What a memory bomb does slowly: nothing is left below the limit.
        worker.rlimit(psutil.RLIMIT_AS, (worker.memory_info().vms,) * 2)
        grades = grader.grade([("x", boxed("+".join(["x"] * 20_000))), ("6", boxed("6.0"))])
    assert [grade.verdict for grade in grades] == ["timeout", "right"]


def test_workers_limit_their_memory(grader):
    before = set(children())
    with Grader(**LIMITS) as own:
        own.grade([("5", boxed("5.0"))])
        [worker] = set(children()) - before
        soft, _ = worker.rlimit(psutil.RLIMIT_AS)
        start = worker.memory_info().vms
        assert start < soft <= start + LIMITS["memory_mb"] * 2**20


def test_killed_idle_worker_is_replaced():
    before = set(children())
    with Grader(**LIMITS) as grader:
        grader.grade([("5", boxed("5.0"))])
        [worker] = set(children()) - before
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert [grade.verdict for grade in grader.grade([("6", boxed("6.0")), ("7", boxed("7.0"))])] == ["right"] * 2


def test_kill_of_a_busy_worker_costs_nothing():
    before = set(children())
    pairs = [(str(n), boxed(f"{n}.0")) for n in range(400)]

    def kill_once():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for worker in set(children()) - before:
                # Ready and at work, not still importing.
                if worker.cpu_times().user > 0 and worker.rlimit(psutil.RLIMIT_AS)[0] != psutil.RLIM_INFINITY:
                    worker.send_signal(signal.SIGKILL)
                    killed.append(worker.pid)
                    return
            time.sleep(0.005)

    killed = []
    killer = threading.Thread(target=kill_once)
    with Grader(**LIMITS) as grader:
        grader.grade([("5", boxed("5.0"))])
        killer.start()
        verdicts = [grade.verdict for grade in grader.grade(pairs)]
        killer.join()
    assert killed
    assert set(verdicts) == {"right"}


def test_kill_of_a_starting_worker_costs_nothing():
    before, killed = set(children()), []

    def kill_once():
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            for worker in set(children()) - before:
                worker.send_signal(signal.SIGKILL)
                killed.append(worker.pid)
                return
            time.sleep(0.005)

    killer = threading.Thread(target=kill_once)
    with Grader(**LIMITS) as grader:
        killer.start()
        assert grader.grade([("5", boxed("5.0"))]) == [Grade("right", "5.0")]
        killer.join()
    assert killed


def test_several_workers_keep_the_order():
    pairs = [(str(n), boxed(f"{n + n % 3}.0")) for n in range(60)]
    with Grader(workers=2) as grader:
        verdicts = [grade.verdict for grade in grader.grade(pairs)]
    assert verdicts == ["right" if n % 3 == 0 else "wrong" for n in range(60)]


def test_same_pair_is_compared_once():
    before = set(children())
    with Grader(**LIMITS) as grader:
        first = grader.grade([("5", boxed("5.0"))] * 3)
        [worker] = set(children()) - before
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert grader.grade([("5", "Again: " + boxed("5.0"))]) == first[:1]
        assert not {process.pid for process in set(children()) - before} - {worker.pid}


def test_no_pairs():
    with Grader(**LIMITS) as grader:
        assert grader.grade([]) == []
        assert grader.parses([]) == []
