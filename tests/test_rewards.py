"""Teacher rewards: those that are built in against hand-computed values, and one of the user's own in a real run."""

import math
import re
from statistics import fmean
from types import SimpleNamespace

import pytest
import yaml
from workflow_runs import ROOT, snakemake

from soar_pipeline.artifacts import QUESTIONS, STEPS, read_rows
from soar_pipeline.config import ConfigError, GenerationConfig, GradingConfig, SoarConfig, validate
from soar_pipeline.generation.generator import Completion
from soar_pipeline.grading.grader import Grader
from soar_pipeline.slices import SoarSlice
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.soar.rewards import BUILT_IN, OuterStep, RewardTools, Scores, bleu_clusters, checked, reward_named
from soar_pipeline.training.schedules import Question

TEXTS = (
    "How many apples are in two full boxes?",
    "What is the area of this circle?",
    "Find x + 1 = 7.",
    "Name one prime number below fifty.",
)
QUESTIONS_AND_ANSWERS = [Question(str(i), text, "7") for i, text in enumerate(TEXTS)]


class CannedStudent:
    """A policy whose samples are boxes with these contents, by question; None is a completion without a box."""

    def __init__(self, **answers: list[str | None]):
        self.answers = answers

    def sample(self, prompts, *, samples, max_new_tokens, temperature, seed):
        drawn = [self.answers[f"q{prompt}"] for prompt in prompts]
        assert {len(answers) for answers in drawn} == {samples}
        return [
            [Completion("so" if answer is None else f"so \\boxed{{{answer}}}", 3, False) for answer in answers]
            for answers in drawn
        ]


def scored(reward: str, datasets: list[list[Question]], samples: int, **answers: list[str | None]) -> list[float]:
    """R_k by a built-in reward, through a real examiner and a real grader; questions are asked by their ids."""
    names = {question.question: question.question_id for dataset in datasets for question in dataset}
    prompts = SimpleNamespace(student=names.__getitem__)
    with Grader(GradingConfig()) as grader:
        examiner = Examiner(None, CannedStudent(**answers), grader, prompts, GenerationConfig())
        soar = SoarConfig(learnability_samples=samples, majority_samples=samples)
        step = OuterStep(1, 0, datasets, [], {})
        return BUILT_IN[reward](step, RewardTools(None, examiner, soar, seed=0)).rewards


# Solve rates 0, 1/4, 1, 2/4 with the answer 7.
ANSWERS = {
    "q0": ["1", "2", None, "3"],
    "q1": ["7", "8", "8", "8"],
    "q2": ["7", "7", "\\frac{14}{2}", "7.0"],
    "q3": ["7", None, "7", "1"],
}


@pytest.mark.parametrize(
    ("reward", "values"),
    [("learnability", (0.0, 0.75, 0.0, 0.5)), ("absolute_zero", (-0.5, 0.75, -0.5, 0.5))],
)
def test_rewards_of_solve_rates(reward: str, values: tuple[float, ...]):
    datasets = [QUESTIONS_AND_ANSWERS[:3], QUESTIONS_AND_ANSWERS[3:]]
    assert scored(reward, datasets, 4, **ANSWERS) == pytest.approx([fmean(values[:3]), values[3]])


def test_r_zero_rewards_an_even_split_and_punishes_likeness():
    # Majority shares 1/4, 3/4, 4/4, 2/4; four questions, none like another: each cluster is a quarter of the batch.
    datasets = [QUESTIONS_AND_ANSWERS[:3], QUESTIONS_AND_ANSWERS[3:]]
    expected = [fmean((0.25 - 0.25, 0.25 - 0.25, 0.0 - 0.25)), 0.5 - 0.25]
    assert scored("r_zero", datasets, 4, **ANSWERS) == pytest.approx(expected)


