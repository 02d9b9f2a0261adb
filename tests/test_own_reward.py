"""A reward of the user's own: the page's examples run for real, and every mistake is one line that names its key."""

import math
import re
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT, changed_config, planned_jobs, snakemake

from soar_pipeline import artifacts
from soar_pipeline.artifacts import read_rows
from soar_pipeline.config import ConfigError, ObjectiveConfig, SoarConfig, load
from soar_pipeline.located import located
from soar_pipeline.reward_files import read_reward_file
from soar_pipeline.slices import SoarSlice
from soar_pipeline.soar.objective import Objective, load_reward
from soar_pipeline.soar.rewards import OuterStep, Scores, Tools, grounded
from soar_pipeline.soar.students import Trial
from soar_pipeline.training.schedules import Question

SMOKE = ROOT / "config" / "smoke.yaml"
RUNS = Path("results/smoke/shuffles/soar")
TARGETS = [str(RUNS / name / "t1" / "steps.parquet") for name in ("half_solved", "own_grounded")]


def blocks(language: str) -> list[str]:
    page = (ROOT / "docs" / "teacher-rewards.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def own_config(folder: Path) -> Path:
    """The smoke run with the page's objectives; two processes train the students."""
    (example,) = map(yaml.safe_load, blocks("yaml"))
    changes = {f"{section}.{name}": value for section, named in example.items() for name, value in named.items()}
    changes["objectives.own_grounded"] = {"reward": "my_grounded.py:grounded_without_copies"}
    changes["resources"] = {"train_soar": {"workers": 2}}
    return changed_config(folder, "smoke.yaml", changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working directory in which the page's examples have been run."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in zip(("my_rewards.py", "my_grounded.py"), blocks("python"), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    done = snakemake(folder, *TARGETS, "--configfile", own_config(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_example_is_about_ten_lines():
    body = blocks("python")[0].partition("def ")[2]
    assert len(body.splitlines()) <= 10


def test_the_example_rewards_a_soar_run(folder):
    run = folder / RUNS / "half_solved" / "t1"
    steps = read_rows(run / "steps.parquet", artifacts.STEPS)
    questions = read_rows(run / "questions.parquet", artifacts.QUESTIONS)
    assert len(steps) == 2
    assert not any(step["promoted"] for step in steps)
    # Eight samples of each of four questions: sixteenths.
    assert all(0 <= row["dataset_reward"] <= 1 and (16 * row["dataset_reward"]).is_integer() for row in questions)
    assert any(row["dataset_reward"] > 0 for row in questions)


def test_a_reward_that_builds_on_the_grounded_one_promotes(folder):
    run = folder / RUNS / "own_grounded" / "t1"
    assert [step["promoted"] for step in read_rows(run / "steps.parquet", artifacts.STEPS)] == [True, True]
    trials = {
        (row["outer_step"], row["dataset_index"]): row["reward"]
        for row in read_rows(run / "students.parquet", artifacts.STUDENTS)
    }
    datasets: dict[tuple[int, int], list[dict]] = {}
    for row in read_rows(run / "questions.parquet", artifacts.QUESTIONS):
        datasets.setdefault((row["outer_step"], row["dataset_index"]), []).append(row)
    for key, rows in datasets.items():
        copies = 1 - len({row["question"] for row in rows}) / len(rows)
        assert rows[0]["dataset_reward"] == pytest.approx(trials[key] - 0.1 * copies)


def test_editing_the_file_repeats_the_runs_of_its_objective_alone(folder):
    config = own_config(folder)
    file = folder / "my_rewards.py"
    text = file.read_text(encoding="utf-8")
    assert planned_jobs(folder, *TARGETS, "--configfile", config) == {}
    file.write_text(text.replace("2 * rate", "3 * rate"), encoding="utf-8")
    assert planned_jobs(folder, *TARGETS, "--configfile", config) == {"train_soar": 1}
    file.write_text(text, encoding="utf-8")
    assert planned_jobs(folder, *TARGETS, "--configfile", config) == {}


GOOD = "def mine(step, tools):\n    return 1\n"
BAD_FILES = [
    (None, "mine.py is neither in"),
    ("def other(step, tools): ...\nmine = other\n", r"no `def mine\(step, tools\)` at its top level.*\['other'\]"),
    ("def mine(step): ...\n", "must take two arguments"),
    ("def mine(step, tools, weight): ...\n", "must take two arguments"),
    ("def mine(step, tools, *, weight): ...\n", "must take two arguments"),
    ("def mine(step, tools)\n", "is no Python"),
    ("def mine(step, tools):\n    return '\0'\n", "is no Python"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_FILES)
def test_a_file_that_cannot_be_the_reward_is_refused_before_anything_runs(text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("mine.py").write_text(text, encoding="utf-8")
    config = changed_config(tmp_path, "smoke.yaml", {"objectives.grounded.reward": "mine.py:mine"})
    with pytest.raises(ConfigError, match=rf"^smoke: objectives\.grounded\.reward: .*{reason}") as refused:
        located(load(config), "smoke", ROOT)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("parameters", ["step, tools", "step, tools, weight=0.1", "step, tools, *, weight=0.1", "*all"])
def test_a_function_of_two_arguments_is_taken(parameters, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"def mine({parameters}):\n    return 7\n", encoding="utf-8")
    objective = ObjectiveConfig(reward=f"{file}:mine")
    assert load_reward("own", objective, read_reward_file(objective, "own").sha256)(None, None) == 7


def test_the_file_is_found_beside_the_run_and_known_by_its_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("mine.py")
    config = changed_config(tmp_path, "smoke.yaml", {"objectives.grounded.reward": "mine.py:mine"})

    def planned(text: str) -> SoarSlice:
        file.write_text(text, encoding="utf-8")
        return SoarSlice.of(located(load(config), "smoke", ROOT), "shuffles", "grounded")

    first, second = planned(GOOD), planned(GOOD.replace("1", "2"))
    assert first.reward_sha256 != second.reward_sha256
    assert first.model_copy(update={"reward_sha256": second.reward_sha256}) == second
    built_in = SoarSlice.of(located(load(SMOKE), "smoke", ROOT), "shuffles", "grounded")
    assert built_in.reward_sha256 is None
    assert load_reward("grounded", built_in.objective, None) is grounded


def test_the_text_that_runs_is_the_one_that_was_planned(tmp_path):
    file = tmp_path / "mine.py"
    objective = ObjectiveConfig(reward=f"{file}:mine")
    digests = []
    # Written within one second and of one length: cached bytecode could not tell them apart.
    for value in (1, 2):
        file.write_text(GOOD.replace("1", str(value)), encoding="utf-8")
        digests.append(read_reward_file(objective, "own").sha256)
        assert load_reward("own", objective, digests[-1])(None, None) == value
    with pytest.raises(ConfigError, match=r"^objectives\.own\.reward: .*has changed since this run was planned"):
        load_reward("own", objective, digests[0])


class AnyWeights:
    """Stands where the examiner does in rewards that ask no student."""

    def __init__(self):
        self.weights = None

    def set_weights(self, weights):
        self.weights = weights


def scored(returned: object, promotion: bool = False) -> Scores:
    """What a reward returns for two datasets, checked."""
    examiner = AnyWeights()
    tools = Tools(students=None, examiner=examiner, grader=None, soar=SoarConfig(), seed=0)
    config = ObjectiveConfig(reward="mine.py:mine", promotion=promotion)
    dataset = [Question("0", "q", "1")]
    step = OuterStep(3, 0, [dataset, dataset], [], {"the": "baseline"})

    def mine(step: OuterStep, tools: Tools) -> object:
        assert tools.examiner.weights is step.baseline
        return returned

    return Objective("own", config, mine, tools).score(step)


def trial(dataset_index: int, repeat: int = 0) -> Trial:
    return Trial(dataset_index, repeat, 0.25, 0.5, seconds=1.0, tokens=10)


USELESS = [
    ([0.1, 0.2], r"reward: .*returned list; return Scores"),
    (None, "reward: .*returned NoneType"),
    (Scores([0.1]), "reward: .*returned 1 rewards for 2 datasets"),
    (Scores([0.1, 0.2, 0.3]), "reward: .*returned 3 rewards for 2 datasets"),
    (Scores([]), "reward: .*returned 0 rewards for 2 datasets"),
    (Scores([0.1, math.nan]), "reward: .*must be a finite number"),
    (Scores([math.inf, 0.1]), "reward: .*must be a finite number"),
    (Scores([0.1, None]), "reward: .*return a list of numbers"),
    (Scores([0.1, "much"]), "reward: .*return a list of numbers"),
    (Scores(0.1), "reward: .*return a list of numbers"),
]


@pytest.mark.parametrize(("returned", "reason"), USELESS)
def test_what_cannot_be_a_reward_stops_the_run_with_one_line(returned, reason):
    with pytest.raises(ConfigError, match=rf"^objectives\.own\.{reason}") as refused:
        scored(returned)
    assert "mine.py:mine at outer step 3 " in str(refused.value)
    assert "\n" not in str(refused.value)


UNPROMOTABLE = [
    ([], "returned no trial of dataset 0.*promotion: false"),
    ([trial(0)], "returned no trial of dataset 1"),
    ([trial(0), trial(1), trial(0)], "returned two trials of dataset 0, repeat 0"),
]


@pytest.mark.parametrize(("trials", "reason"), UNPROMOTABLE)
def test_promotion_needs_a_student_of_every_dataset(trials, reason):
    assert scored(Scores([1, 2], trials)).rewards == [1.0, 2.0]
    with pytest.raises(ConfigError, match=rf"^objectives\.own\.promotion: .*{reason}"):
        scored(Scores([1, 2], trials), promotion=True)
    whole = [trial(0), trial(0, repeat=1), trial(1)]
    assert scored(Scores([1, 2], whole), promotion=True).trials == whole
