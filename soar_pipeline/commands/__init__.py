"""The command `soar-pipeline`: what one does with the pipeline from a terminal, each by a word (docs/install.md)."""
