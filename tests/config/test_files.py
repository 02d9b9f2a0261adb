"""Every file that a configuration names is found and checked before anything runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from soar_pipeline.config import Config, ConfigError, OwnVerifier, load
from soar_pipeline.config.own_functions import check_import, own_functions
from soar_pipeline.config.packages import check_packages
from soar_pipeline.config.paths import find, resolve_paths


@pytest.fixture
def smoke(project: Path) -> Config:
    return load(project / "config" / "smoke.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def with_prompt(config: Config, role: str, path: str) -> Config:
    return config.model_copy(update={"prompts": config.prompts.model_copy(update={role: path})})


def with_dataset(config: Config, **changes: object) -> Config:
    dataset = config.datasets["shuffles"].model_copy(update=changes)
    return config.model_copy(update={"datasets": {"shuffles": dataset}})


def with_arm(config: Config, **changes: object) -> Config:
    arm = config.arms["hard_only"].model_copy(update=changes)
    return config.model_copy(update={"arms": {**config.arms, "hard_only": arm}})


def with_model(config: Config, path: str) -> Config:
    model = config.models["base"].model_copy(update={"source": "folder", "path": path})
    return config.model_copy(update={"models": {"base": model}})


def refusal(config: Config, project: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_paths(config, "run.yaml", project)
    message = str(caught.value)
    assert message.startswith("run.yaml: ")
    assert "\n" not in message
    return message.removeprefix("run.yaml: ")


def test_a_file_is_looked_for_here_then_beside_the_configuration_then_in_the_project(folder: Path):
    beside, project = folder / "configs", folder / "project"
    for place in (beside, project):
        place.mkdir()
    (project / "own.txt").write_text("project")
    assert find("own.txt", beside, project) == str(project / "own.txt")
    (beside / "own.txt").write_text("beside")
    assert find("own.txt", beside, project) == str(beside / "own.txt")
    Path("own.txt").write_text("here")
    assert find("own.txt", beside, project) == "own.txt"


def test_each_place_of_a_file_that_is_missing_is_named_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    work = folder / "work"
    with pytest.raises(FileNotFoundError, match=rf"^own.txt is not in {work} or {folder}$"):
        find("own.txt", folder)
    with pytest.raises(FileNotFoundError, match=rf"^own.txt is not in {work}$"):
        find("own.txt", work, work)
    with pytest.raises(FileNotFoundError, match=r"^/no/own.txt does not exist$"):
        find("/no/own.txt", folder)
    with pytest.raises(FileNotFoundError, match=r"`~` is not expanded"):
        find("~/own.txt", folder)


def test_prompts_beside_the_configuration_are_read(smoke: Config, folder: Path, project: Path):
    (folder / "mine.txt").write_text("Solve {question}")
    config = resolve_paths(with_prompt(smoke, "student", "mine.txt"), "run.yaml", project, beside=folder)
    assert Path(config.prompts.student) == folder / "mine.txt"


BAD_PROMPTS = [
    ("student", "no placeholder", "must hold {question} exactly once, and holds it 0 times"),
    ("student", "{question} and {question}", "must hold {question} exactly once, and holds it 2 times"),
    ("teacher_answer", "no placeholder", "must hold {question} exactly once, and holds it 0 times"),
    ("serl", "{question}", "must hold {questions} exactly once, and holds it 0 times"),
    ("serl_rollout", "{questions}", "must hold {question} exactly once, and holds it 0 times"),
    ("judge", "{boundary}{question}{boundary}", "must hold {answer} exactly once, and holds it 0 times"),
    ("judge", "{boundary}{question}{answer}", "must hold {boundary} before and after"),
    ("teacher", " \n", "is empty"),
    ("teacher_question", "", "is empty"),
]


@pytest.mark.parametrize(("role", "text", "reason"), BAD_PROMPTS)
def test_a_prompt_that_cannot_be_used_is_refused_by_its_key(smoke, folder, project, role, text, reason):
    Path("prompt.txt").write_text(text)
    assert refusal(with_prompt(smoke, role, "prompt.txt"), project).startswith(f"prompts.{role}: prompt.txt {reason}")


def test_a_prompt_that_is_a_folder_or_not_text_is_refused(smoke: Config, folder: Path, project: Path):
    assert refusal(with_prompt(smoke, "teacher", str(folder)), project).startswith("prompts.teacher: ")
    Path("prompt.txt").write_bytes(b"\xff\xfe")
    message = refusal(with_prompt(smoke, "teacher", "prompt.txt"), project)
    assert message == "prompts.teacher: prompt.txt is not text in UTF-8"


def test_problems_in_a_folder_are_refused(smoke: Config, folder: Path, project: Path):
    message = refusal(with_dataset(smoke, adapter="plain", path=str(folder)), project)
    assert message == f"datasets.shuffles.path: {folder} is a folder; name the file of the problems in it"


def test_a_path_that_snakemake_would_take_for_a_pattern_is_refused(smoke: Config, folder: Path, project: Path):
    Path("a{b}.jsonl").touch()
    message = refusal(with_dataset(smoke, adapter="plain", path="a{b}.jsonl"), project)
    assert message.startswith("datasets.shuffles.path: a{b}.jsonl has braces")


def test_a_folder_without_a_model_is_refused(smoke: Config, folder: Path, project: Path, base_model: Path):
    message = refusal(with_model(smoke, str(folder)), project)
    assert message == f"models.base.path: {folder} is not a Hugging Face folder: it has no config.json"
    shutil.copytree(base_model, "model")
    assert resolve_paths(with_model(smoke, "model"), "run.yaml", project).models["base"].path == "model"


def test_a_chat_template_that_the_model_lacks_is_refused_by_its_key(smoke, folder, project, base_model):
    shutil.copytree(base_model, "model")
    models = {"base": smoke.models["base"].model_copy(update={"path": "model", "chat_template": True})}
    config = smoke.model_copy(update={"models": models})
    reason = "true, but model has no chat template; set it to false"
    assert refusal(config, project) == f"models.base.chat_template: {reason}"
    serl = smoke.model_copy(
        update={"serl": smoke.serl.model_copy(update={"style": "numbered_list", "chat_template": True})}
    )
    assert refusal(serl, project).startswith("serl.chat_template: true, but ")
    Path("model/chat_template.jinja").write_text("{{ messages }}")
    assert resolve_paths(config, "run.yaml", project).models["base"].chat_template


def test_a_row_that_the_paper_does_not_have_is_refused(smoke: Config, folder: Path, project: Path):
    message = refusal(with_arm(smoke, paper="Hard-Onyl"), project)
    assert message.startswith("arms.hard_only.paper: the paper's tables have no row 'Hard-Onyl'; their rows are [")
    assert "'Hard-Only'" in message
    assert resolve_paths(with_arm(smoke, paper="Hard-Only"), "run.yaml", project).arms["hard_only"].paper == "Hard-Only"


def test_a_package_is_asked_for_by_the_rules_that_need_it(smoke: Config):
    models = {"base": smoke.models["base"].model_copy(update={"source": "gguf_package", "path": "no-such-model"})}
    config = smoke.model_copy(update={"models": models})
    check_packages(config, {"train_soar", "load_problems"}, "run.yaml")
    with pytest.raises(ConfigError, match=r"^run.yaml: not installed here: models.base.path needs the package no-such"):
        check_packages(config, {"load_problems", "prepare_base_model"}, "run.yaml")


SAME = "def same(gold, answer):\n    return gold == answer\n"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("LIMIT = undefined\n", "NameError: name 'undefined' is not defined"),
        ("from math import no_such_name\n", "ImportError: cannot import name 'no_such_name' from 'math'"),
        ("raise SystemExit(3)\n", "it ends Python with status 3"),
    ],
)
def test_an_own_file_that_cannot_be_imported_is_found_before_a_job_starts(smoke, folder, project, head, reason):
    Path("mine.py").write_text(SAME.replace("same", "reward") + SAME)
    Path("broken.py").write_text(head + SAME)
    objectives = {"own": smoke.objectives["grounded"].model_copy(update={"reward": "mine.py:reward"})}
    config = with_dataset(smoke, verifier=OwnVerifier(file="broken.py", function="same"))
    config = config.model_copy(update={"objectives": objectives})
    (reward_key, reward), (key, verifier) = own_functions(config)
    assert (reward_key, key) == ("objectives.own.reward", "datasets.shuffles.verifier")
    check_import(reward, reward_key)
    with pytest.raises(ConfigError) as caught:
        check_import(verifier, key)
    assert str(caught.value).startswith(f"datasets.shuffles.verifier: broken.py cannot be imported ({reason}")
    assert "\n" not in str(caught.value)


def test_a_configuration_is_checked_by_itself(folder: Path, project: Path):
    Path("broken.yaml").write_text("run: x\narms: [a\nb: 3\n")
    checked = [
        subprocess.run(
            [sys.executable, "-m", "soar_pipeline.config", str(file)],
            env={"PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
        )
        for file in (project / "config" / "smoke.yaml", "broken.yaml")
    ]
    assert (checked[0].returncode, checked[0].stdout) == (0, "results/smoke\n")
    [line] = checked[1].stderr.splitlines()
    assert line.startswith("error: broken.yaml, line 3: cannot be read as YAML: ")
    assert checked[1].returncode == 1
