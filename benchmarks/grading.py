"""Grading by a pool of worker processes, against Math-Verify one pair after another in one process.

    python benchmarks/grading.py --data math_test.jsonl            # rows with "solution" and "type", as MATH has them
    python benchmarks/grading.py                                   # pairs that are made up

Of each row come two pairs (gold answer, completion): the row's own solution, and that of another row of its subject
with another answer. A fifth of the right ones write their answer otherwise (7.0 for 7, \\dfrac for \\frac).

- serial: boxes and Math-Verify alone, nothing between the pairs, no limit on time or memory.
- pool: every pair is compared by the grading workers, exactly; they can be killed and have limits.
- grader: as the stages grade: what is plain to see needs no Math-Verify, and equal pairs are compared once.

All three in turns, `--rounds` times, each in fresh processes that have started before the clock does; the quickest
round of each counts. The verdicts of pool and grader are compared pair by pair (exit status 1 if one differs); those of
Math-Verify may differ, and the pairs are printed. Latency is that of the grader asked for one pair at a time, on pairs
that it has not seen.

The machine should have nothing else to do. Where it has, `--cpu-time` leaves the waiting out: seconds are then what
idle cores would need at least, the CPU time of all processes shared out over the cores, or that of the busiest one.
"""

import argparse
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import psutil
from math_verify import parse, verify

from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.fast_path import is_plain_integer, settled
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.workers import Workers

Pair = tuple[str, str]
# Verdicts and seconds.
Graded = tuple[list[bool | None], float]
LATENCY_PAIRS = 1000


def made_up_rows(count: int) -> list[dict[str, str]]:
    """Rows in MATH's form, whose answers are integers, fractions, roots, intervals and polynomials."""
    rng = random.Random(0)
    kinds = ("{a}", "\\frac{{{a}}}{{{b}}}", "{a}\\sqrt{{{b}}}", "[{a},{b}]", "x^2+{a}x+{b}")
    answers = [kinds[i % 5].format(a=rng.randrange(2, 999), b=rng.choice((7, 11, 13, 17, 19))) for i in range(count)]
    return [{"type": str(i % 5), "solution": f"So it is $\\boxed{{{text}}}$."} for i, text in enumerate(answers)]


