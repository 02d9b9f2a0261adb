"""A reward of the user's own: the page's examples run for real, and every mistake is one line that names its key."""

import math
import re
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT, changed_config, planned_jobs, snakemake

from soar_pipeline.artifacts import schemas
from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.config import ConfigError, ObjectiveConfig, Settings, SoarConfig, SoarRun, load
from soar_pipeline.config.own_functions import read_reward_file
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.questions import Question
from soar_pipeline.soar.objective import Objective, load_reward
from soar_pipeline.soar.rewards import DatasetRewards, OuterStep, RewardContext, grounded
from soar_pipeline.soar.students import StudentResult

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
    steps = read_rows(run / "steps.parquet", schemas.STEPS)
    questions = read_rows(run / "questions.parquet", schemas.SOAR_QUESTIONS)
    assert len(steps) == 2
    assert not any(step["promoted"] for step in steps)
    # Eight samples of each of four questions: sixteenths.
    assert all(0 <= row["dataset_reward"] <= 1 and (16 * row["dataset_reward"]).is_integer() for row in questions)
    assert any(row["dataset_reward"] > 0 for row in questions)


def test_a_reward_that_builds_on_the_grounded_one_promotes(folder):
    run = folder / RUNS / "own_grounded" / "t1"
    assert [step["promoted"] for step in read_rows(run / "steps.parquet", schemas.STEPS)] == [True, True]
    students = {
        (row["outer_step"], row["dataset_index"]): row["reward"]
        for row in read_rows(run / "students.parquet", schemas.STUDENTS)
    }
    datasets: dict[tuple[int, int], list[dict]] = {}
    for row in read_rows(run / "questions.parquet", schemas.SOAR_QUESTIONS):
        datasets.setdefault((row["outer_step"], row["dataset_index"]), []).append(row)
    for key, rows in datasets.items():
        copies = 1 - len({row["question"] for row in rows}) / len(rows)
        assert rows[0]["dataset_reward"] == pytest.approx(students[key] - 0.1 * copies)


def test_editing_the_file_repeats_the_runs_of_its_objective_alone(folder):
    config = own_config(folder)
    file = folder / "my_rewards.py"
    text = file.read_text(encoding="utf-8")
    assert planned_jobs(folder, *TARGETS, "--configfile", config) == {}
    file.write_text(text.replace("2 * rate", "3 * rate"), encoding="utf-8")
    assert planned_jobs(folder, *TARGETS, "--configfile", config) == {"train_soar": 1}
    file.write_text(text, encoding="utf-8")
    assert planned_jobs(folder, *TARGETS, "--configfile", config) == {}


