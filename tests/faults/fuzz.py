"""Fuzzing: the properties of parser, extractor, artifacts and report, on new examples until the time is up.

    python tests/faults/fuzz.py --minutes 10          # or: make fuzz MINUTES=10

Each round runs test_properties.py whole with a seed of its own, as `python -m pytest … --hypothesis-seed=SEED` would
again. Prints the examples of each round and their sum; ends at the first round that fails, which shows its smallest
example, with exit status 1.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

PROPERTIES = Path(__file__).with_name("test_properties.py")
# Of --hypothesis-show-statistics, once for each property and phase.
EXAMPLES = re.compile(r"(\d+) passing(?: examples| test cases)?, (\d+) failing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--examples", type=int, default=1000, help="of a property in a round, at most (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    started, seed, total = time.monotonic(), options.seed, 0
    while total == 0 or time.monotonic() - started < 60 * options.minutes:
        command = [sys.executable, "-m", "pytest", PROPERTIES, "-q", "-p", "no:cacheprovider"]
        command += ["--hypothesis-show-statistics", f"--hypothesis-seed={seed}"]
        environment = os.environ | {"HYPOTHESIS_PROFILE": "fuzz", "FUZZ_EXAMPLES": str(options.examples)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        counts = [int(passing) + int(failing) for passing, failing in EXAMPLES.findall(done.stdout)]
        total += sum(counts)
        minutes = (time.monotonic() - started) / 60
        print(f"seed {seed}: {sum(counts)} examples, {total} in all, {minutes:.1f} minutes", flush=True)
        if done.returncode or not counts:
            sys.exit(done.stdout + done.stderr)
        seed += 1
    print(f"{total} examples of {len(counts)} properties and phases in {minutes:.1f} minutes: none failed")


if __name__ == "__main__":
    main()
