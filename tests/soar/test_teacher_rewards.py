"""Teacher rewards against values worked out by hand: scripted students, real grading (docs/method.md §4 and §10)."""

import math
import random
from collections import Counter
from itertools import combinations

import pytest
from policies import scripted_policy

from soar_pipeline.config import BUILT_IN_REWARDS, SoarConfig
from soar_pipeline.evaluation.judges.exact import ToyTaskJudge
from soar_pipeline.evaluation.taxonomy import Judgement
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.sampling import Completion
from soar_pipeline.questions import Question
from soar_pipeline.soar.bleu_clusters import cluster_shares
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.rewards import (
    BUILT_IN,
    OuterStep,
    RewardContext,
    absolute_zero,
    gated_learnability,
    learnability,
    r_zero,
)

SLOW = "slow"


class SlowGrader(Grader):
    """Never finishes with a comparison of the answer `slow` (that real ones are cut off is tested in test_grading)."""

    def verify(self, pairs):
        verdicts = super().verify(pairs)
        return [None if SLOW in pair else verdict for pair, verdict in zip(pairs, verdicts, strict=True)]


class ScriptedStudent:
    """A generator that answers each question with its script, in boxes; None is a completion without a box."""

    def __init__(self, script: dict[str, list[str | None]]):
        self.script, self.seeds = script, []

    def sample(self, prompts, samples, params):
        self.seeds.append(params.seed)
        assert all(len(self.script[prompt]) == samples for prompt in prompts)
        return [[self._completion(answer) for answer in self.script[prompt]] for prompt in prompts]

    def _completion(self, answer: str | None) -> Completion:
        text = "no idea" if answer is None else rf"so \boxed{{{answer}}}"
        return Completion(text, tokens=3, truncated=False)


@pytest.fixture(scope="module")
def grader():
    # A limit that a busy machine does not reach.
    with SlowGrader(timeout_seconds=60) as made:
        yield made


def rewards(reward, datasets: list[list[tuple[str, str]]], script, grader: Grader, judge=None, **soar) -> list[float]:
    """The reward's scores for datasets of (question, answer), the students answering by the script."""
    evaluator = Evaluator(scripted_policy(ScriptedStudent(script), grader))
    context = RewardContext(
        students=None, evaluator=evaluator, grader=grader, soar=SoarConfig(**soar), seed=3, judge=judge
    )
    questions = [[Question(f"{k}-{i}", *pair) for i, pair in enumerate(dataset)] for k, dataset in enumerate(datasets)]
    scored = reward(OuterStep(1, 0, questions, [], {}), context)
    assert scored.results == []
    return scored.rewards


QUARTERS = {
    "never": ["1", "2", None, "3"],
    "quarter": ["5", "4", None, "3"],
    "half": [r"\frac{1}{2}", "0.5", "2", None],
    "always": ["5", "5", "5.0", "5"],
    "slow": [SLOW, SLOW, "5", None],
}
BY_SOLVE_RATE = [[("never", "5"), ("quarter", "5")], [("half", "1/2"), ("always", "5")]]


def test_learnability_is_one_minus_the_solve_rate_and_nought_for_the_unsolved(grader):
    found = rewards(learnability, BY_SOLVE_RATE, QUARTERS, grader, learnability_samples=4)
    assert found == pytest.approx([(0 + 0.75) / 2, (0.5 + 0) / 2])


class CountingJudge(ToyTaskJudge):
    """The toy task's judge, which gives no verdict on one question."""

    def judge(self, cases):
        self.cases = list(cases)
        open_ended = Judgement(None, "no reply", 3, None, None)
        return [
            open_ended if case[0] == NO_VERDICT else one for case, one in zip(cases, super().judge(cases), strict=True)
        ]


NO_VERDICT, WELL_POSED, ILL_POSED = "482917aV", "482917aL", "482917aLaR"