GROUNDED = SoarRun("shuffles", "grounded", 1)
GOOD = "def mine(step, context):\n    return 1\n"
BAD_FILES = [
    (None, "mine.py is not in"),
    ("def other(step, tools): ...\nmine = other\n", r"no `def mine\(step, context\)` at its top level.*\['other'\]"),
    ("def mine(step): ...\n", "must take two arguments"),
    ("def mine(step, context, weight): ...\n", "must take two arguments"),
    ("def mine(step, context, *, weight): ...\n", "must take two arguments"),
    ("import no_such_package.part\n\n" + GOOD, "imports no_such_package: not installed here"),
    ("def mine(step, context)\n", "is not Python"),
    ("def mine(step, context):\n    return '\0'\n", "is not Python"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_FILES)
def test_a_file_that_cannot_be_the_reward_is_refused_before_anything_runs(text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("mine.py").write_text(text, encoding="utf-8")
    config = changed_config(tmp_path, "smoke.yaml", {"objectives.grounded.reward": "mine.py:mine"})
    with pytest.raises(ConfigError, match=rf"^smoke: objectives\.grounded\.reward: .*{reason}") as refused:
        resolve_paths(load(config), "smoke", ROOT)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "parameters", ["step, context", "step, context, weight=0.1", "step, context, *, weight=0.1", "*all"]
)
def test_a_function_of_two_arguments_is_taken(parameters, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"def mine({parameters}):\n    return 7\n", encoding="utf-8")
    objective = ObjectiveConfig(reward=f"{file}:mine")
    assert load_reward("own", objective, read_reward_file(objective, "own").sha256)(None, None) == 7


def test_the_file_is_found_beside_the_run_and_known_by_its_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("mine.py")
    config = changed_config(tmp_path, "smoke.yaml", {"objectives.grounded.reward": "mine.py:mine"})

    def planned(text: str) -> Settings:
        file.write_text(text, encoding="utf-8")
        return Settings.of(resolve_paths(load(config), "smoke", ROOT), "train_soar", GROUNDED)

    first, second = planned(GOOD), planned(GOOD.replace("1", "2"))
    assert first.reward_sha256 != second.reward_sha256
    assert first.results | {"reward_sha256": second.reward_sha256} == second.results
    built_in = Settings.of(resolve_paths(load(SMOKE), "smoke", ROOT), "train_soar", GROUNDED)
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
    """An evaluator for rewards that evaluate no student."""

    def __init__(self):
        self.weights = None

    def set_weights(self, weights):
        self.weights = weights


def scored(returned: object, promotion: bool = False) -> DatasetRewards:
    """What a reward returns for two datasets, checked."""
    evaluator = AnyWeights()
    context = RewardContext(students=None, evaluator=evaluator, grader=None, soar=SoarConfig(), seed=0)
    config = ObjectiveConfig(reward="mine.py:mine", promotion=promotion)
    dataset = [Question("0", "q", "1")]
    step = OuterStep(3, 0, [dataset, dataset], [], {"the": "baseline"})

    def mine(step: OuterStep, context: RewardContext) -> object:
        assert context.evaluator.weights is step.baseline
        return returned

    return Objective("own", config, mine, context).rewards(step)


def result(dataset_index: int, repeat: int = 0) -> StudentResult:
    return StudentResult(dataset_index, repeat, 0.25, 0.5, seconds=1.0, tokens=10)


USELESS = [
    ([0.1, 0.2], r"reward: .*returned list; return DatasetRewards"),
    (None, "reward: .*returned NoneType"),
    (DatasetRewards([0.1]), "reward: .*returned 1 rewards for 2 datasets"),
    (DatasetRewards([0.1, 0.2, 0.3]), "reward: .*returned 3 rewards for 2 datasets"),
    (DatasetRewards([]), "reward: .*returned 0 rewards for 2 datasets"),
    (DatasetRewards([0.1, math.nan]), "reward: .*must be a finite number"),
    (DatasetRewards([math.inf, 0.1]), "reward: .*must be a finite number"),
    (DatasetRewards([0.1, None]), "reward: .*return a list of numbers"),
    (DatasetRewards([0.1, "much"]), "reward: .*return a list of numbers"),
    (DatasetRewards(0.1), "reward: .*return a list of numbers"),
]


@pytest.mark.parametrize(("returned", "reason"), USELESS)
def test_what_cannot_be_a_reward_stops_the_run_with_one_line(returned, reason):
    with pytest.raises(ConfigError, match=rf"^objectives\.own\.{reason}") as refused:
        scored(returned)
    assert "mine.py:mine at outer step 3 " in str(refused.value)
    assert "\n" not in str(refused.value)


UNPROMOTABLE = [
    ([], "returned no student result of dataset 0.*promotion: false"),
    ([result(0)], "returned no student result of dataset 1"),
    ([result(0), result(1), result(0)], "returned two student results of dataset 0, repeat 0"),
]


@pytest.mark.parametrize(("results", "reason"), UNPROMOTABLE)
def test_promotion_needs_a_student_of_every_dataset(results, reason):
    assert scored(DatasetRewards([1, 2], results)).rewards == [1.0, 2.0]
    with pytest.raises(ConfigError, match=rf"^objectives\.own\.promotion: .*{reason}"):
        scored(DatasetRewards([1, 2], results), promotion=True)
    complete = [result(0), result(0, repeat=1), result(1)]
    assert scored(DatasetRewards([1, 2], complete), promotion=True).results == complete
