"""`make fuzz` in its smallest form: it counts what it tried, and would end where nothing was."""

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).with_name("fuzz.py")


def test_a_round_counts_the_examples_of_every_property():
    command = [sys.executable, FUZZ, "--minutes", "0", "--examples", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *rounds, last = done.stdout.splitlines()
    assert len(rounds) == 1
    assert int(last.split()[0]) > 40
    assert last.endswith("none failed")
