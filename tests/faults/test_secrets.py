"""Secrets of the environment, planted: nowhere in artifacts, logs, provenance or report."""

import json
import logging
import os

import psutil
import pyarrow.parquet as pq
import pytest
from fake_results import FakeResults, fake_config
from forks import run_python
from judge_server import JudgeServer, Judging, says, verdict

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.provenance import read_provenance
from soar_pipeline.grading.grader import Grader

JUDGE_KEY = "sk-Planted-0123456789ABCdef"
SECRETS = {
    "JUDGE_KEY": JUDGE_KEY,
    "OPENAI_API_KEY": "sk-Planted-openai-456",
    "HF_TOKEN": "hf_PlantedPlantedPlanted",
    "WANDB_API_KEY": "wandb-Planted-789",
    "AWS_SECRET_ACCESS_KEY": "aws/Planted/012",
}


@pytest.fixture
def planted(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def texts_below(folder):
    """Everything below a folder as bytes; Parquet is compressed, so its values and metadata are read as such."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()
            if path.suffix == ".parquet":
                yield path, json.dumps(read_provenance(path)).encode()
                yield path, repr(read_rows(path, pq.read_schema(path))).encode()


def leaks(folder, *said):
    found = [(path, text) for path, text in texts_below(folder)] + [("said", text.encode()) for text in said]
    assert len(found) > len(said)
    return [(path, name) for path, text in found for name, value in SECRETS.items() if value.encode() in text]


def test_the_judges_key_is_not_in_a_report_nor_in_anything_before_it(planted, tmp_path):
    """From an endpoint that echoes the key, through taxonomy and tables, to the page."""
    echo = says(verdict(working=f"You sent {JUDGE_KEY}", correct_answer=JUDGE_KEY))
    config = fake_config(
        taxonomy={
            "judge": {
                "kind": "endpoint",
                "base_url": "http://127.0.0.1:9/v1",
                "model": "judge-1",
                "api_key_variable": "JUDGE_KEY",
            },
            "arms": ["soar_pq"],
        }
    )
    run = FakeResults(config, tmp_path / "run")
    run.write_inputs()
    with JudgeServer(lambda *_: echo) as server:
        judge = {"kind": "endpoint", "base_url": server.url, "model": "judge-1", "api_key_variable": "JUDGE_KEY"}
        judging = Judging(tmp_path / "judged", judge)
        judging.write(("What is 3 + 4?", "7"))
        said = run_python(*judging.command())
        assert said.returncode == 0, said.stderr
        assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {JUDGE_KEY}"}
    target = run.data / "taxonomy" / "soar_pq" / "t1.parquet"
    target.parent.mkdir(parents=True)
    target.write_bytes(judging.taxonomy.read_bytes())
    run.summarise()
    run.draw()
    page = run.report()
    assert "JUDGE_KEY" in page, "the name of the variable is no secret"
    assert leaks(tmp_path, page, said.stdout, said.stderr) == []


def test_no_secret_of_the_environment_is_in_a_training_or_its_log(planted, made_student, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, logger="soar_pipeline"):
        made_student(tmp_path).run()
    assert caplog.text
    assert leaks(tmp_path, caplog.text) == []


def test_a_grading_worker_that_reads_hostile_text_has_no_secret_in_its_environment(planted):
    before = set(psutil.Process().children())
    with Grader() as grader:
        grader.grade([("5", "\\boxed{5.0}")])
        [worker] = set(psutil.Process().children()) - before
        assert not set(SECRETS) & set(worker.environ())
        assert worker.environ()["PYTHONHASHSEED"] == "0"
    assert set(SECRETS) <= set(os.environ)
