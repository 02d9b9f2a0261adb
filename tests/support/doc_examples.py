"""The examples of a page, run as a reader would run them."""

import re
from pathlib import Path
from tempfile import NamedTemporaryFile

from forks import run_python


def python_blocks(page: Path) -> list[str]:
    """The Python examples of a Markdown page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def output(example: str, folder: Path) -> str:
    """What an example prints, run in this folder."""
    with NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as program:
        program.write(example)
        program.flush()
        done = run_python(program.name, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