def test_gated_learnability_counts_well_posed_questions_right_or_wrong(grader):
    # Each is solved once in four tries, by the teacher's answer: right for L, wrong for the other well-posed one.
    wrong = (WELL_POSED, "829147")
    script = {question: ["829174", "829147", "7", None] for question in (NO_VERDICT, WELL_POSED, ILL_POSED)}
    script["135792aS"] = ["1"] * 4
    datasets = [
        [(WELL_POSED, "829174"), (ILL_POSED, "829174")],
        [wrong, (WELL_POSED, "829174")],
        [(NO_VERDICT, "829174"), ("135792aS", "315792")],
    ]
    judge = CountingJudge(grader)
    found = rewards(gated_learnability, datasets, script, grader, judge, learnability_samples=4)
    assert found == pytest.approx([0.75 / 2, 0.75, 0.0])
    assert rewards(learnability, datasets, script, grader, learnability_samples=4) == pytest.approx([0.75, 0.75, 0.375])
    # Equal questions with equal answers are judged once.
    assert len(judge.cases) == 5


def test_absolute_zero_punishes_what_is_solved_always_or_never(grader):
    found = rewards(absolute_zero, BY_SOLVE_RATE, QUARTERS, grader, absolute_zero_samples=4)
    assert found == pytest.approx([(-0.5 + 0.75) / 2, (0.5 - 0.5) / 2])


def test_absolute_zero_of_one_question_per_dataset(grader):
    found = rewards(absolute_zero, [[("never", "5")], [("quarter", "5")]], QUARTERS, grader, absolute_zero_samples=4)
    assert found == pytest.approx([-0.5, 0.75])


def test_what_cannot_be_verified_in_time_does_not_count_as_solved(grader):
    datasets = [[("slow", "5")], [("slow", SLOW)]]
    found = rewards(absolute_zero, datasets, QUARTERS, grader, absolute_zero_samples=4)
    assert found == pytest.approx([0.75, -0.5])


@pytest.mark.parametrize("reward", [absolute_zero, r_zero])
def test_bad_format_of_a_teacher_of_two_turns_is_minus_one(reward, grader):
    script = {"": ["5"] * 4, "  ": ["5"] * 4, "half": ["5", "5", "4", "4"], "always": ["5"] * 4}
    datasets = [[("", "5"), ("half", "")], [("always", "  "), ("  ", "5")]]
    found = rewards(reward, datasets, script, grader, absolute_zero_samples=4, r_zero_samples=4)
    assert found == [-1.0, -1.0]


VOTES = {
    "how many apples are left": ["5"] * 6 + ["7"] * 4,
    "what is half of one": [r"\frac{1}{2}"] * 4 + ["0.5"] * 3 + ["1", "2", None],
    "name any number you like": ["1", "2", "3", "4", "5", "6", "7", "8", "9", "11"],
    "two plus two makes which": ["4"] * 10,
    "say nothing in a box": [None] * 10,
    "which of these takes longest": ["3"] * 4 + ["8"] * 4 + [SLOW] * 2,
}


@pytest.mark.parametrize(
    ("question", "divided"),
    list(zip(VOTES, (0.4, 0.3, 0.1, 0.0, 0.0, 0.5), strict=True)),
)
def test_r_zero_is_largest_where_half_of_the_answers_agree_whatever_the_teachers_answer(question, divided, grader):
    other = "an altogether different one"
    script = {question: VOTES[question], other: ["1"] * 10}
    for answer in ("5", "999"):
        found = rewards(r_zero, [[(question, answer)], [(other, "1")]], script, grader)
        # Two clusters of one question: each is half of the batch.
        assert found == pytest.approx([divided - 0.5, 0.0 - 0.5])


def test_r_zero_charges_each_question_for_its_share_of_the_whole_batch(grader):
    copy = "how many apples are left"
    datasets = [[(copy, "5"), ("what is half of one", "1/2")], [(copy, "5"), (copy, "5")]]
    found = rewards(r_zero, datasets, VOTES, grader)
    assert found == pytest.approx([((0.4 - 0.75) + (0.3 - 0.25)) / 2, 0.4 - 0.75])


def test_r_zero_of_identical_questions(grader):
    copy = "how many apples are left"
    assert rewards(r_zero, [[(copy, "5")], [(copy, "5")]], VOTES, grader) == pytest.approx([0.4 - 1] * 2)