def test_r_zero_counts_a_cluster_over_all_datasets():
    twice = [QUESTIONS_AND_ANSWERS[3], Question("1", "Name one prime number below sixty.", "x")]
    answers = {"q3": ANSWERS["q3"], "q1": ANSWERS["q1"]}
    assert scored("r_zero", [[twice[0]], [twice[1]]], 4, **answers) == pytest.approx([0.5 - 1.0, 0.25 - 1.0])


def test_r_zero_without_any_answer_has_no_majority():
    assert scored("r_zero", [QUESTIONS_AND_ANSWERS[:1]], 2, q0=[None, None]) == [-1.0]


def test_clusters_join_equal_texts_and_small_changes_only():
    texts = ["Find the sum of 12 and 45.", "What is a prime?", "Find the sum of 12 and 46.", "What is a prime?"]
    one, prime, other, again = bleu_clusters(texts)
    assert one == other
    assert prime == again
    assert one != prime
    assert bleu_clusters(["alone"]) == [1]
    assert len(set(bleu_clusters(["482917aLbR", "135792aV", ""]))) == 3


STEP = OuterStep(1, 0, [QUESTIONS_AND_ANSWERS, QUESTIONS_AND_ANSWERS], [], {})


@pytest.mark.parametrize(
    ("scores", "promotes", "said"),
    [
        ([0.1, 0.2], False, "returned list, expected Scores"),
        (Scores([0.1]), False, "1 rewards for 2 datasets"),
        (Scores([0.1, math.nan]), False, "expected finite numbers"),
        (Scores([0.1, math.inf]), False, "expected finite numbers"),
        (Scores([0.1, 0.2]), True, "nothing to promote"),
    ],
)
def test_what_a_reward_returns_is_checked(scores: object, promotes: bool, said: str):
    with pytest.raises(ConfigError, match=said):
        checked(scores, STEP, promotes)


@pytest.mark.parametrize(
    ("code", "said"),
    [("import nothing_like_it", "ModuleNotFoundError"), ("x = 1", "has no function 'mine'"), ("def", "SyntaxError")],
)
def test_a_file_that_has_no_such_reward_is_named(tmp_path, code: str, said: str):
    (tmp_path / "rewards.py").write_text(code)
    with pytest.raises(ConfigError, match=rf"rewards\.py.*{said}"):
        reward_named(f"{tmp_path}/rewards.py:mine")


PAGE = (ROOT / "docs" / "teacher-rewards.md").read_text(encoding="utf-8")
[CODE] = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
[YAML] = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def smoke(tmp_path, monkeypatch) -> dict:
    """The smallest configuration with the page's objective, and the page's file in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_rewards.py").write_text(CODE)
    values = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    values["objectives"] |= yaml.safe_load(YAML)["objectives"]
    values["arms"]["mine"] = {"label": "Mine", "questions": {"source": "teacher", "objective": "uncertainty"}}
    return values


def test_the_pages_reward_trains_a_teacher(tmp_path, smoke):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(smoke))
    run = "results/smoke/shuffles/soar/uncertainty/t1"
    done = snakemake(tmp_path, f"{run}/steps.parquet", "--configfile", "mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = read_rows(tmp_path / run / "steps.parquet", STEPS)
    rewards = [row["dataset_reward"] for row in read_rows(tmp_path / run / "questions.parquet", QUESTIONS)]
    assert len(steps) == 2
    assert not any(step["promoted"] for step in steps)
    assert all(0 <= reward <= 1 for reward in rewards)
    assert max(rewards) > 0


def test_an_edited_reward_is_another_run(tmp_path, smoke):
    for role in ("student", "teacher"):
        smoke["prompts"][role] = str(ROOT / smoke["prompts"][role])
    config = validate(smoke, "here")
    before = [SoarSlice.of(config, "shuffles", name) for name in ("uncertainty", "grounded")]
    (tmp_path / "my_rewards.py").write_text(CODE + "# edited\n")
    after = [SoarSlice.of(config, "shuffles", name) for name in ("uncertainty", "grounded")]
    assert before[0] != after[0]
    assert before[1] == after[1]
