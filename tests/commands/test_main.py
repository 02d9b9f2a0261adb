"""The command line itself: what it lists, what it refuses, and what it does when nobody reads on."""

import subprocess
import sys

import pytest

from soar_pipeline import __version__
from soar_pipeline.commands.main import COMMANDS, main


def test_help_lists_every_command_with_its_purpose(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert all(f"  {name} " in text and purpose in text for name, (_, purpose) in COMMANDS.items())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(command: str, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: soar-pipeline {command}" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"soar-pipeline {__version__}\n"


def test_a_reader_that_leaves_is_no_traceback():
    command = f"{sys.executable} -m soar_pipeline cost | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
