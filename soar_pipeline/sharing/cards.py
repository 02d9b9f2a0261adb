"""What the cards of data sets and models have in common: a YAML head, tables, how it was made, sources."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from tabulate import tabulate

from soar_pipeline import __version__

PAPER = """```bibtex
@inproceedings{sundaram2026teaching,
  title     = {Teaching Models to Teach Themselves: Reasoning at the Edge of Learnability},
  author    = {Sundaram, Shobhita and Quan, John and Kwiatkowski, Ariel and Ahuja, Kartik and Ollivier, Yann and
               Kempe, Julia},
  booktitle = {International Conference on Machine Learning},
  year      = {2026},
  note      = {arXiv:2601.18778}
}
```

The paper's authors have no part in this."""


def card(head: dict[str, Any], *parts: str) -> str:
    """A README.md of the Hub: `head` as YAML, then the parts as paragraphs."""
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n" + "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Markdown; a name of somebody's configuration may hold what Markdown and HTML would read."""
    cells = [[_plain(str(cell)) for cell in row] for row in rows]
    return tabulate(cells, list(header), tablefmt="github", disable_numparse=True)


def _plain(text: str) -> str:
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|").replace("`", "\\`").replace("[", "\\[")


def sources(rows: list[tuple[str, str, str]]) -> str:
    """The section about where it comes from, and what may be done with it."""
    return (
        "## Sources and their licences\n\n"
        f"{table(('source', 'what', 'licence'), rows)}\n\n"
        "The licence at the head of this card is the one that was chosen on export; check that these allow it."
    )


def made_with(versions: dict[str, str]) -> str:
    """The program and the packages that decide results."""
    packages = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()) if name != "soar-pipeline")
    return f"Made with soar-pipeline {versions.get('soar-pipeline', __version__)} ({packages})."
