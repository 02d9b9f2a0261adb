"""The examples of a page, run as a reader would run them."""

import re
import subprocess
import sys
from pathlib import Path


def python_blocks(page: Path) -> list[str]:
    """The Python examples of a Markdown page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def output(example: str, folder: Path) -> str:
    """What an example prints, run in this folder in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