def pairs_of(rows: list[dict[str, str]], count: int) -> list[Pair]:
    """`count` pairs, right and wrong in turns, in random order; raises SystemExit where there are too few rows."""
    rng = random.Random(0)
    rng.shuffle(rows)
    golds = [last_boxed(row["solution"]) for row in rows]
    boxed = [(row["type"], gold, row["solution"]) for row, gold in zip(rows, golds, strict=True) if gold]
    if 2 * len(boxed) < count:
        raise SystemExit(f"{count} pairs need {count // 2} rows with a boxed answer, and there are {len(boxed)}")
    pairs = []
    for i, (subject, gold, solution) in enumerate(boxed[: count // 2]):
        others = boxed[i + 1 :] + boxed[:i]
        other = next(text for kind, answer, text in others if kind == subject and answer != gold)
        right = solution if i % 5 else f"{solution}\nThe final answer is: \\boxed{{{written_otherwise(gold)}}}"
        pairs += [(gold, right), (gold, other)]
    rng.shuffle(pairs)
    return pairs


def written_otherwise(gold: str) -> str:
    return f"{gold}.0" if is_plain_integer(gold) else gold.replace("\\frac", "\\dfrac")


def answered(pairs: list[Pair]) -> list[Pair]:
    """Gold answers and the boxes of the completions."""
    return [(gold.strip(), last_boxed(completion) or "") for gold, completion in pairs]


class Clock:
    """Seconds that this process and others took, of the wall or of CPU time."""

    def __init__(self, cpu_time: bool, others: Workers | None = None):
        self.cpu_time = cpu_time
        others = [] if others is None else [worker.process.pid for worker in others.idle]
        self.processes = [psutil.Process(pid) for pid in (os.getpid(), *others)]
        self.started = self._now()

    def seconds(self) -> float:
        used = self._now() - self.started
        cores = min(len(used), os.cpu_count())
        return float(max(used.max(), used.sum() / cores) if self.cpu_time else used.max())

    def _now(self) -> np.ndarray:
        """Of each process."""
        if not self.cpu_time:
            return np.array([time.perf_counter()])
        times = [process.cpu_times() for process in self.processes]
        return np.array([time.user + time.system for time in times])


def serial(pairs: list[Pair], cpu_time: bool) -> Graded:
    # Forked, so that nothing is remembered from the round before.
    with get_context("fork").Pool(1, initializer=_warm_up) as process:
        process.apply(os.getpid)
        return process.apply(_serial, (pairs, cpu_time))


def _warm_up() -> None:
    """As a worker does before its first request."""
    # Math-Verify warns that nothing limits its time.
    logging.disable()
    math_verify_alone("\\frac{1}{2}", "x+1")


def _serial(pairs: list[Pair], cpu_time: bool) -> Graded:
    clock = Clock(cpu_time)
    verdicts = []
    for gold, answer in answered(pairs):
        verdicts.append(math_verify_alone(gold, answer))
    return verdicts, clock.seconds()


def math_verify_alone(gold: str, answer: str) -> bool:
    """Its verdict on two boxes; it misreads many answers without."""
    expected, given = (parse(rf"\boxed{{{text}}}", parsing_timeout=None) for text in (gold, answer))
    return verify(expected, given, timeout_seconds=None)


def pool(pairs: list[Pair], count: int, cpu_time: bool) -> Graded:
    workers = Workers(count, timeout_seconds=5, memory_mb=2048)
    start_all(workers)
    clock = Clock(cpu_time, workers)
    verdicts = workers.replies([("verifies", *pair) for pair in answered(pairs)])
    seconds = clock.seconds()
    workers.close()
    return verdicts, seconds


def grader(pairs: list[Pair], count: int, cpu_time: bool) -> Graded:
    with Grader(workers=count) as grader:
        start_all(grader._workers)
        clock = Clock(cpu_time, grader._workers)
        verdicts = [grade.verdict for grade in grader.grade(pairs)]
        seconds = clock.seconds()
    return [None if verdict == "timeout" else verdict == "right" for verdict in verdicts], seconds


def start_all(workers: Workers) -> None:
    workers.replies([("parses", "1")] * workers.workers)


def latencies(pairs: list[Pair], count: int) -> np.ndarray:
    """Milliseconds of one pair each."""
    with Grader(workers=count) as grader:
        start_all(grader._workers)
        seconds = []
        for pair in dict.fromkeys(pairs):
            started = time.perf_counter()
            grader.grade([pair])
            seconds.append(time.perf_counter() - started)
    return 1000 * np.array(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="JSONL of problems with solutions")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="on a machine that does other things too")
    options = parser.parse_args()
    if options.data is None:
        rows = made_up_rows(options.pairs)
    else:
        rows = [json.loads(line) for line in options.data.read_text(encoding="utf-8").splitlines()]
    pairs = pairs_of(rows, options.pairs)
    quick = [settled(*pair) is not None for pair in answered(pairs)]
    print(f"{len(pairs)} pairs, {len(set(answered(pairs)))} of them distinct; plain to see: {sum(quick)}")
    ways: dict[str, Callable[[], Graded]] = {
        "serial": lambda: serial(pairs, options.cpu_time),
        "pool": lambda: pool(pairs, options.workers, options.cpu_time),
        "grader": lambda: grader(pairs, options.workers, options.cpu_time),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    verdicts = {}
    for _ in range(options.rounds):
        for name, grade in ways.items():
            verdicts[name], took = grade()
            seconds[name].append(took)
    best = {name: min(values) for name, values in seconds.items()}
    for name, value in best.items():
        right = verdicts[name].count(True)
        print(f"{name:7} {value:7.2f} s, {len(pairs) / value:8.0f} pairs/s, {right} right")
    print(f"serial / pool    {best['serial'] / best['pool']:.2f} ({options.workers} workers)")
    print(f"serial / grader  {best['serial'] / best['grader']:.2f}")
    one = latencies(pairs[:LATENCY_PAIRS], options.workers)
    print(f"one pair at a time: median {np.median(one):.2f} ms, p99 {np.percentile(one, 99):.1f} ms")
    otherwise = differing(pairs, verdicts["serial"], verdicts["grader"])
    print("\n".join([f"pairs on which Math-Verify says otherwise: {len(otherwise)}", *otherwise[:10]]))
    wrong = differing(pairs, verdicts["pool"], verdicts["grader"])
    print(f"pairs with differing verdicts of pool and grader: {len(wrong)}")
    if wrong:
        sys.exit("\n".join(wrong[:10]))


def differing(pairs: list[Pair], some: list[bool | None], others: list[bool | None]) -> list[str]:
    return [
        f"{gold!r} and {last_boxed(completion)!r}"
        for (gold, completion), one, other in zip(pairs, some, others, strict=True)
        if one != other
    ]


if __name__ == "__main__":
    main()