def test_every_name_of_the_configuration_has_its_reward():
    assert tuple(BUILT_IN) == BUILT_IN_REWARDS


def test_draws_depend_on_seed_step_and_dataset(grader):
    student = ScriptedStudent(QUARTERS)
    evaluator = Evaluator(scripted_policy(student, grader))
    dataset = [Question("0", "half", "1/2")]
    for seed, number in ((3, 1), (3, 2), (4, 1), (3, 1)):
        context = RewardContext(None, evaluator, grader, SoarConfig(absolute_zero_samples=4, r_zero_samples=4), seed)
        for reward in (absolute_zero, r_zero):
            reward(OuterStep(number, 0, [dataset, dataset], [], {}), context)
    assert student.seeds[:3] == student.seeds[-3:]
    assert len(set(student.seeds[:9])) == 9


def textbook_bleu(hypothesis: list[str], reference: list[str]) -> float:
    """BLEU-4 (Papineni et al. 2002) with 0.1 in place of a count of nought (Chen & Cherry 2014, method 1)."""
    logarithms = []
    for n in range(1, 5):
        written, wanted = (
            Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1)) for text in (hypothesis, reference)
        )
        matches = sum(min(count, wanted[gram]) for gram, count in written.items())
        if n == 1 and not matches:
            return 0.0
        logarithms.append(math.log((matches or 0.1) / max(1, sum(written.values()))))
    brevity = min(0.0, 1 - len(reference) / len(hypothesis))
    return math.exp(brevity + sum(logarithms) / 4)


def clustered_naively(questions: list[list[str]], threshold: float) -> list[float]:
    """Joins the two clusters that are nearest on average until none are near enough."""
    distance = {
        frozenset((i, j)): 1 - textbook_bleu(questions[i], questions[j])
        for i, j in combinations(range(len(questions)), 2)
    }

    def apart(first: tuple[int, ...], second: tuple[int, ...]) -> float:
        return sum(distance[frozenset((i, j))] for i in first for j in second) / (len(first) * len(second))

    clusters = [(i,) for i in range(len(questions))]
    while len(clusters) > 1:
        nearest = min(combinations(clusters, 2), key=lambda pair: apart(*pair))
        if apart(*nearest) > threshold:
            break
        clusters = [cluster for cluster in clusters if cluster not in nearest] + [nearest[0] + nearest[1]]
    return [len(cluster) / len(questions) for i in range(len(questions)) for cluster in clusters if i in cluster]


@pytest.mark.parametrize("unit", ["words", "characters"])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_clusters_are_those_of_a_naive_reference(unit, threshold):
    rng = random.Random(f"{unit} {threshold}")
    seen = set()
    for _ in range(6):
        originals = [[rng.choice("abcdefgh") for _ in range(rng.randrange(6, 12))] for _ in range(5)]
        variants = [
            [rng.choice("abcdefgh") if rng.random() < 0.2 else token for token in rng.choice(originals)]
            for _ in range(9)
        ]
        texts = [*originals, *variants]
        joined = [(" " if unit == "words" else "").join(text) for text in texts]
        expected = clustered_naively(texts, threshold)
        assert cluster_shares(joined, unit, threshold) == pytest.approx(expected)
        seen |= set(expected)
    assert len(seen) > 2


def test_copies_are_one_cluster_however_short():
    assert cluster_shares(["482917aLbR", "482917aLbR", "135926aV"], "words", 0.5) == pytest.approx(
        [2 / 3, 2 / 3, 1 / 3]
    )
    assert cluster_shares(["", "", "x"], "words", 0.5) == pytest.approx([2 / 3, 2 / 3, 1 / 3])


def test_questions_without_spaces_are_compared_by_their_characters():
    nearly = ["482917aLbRcSdV", "482917aLbRcSdH", "356124aTbT"]
    assert cluster_shares(nearly, "words", 0.5) == pytest.approx([1 / 3] * 3)
    assert cluster_shares(nearly, "characters", 0.5) == pytest.approx([2 / 3, 2 / 3, 1 / 3])
