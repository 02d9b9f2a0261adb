"""`soar-pipeline run` and `report`: what Snakemake is asked for, and what is said at the end."""

from pathlib import Path

import pytest
from fake_results import FakeResults, fake_config
from workflow_runs import ROOT

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.commands import run as commands
from soar_pipeline.commands.main import main

SMOKE = ROOT / "config" / "smoke.yaml"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The words that Snakemake is started with in an empty folder, where it makes nothing."""
    words: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "_call", lambda command, environment: words.append(command[2:]) or 0)
    return words


def test_files_and_options_of_snakemake_stand_before_the_configuration(asked: list[list[str]]):
    assert main(["run", "--configfile", "config/smoke.yaml", "results/a.parquet", "--forcerun", "split_hard"]) == 0
    files, tail = ["results/a.parquet", "--forcerun", "split_hard", "--cores", "all"], ["--configfile", str(SMOKE)]
    assert asked == [["snakemake", *files, "--snakefile", str(ROOT / "Snakefile"), *tail]]


def test_config_of_snakemake_is_not_taken_for_the_configfile(asked: list[list[str]]):
    assert main(["run", "-n", "--config", "run=other"]) == 0
    [words] = asked
    assert words[1:4] == ["-n", "--config", "run=other"]
    assert words[-1] == str(ROOT / "config" / "config.yaml")


def test_a_profile_of_a_cluster_decides_how_much_runs_at_once(asked: list[list[str]]):
    main(["run", "--profile", "slurm"])
    assert "--cores" not in asked[0]


def test_the_end_says_the_finding_and_where_the_report_is(asked: list[list[str]], capsys):
    folder = Path("results/smoke")
    folder.mkdir(parents=True)
    (folder / "finding.txt").write_text("Nothing was shown.\n")
    main(["run", "--configfile", str(SMOKE)])
    assert capsys.readouterr().out == "\nNothing was shown.\nreport: results/smoke/report.html\n"
    # Of another run, or of none.
    for words in (["--config", "run=other"], ["-n"]):
        main(["run", "--configfile", str(SMOKE), *words])
        assert capsys.readouterr().out == ""


def test_a_report_trains_nothing(asked: list[list[str]], tmp_path: Path, capsys):
    assert main(["report", "--configfile", str(SMOKE)]) == 1
    assert asked == []
    assert "evaluations are not there, such as results/smoke/" in capsys.readouterr().err

    made = FakeResults(fake_config(), tmp_path / "results" / "made")
    made.write_inputs()
    made.select()
    write_text(tmp_path / "made.yaml", made.config.model_dump_json(exclude_unset=True))
    assert main(["report", "--configfile", "made.yaml"]) == 0
    allowed = asked[0][asked[0].index("--allowed-rules") + 1 :]
    assert set(allowed[: allowed.index("--forcerun")]) == set(commands.REPORTING_RULES)
    assert not any(rule.startswith(("train", "sample")) for rule in commands.REPORTING_RULES)
