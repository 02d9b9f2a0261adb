"""Exported folders: as the Hub's libraries read them, as their cards say, and as a server receives them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from doc_examples import output, python_blocks
from fake_results import FakeResults, fake_config
from hub_server import hub_server

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.files import read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance, digest
from soar_pipeline.artifacts.schemas import STEPS
from soar_pipeline.commands.main import main
from soar_pipeline.config import Plan, Settings
from soar_pipeline.reporting import record

MODELS = {f"shuffles-soar-t{seed}-{role}" for seed in (1, 2) for role in ("student", "teacher")}


def finished_run(folder: Path, base_model: Path, *, promoted: bool = True) -> Path:
    """A made run with what an export reads of it: models, how they were made, tables."""
    run = FakeResults(fake_config(), folder / "results" / "made", promoted)
    run.write_inputs()
    run.summarise()
    for one in Plan(run.config).soar_runs:
        made = run.folder / one.dataset / "soar" / one.objective / f"t{one.teacher_seed}"
        for role in ("teacher", "student"):
            shutil.copytree(base_model, made / role)
            (made / role / ".snakemake_timestamp").touch()
        settings = Settings.of(run.config, "train_soar", one).results
        # As of a verifier of one's own.
        settings["grading"]["verifier"] = {"file": str(base_model / "config.json"), "function": "same"}
        steps = table(read_rows(made / "steps.parquet", STEPS), STEPS)
        train = run.folder / one.dataset / "train.parquet"
        inputs = {train.as_posix(): digest(train)}
        write_parquet(made / "steps.parquet", steps, Provenance("train_soar", settings, inputs, one.columns()))
    write_text(run.folder / "provenance.json", json.dumps(record.provenance(run.config, [])))
    return run.folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Path:
    return finished_run(tmp_path_factory.mktemp("finished"), base_model)


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    folder = run.parent.parent / "export" / "toy"
    assert main(["export", str(run), "--output", str(folder), "--license", "mit"]) == 0
    return folder


@pytest.fixture(scope="module")
def examples(project: Path) -> list[str]:
    return python_blocks(project / "docs" / "sharing.md")


def head_of(folder: Path) -> dict:
    """The YAML head of a card."""
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_every_promoted_student_every_teacher_and_the_questions_have_a_folder(exported: Path):
    assert {path.name for path in exported.iterdir()} == MODELS | {"questions"}
    assert not list(exported.rglob(".*"))


def test_datasets_loads_the_questions_by_their_names(exported: Path, run: Path, tmp_path: Path):
    from datasets import load_dataset

    def loaded(*name: str) -> pd.DataFrame:
        return load_dataset(str(exported / "questions"), *name, split="train", cache_dir=str(tmp_path)).to_pandas()

    written = pd.concat(pd.read_parquet(path) for path in sorted(run.glob("shuffles/soar/soar/*/questions.parquet")))
    promotions = pd.concat(
        pd.read_parquet(path) for path in sorted(run.glob("shuffles/soar/soar/*/promotions.parquet"))
    )
    keys = ["teacher_seed", "outer_step", "dataset_index"]
    promoted = set(map(tuple, promotions[keys].values))
    expected = [row for row in written.to_dict("records") if tuple(row[key] for key in keys) in promoted]
    # The default.
    assert loaded().to_dict("records") == expected
    assert loaded("promotion_questions").to_dict("records") == expected
    assert list(loaded("written_questions").question) == list(written.question)
    sampled = loaded("sampled_questions")
    assert set(zip(sampled.arm, sampled.teacher_seed, strict=True)) == {("base_t", 1), ("base_t", 2)}


def test_the_examples_of_the_page_read_them(examples: list[str], exported: Path, monkeypatch: pytest.MonkeyPatch):
    folder = exported.parent.parent
    monkeypatch.setenv("HF_HOME", str(folder / "cache"))
    counted = re.findall(r"(\d+) +4$", output(examples[0], folder), flags=re.MULTILINE)
    assert counted == ["5", "9", "5", "9"]
    assert "num_rows: 16" in output(examples[1], folder)


def test_the_card_of_the_questions_says_what_they_are_and_where_from(exported: Path):
    folder = exported / "questions"
    text, head = (folder / "README.md").read_text(encoding="utf-8"), head_of(folder)
    assert head["license"] == "mit"
    assert [one["config_name"] for one in head["configs"]] == [path.stem for path in sorted(folder.glob("*.parquet"))]
    for path in folder.glob("*.parquet"):
        frame = pd.read_parquet(path)
        assert re.search(rf"^\| {path.stem} +\| {len(frame)} +\|", text, flags=re.MULTILINE)
        assert [name for name in frame.columns if not re.search(rf"^\| {name} +\|", text, flags=re.MULTILINE)] == []
    assert re.search(r"problems \(digit_shuffles\) +\| generated by this project, MIT", text)
    assert re.search(r"meta-llama/Llama-3.2-3B-Instruct +\| base model +\| Llama 3.2 Community License", text)
    made = yaml.safe_load((folder / "provenance.json").read_text(encoding="utf-8"))
    assert made["shuffles/soar/soar/t1/questions.parquet"]["stage"] == "made"


def test_nothing_that_is_exported_says_where_the_run_and_its_files_lie(exported: Path, run: Path, project: Path):
    texts = {path: path.read_text(encoding="utf-8") for path in exported.rglob("*") if path.suffix in (".md", ".json")}
    assert len(texts) > 5
    assert [path for path, text in texts.items() if str(run.parent) in text or str(project) in text] == []
    assert "file: config.json" in texts[exported / "shuffles-soar-t1-student" / "README.md"]


def test_the_card_of_a_model_names_base_model_recipe_and_results(exported: Path):
    folder = exported / "shuffles-soar-t1-student"
    text, head = (folder / "README.md").read_text(encoding="utf-8"), head_of(folder)
    assert (head["base_model"], head["license"]) == ("meta-llama/Llama-3.2-3B-Instruct", "mit")
    assert head["pipeline_tag"] == "text-generation"
    recipe = yaml.safe_load(text.split("~~~yaml\n")[1].split("~~~")[0])
    assert recipe["soar"]["outer_steps"] == 12
    assert "had 12 outer steps and 2 promotions" in text
    # 11 of 16 student runs' problems: 3, 2, 3, 3 of 4 problems by one right sample of 8.
    assert re.search(r"^\| \*\*SOAR-PS\*\* +\| pass@8 +\| 68\.8 % \(", text, flags=re.MULTILINE)
    assert re.search(r"^\| Hard-Only +\| pass@8 ", text, flags=re.MULTILINE)
    teacher = (exported / "shuffles-soar-t1-teacher" / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^\| \*\*SOAR-PQ\*\* ", teacher, flags=re.MULTILINE)


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_the_example_of_a_model_card_runs(role: str, exported: Path, capsys):
    folder = exported / f"shuffles-soar-t1-{role}"
    example = (folder / "README.md").read_text(encoding="utf-8").split("~~~python\n")[1].split("~~~")[0]
    example = example.replace("PATH OR NAME", str(folder)).replace("YOUR QUESTION", "482917aL")
    # The made run's limit is that of a real model.
    example = re.sub(r"PROMPT = .*", "PROMPT = '<student>{question}<answer_here>'", example)
    example = re.sub(r"max_new_tokens=\d+", "max_new_tokens=4", example)
    exec(compile(example, "card", "exec"), {})
    assert capsys.readouterr().out


def test_the_example_wraps_a_prompt_that_was_trained_in_a_chat_template():
    from soar_pipeline.sharing.models import _example

    limits = {"student_max_new_tokens": 8, "temperature": 1.0}
    example = _example(
        "student", {"prompts": {"student": "{question}"}, "generation": limits, "model": {"chat_template": True}}
    )
    compile(example.partition("python\n")[2].partition("~~~")[0], "card", "exec")
    assert "tokenizer.apply_chat_template([" in example
    assert "add_special_tokens=False" in example


def test_a_run_without_promotion_has_neither_student_nor_promotion_questions(base_model: Path, tmp_path: Path):
    from datasets import load_dataset

    run = finished_run(tmp_path, base_model, promoted=False)
    assert main(["export", str(run), "--output", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "questions",
        "shuffles-soar-t1-teacher",
        "shuffles-soar-t2-teacher",
    }
    questions = load_dataset(str(tmp_path / "out" / "questions"), split="train", cache_dir=str(tmp_path / "cache"))
    assert set(questions["arm"]) == {"base_t"}
    card = (tmp_path / "out" / "questions" / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^\| promotion_questions +\| 0 +\|", card, flags=re.MULTILINE)


def test_a_folder_that_is_no_finished_run_and_one_that_is_there_are_one_line(run: Path, tmp_path: Path, capsys):
    assert main(["export", str(tmp_path)]) == 1
    assert "is not the folder of a finished run" in capsys.readouterr().err
    assert main(["export", str(run), "--output", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_a_label_of_the_configuration_cannot_write_a_card():
    from soar_pipeline.sharing.cards import table

    shown = table(("arm",), [("<img src=x>|[link](x)`\n# head",)])
    assert shown.splitlines()[-1].strip("| ") == "&lt;img src=x>\\|\\[link](x)\\` # head"


def pushed(run: Path, folder: Path, address: str, token: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, whose client reads the address of the Hub when it is imported."""
    # Not by Xet, the Hub's own storage, which this server does not speak.
    environment = os.environ | {"HF_ENDPOINT": address, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "soar_pipeline", "export", run, "--output", folder, "--push", "somebody", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_push_uploads_every_file_to_private_repositories(run: Path, tmp_path: Path):
    folder = tmp_path / "out"
    with hub_server() as hub:
        done = pushed(run, folder, hub.address, hub.token)
    assert done.returncode == 0, done.stderr
    names = {f"models/somebody/made-{name}" for name in MODELS} | {"datasets/somebody/made-questions"}
    assert set(hub.repositories) == names
    assert all(asked["visibility"] == "private" for asked in hub.repositories.values())
    sent = {f"{repository.partition('made-')[2]}/{path}": content for (repository, path), content in hub.files.items()}
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert sent == files
    assert f"{hub.address}/datasets/somebody/made-questions" in done.stdout


def test_a_refused_push_is_one_line_and_leaves_the_folders(run: Path, tmp_path: Path):
    with hub_server() as hub:
        done = pushed(run, tmp_path / "out", hub.address, "wrong", "--without-models")
    assert done.returncode == 1
    assert done.stderr.startswith("error: somebody/made-questions: could not be uploaded: ")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "out" / "questions" / "README.md").is_file()
