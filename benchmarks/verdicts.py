"""False refusals and false acceptances of three graders: this one, Math-Verify alone, and equality of texts.

    python benchmarks/verdicts.py                                       # tests/grading/cases.jsonl
    python benchmarks/verdicts.py --data math_test.jsonl                # and the golds of MATH
    python benchmarks/verdicts.py --olympiadbench OE_TO_maths_en_COMP.json

Three kinds of pairs (gold, content of a box) whose verdict is known:

- cases: pairs of a file, with what a mathematician says of each.
- themselves: each gold of a benchmark against itself; against itself as the end of a sentence; and with `x = ` before
  it if it is neither an equation nor a list. All are right.
- mutated: each gold against itself with one digit changed. All are wrong.

`--show` prints the pairs that get the wrong verdict. Math-Verify gets the gold and the answer in boxes, which is how it
reads most; equality leaves white space out.
"""

import argparse
import json
import logging
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import math_verify

from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.grader import Grader
from soar_pipeline.problems.olympiadbench import olympiadbench_problem
from soar_pipeline.problems.rows import Row, problems_in

CASES = Path(__file__).resolve().parent.parent / "tests" / "grading" / "cases.jsonl"


class Pair(NamedTuple):
    gold: str
    box: str
    right: bool


def cases(path: Path) -> list[Pair]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Pair(row["gold"], row["box"], row["right"]) for row in rows]


def math_golds(path: Path) -> list[str]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [gold for row in rows if (gold := last_boxed(row["solution"]))]


def olympiadbench_golds(path: Path) -> list[str]:
    values = json.loads(path.read_text(encoding="utf-8"))
    rows = (Row(str(path), number, row) for number, row in enumerate(values, start=1))
    return [problem.answer for problem in problems_in(rows, olympiadbench_problem).problems]


def themselves(golds: list[str]) -> list[Pair]:
    forms = []
    for gold in golds:
        forms += [(gold, gold), (gold, f"{gold.removesuffix('.')}.")]
        if not re.search(r"[=<>,]|\\text|\\[lg]eq?\b|and|or", gold):
            forms.append((gold, f"x = {gold}"))
    return [Pair(gold, box, True) for gold, box in forms]


def mutated(golds: list[str]) -> list[Pair]:
    """Golds that hold no digit are left out."""
    rng = random.Random(0)
    pairs = []
    for gold in golds:
        places = [place for place, letter in enumerate(gold) if letter in "0123456789"]
        if places:
            place = rng.choice(places)
            digit = rng.choice([digit for digit in "123456789" if digit != gold[place]])
            pairs.append(Pair(gold, gold[:place] + digit + gold[place + 1 :], False))
    return pairs


def ours(pairs: list[Pair]) -> list[bool | None]:
    with Grader(workers=2, timeout_seconds=30) as grader:
        return grader.verify([(pair.gold, pair.box) for pair in pairs])


def math_verify_alone(pairs: list[Pair]) -> list[bool | None]:
    boxed = [[math_verify.parse(rf"\boxed{{{text}}}") for text in (pair.gold, pair.box)] for pair in pairs]
    return [math_verify.verify(gold, box) for gold, box in boxed]


def equality(pairs: list[Pair]) -> list[bool | None]:
    return ["".join(pair.gold.split()) == "".join(pair.box.split()) for pair in pairs]


GRADERS: dict[str, Callable[[list[Pair]], list[bool | None]]] = {
    "this grader": ours,
    "Math-Verify alone": math_verify_alone,
    "equality of texts": equality,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, help="JSONL with gold, box and right")
    parser.add_argument("--data", type=Path, help="JSONL of problems with solutions, as MATH has them")
    parser.add_argument("--olympiadbench", type=Path, help="its JSON file of open-ended English mathematics")
    parser.add_argument("--every", type=int, default=1, help="take every so many-th gold of a benchmark: quicker")
    parser.add_argument("--show", action="store_true", help="print the pairs with a wrong verdict of this grader")
    options = parser.parse_args()
    # Math-Verify logs what it cannot compare.
    logging.disable()
    golds = {}
    if options.data is not None:
        golds["MATH"] = math_golds(options.data)
    if options.olympiadbench is not None:
        golds["OlympiadBench"] = olympiadbench_golds(options.olympiadbench)
    sets = {"cases": cases(options.cases)}
    for name, texts in golds.items():
        texts = texts[:: options.every]
        sets |= {f"{name}, themselves": themselves(texts), f"{name}, mutated": mutated(texts)}
    print("| pairs | right | wrong | grader | false refusals | false acceptances |")
    print("|---|---|---|---|---|---|")
    for name, pairs in sets.items():
        right = sum(pair.right for pair in pairs)
        for grader, grade in GRADERS.items():
            verdicts = list(zip(pairs, grade(pairs), strict=True))
            refused = [pair for pair, verdict in verdicts if pair.right and not verdict]
            accepted = [pair for pair, verdict in verdicts if not pair.right and verdict]
            print(
                f"| {name} | {right} | {len(pairs) - right} | {grader} | {len(refused)} | {len(accepted)} |", flush=True
            )
            if options.show and grader == "this grader":
                for pair in refused + accepted:
                    print(f"  {pair}")


if __name__ == "__main__":
    main()
