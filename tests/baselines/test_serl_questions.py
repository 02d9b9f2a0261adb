"""SeRL's questions: lists, filters, ROUGE-L, the pool with its examples, the majority's vote (docs/method.md §10)."""

import random
import time
from dataclasses import replace

import pytest

from soar_pipeline.baselines.serl.cleaning import Novelty, cleaned, listed
from soar_pipeline.baselines.serl.questions import NumberedList, QuestionPool, SelfPlayError, TeacherPrompt
from soar_pipeline.config import SerlConfig
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.voting import Vote, votes
from soar_pipeline.policy.sampling import Completion, SamplingParams

FAITHFUL, MENDED = SerlConfig(), SerlConfig(faithful=False)


@pytest.mark.parametrize(
    ("continuation", "faithful", "mended"),
    [
        ("", [], []),
        ("What is 1?", [], ["What is 1?"]),
        ("What is 1?\n10. What is 2?", ["What is 2?"], ["What is 1?\n", "What is 2?"]),
        ("9. What is 1?\n10. What is 2?", ["What is 1?\n", "What is 2?"], ["What is 1?\n", "What is 2?"]),
        ("9 . What is 1?", ["What is 1?"], ["What is 1?"]),
        ("Here are more problems:\n\n9. What is 1?", ["What is 1?"], ["What is 1?"]),
        ("9. Let\n 1. a = 1\n 2. b = 2\nFind it.\n10. Next", *2 * [["Let\n 1. a = 1\n 2. b = 2\nFind it.\n", "Next"]]),
        ("9. It costs 3.50 or 4. Which?", *2 * [["It costs 3.50 or 4. Which?"]]),
        ("9.No space\n10. Space", ["Space"], ["9.No space\n", "Space"]),
        ("٩. What?\n１０. What?", [], ["٩. What?\n１０. What?"]),
        ("9. 10. 11. ", *2 * [["10. 11. "]]),
        ("12345678. No item", [], ["12345678. No item"]),
    ],
)  # fmt: skip
def test_a_list_is_split_at_its_numbers(continuation, faithful, mended):
    assert listed(continuation, True) == faithful
    assert listed(continuation, False) == mended


@pytest.mark.parametrize(
    ("text", "faithful", "mended"),
    [
        ("what is  the\n value\tof X?", "What is the value of x?", "what is the value of X?"),
        (r"Let \Delta = AB and solve", r"Let \delta = ab and solve", r"Let \Delta = AB and solve"),
        ("Is Größe of class B well-defined?", "Is größe of class b well-defined?", "Is Größe of class B well-defined?"),
        ("one two three", None, None),
        ("one two three four", "One two three four", "one two three four"),
        (" ".join(["word"] * 150), "Word" + 149 * " word", "word" + 149 * " word"),
        (" ".join(["word"] * 151), None, None),
        ("How many maps are there here?", None, None),
        ("Find the GRAPH of the function.", None, None),
        ("What does the picture of it show?", None, None),
        ("Plot the line y = x.", None, None),
        ("By drawing lots, who wins it?", None, None),
        ("Read the file and add up.", None, None),
        ("Write a program that adds numbers.", None, None),
        ("Now write a Python program for it.", None, None),
        ("A linear program has two unknowns.", *2 * ["A linear program has two unknowns."]),
        ("She graphed a mapping of profiles.", *2 * ["She graphed a mapping of profiles."]),
        ("$x$ is what if 2x = 4?", None, None),
        ("(a) What is the sum?", None, None),
        ("Ähnlich ist das Dreieck hier.", None, None),
        ("π is how much in degrees?", None, None),
        ("٣ apples and 4 pears make what?", None, None),
        ("3 apples and 4 pears make what?", "3 apples and 4 pears make what?", "3 apples and 4 pears make what?"),
        ("What is\0 the value of x?", None, None),
        ("What \x1b[31m is the value of x?", None, None),
        ("", None, None),
        (" \n\t ", None, None),
        ("x" * 100_000, None, None),
        ("\n" * 100_000, None, None),
    ],
)  # fmt: skip
def test_cleaning_refuses_or_keeps_on_one_line(text, faithful, mended):
    assert cleaned(text, FAITHFUL) == faithful
    assert cleaned(text, MENDED) == mended


def test_the_numbers_of_words_are_configured():
    config = SerlConfig(faithful=False, min_words=1, max_words=2)
    assert cleaned("482917aLbR", config) == "482917aLbR"
    assert cleaned("482917aLbR or so", config) is None


def has_rouge_l(first: str, second: str, value: float) -> bool:
    """Whether a text is as like the other as `value` says: new within that limit, and not within a smaller one."""
    within, below = (Novelty([first], limit).admits(second) for limit in (value + 1e-9, value - 1e-9))
    return within and not below


def longest_common_subsequence(first: list[str], second: list[str]) -> int:
    lengths = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, left in enumerate(first, start=1):
        for j, right in enumerate(second, start=1):
            same = lengths[i - 1][j - 1] + 1
            lengths[i][j] = same if left == right else max(lengths[i - 1][j], lengths[i][j - 1])
    return lengths[-1][-1]


def test_rouge_l_is_the_f1_of_the_longest_common_subsequence():
    rng = random.Random(0)
    for _ in range(200):
        first, second = (rng.choices("abcdef", k=rng.randint(1, 30)) for _ in range(2))
        common = longest_common_subsequence(first, second)
        precision, recall = common / len(first), common / len(second)
        expected = 2 * precision * recall / (precision + recall) if common else 0.0
        assert has_rouge_l(" ".join(first), " ".join(second), expected)


# Values of the package rouge-score 0.1.2 (rougeL F1, no stemmer).
@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ("482917aLbR", "482917albr", 1.0),
        ("What is 1+1?", "what is 1 + 2?", 0.75),
        ("Größe x", "grosse x", 0.4),
        ("", "a", 0.0),
        ("π", "π", 0.0),
    ],
)
def test_rouge_l_has_the_values_of_the_usual_package(first, second, value):
    assert has_rouge_l(first, second, value)


def test_what_is_too_like_a_known_question_is_not_new():
    novelty = Novelty(["a b c d e f g h i j"], limit=0.7)
    assert novelty.admits("a b c d e f g x y z")  # 0.7 itself is allowed
    assert not novelty.admits("a b c d e f g h y z")
    novelty.add("k l m n")
    assert not novelty.admits("K, L, m: n?")


class CannedWriter:
    """Completes every prompt with the next text, without end, and remembers prompts and parameters."""

    def __init__(self, *texts: str):
        self.texts, self.asked, self.params = texts, [], []

    def sample(self, prompts, samples, params):
        assert samples == 1
        self.params.append(params)
        drawn = []
        for prompt in prompts:
            drawn.append([Completion(self.texts[len(self.asked) % len(self.texts)], tokens=5, truncated=False)])
            self.asked.append(prompt)
        return drawn


SEEDS = [f"Seed problem number {i} asks something of its own: w{i} v{i} u{i}" for i in range(20)]


def numbered_list(config: SerlConfig, seeds: list[str] = SEEDS) -> NumberedList:
    return NumberedList("Continue {this}:\n{questions}", seeds, config, lambda prompt: f"<user>{prompt}</user>")


def distinct(first: int, count: int) -> str:
    """`count` items that share no word with each other."""
    return "".join(f"\n{i}. a{i}q b{i}q c{i}q d{i}q" for i in range(first, first + count))


def test_examples_are_shuffled_and_mostly_seeds():
    style, kept = numbered_list(FAITHFUL), [f"kept {i}" for i in range(5)]
    places = set()
    for seed in range(100):
        lines = style.prompt(kept, random.Random(seed)).removeprefix("<user>").removesuffix("</user>").split("\n")
        assert lines[0] == "Continue {this}:"
        assert lines[-1] == "9."
        examples = [line.partition(". ")[2] for line in lines[1:-1]]
        assert [line.partition(". ")[0] for line in lines[1:-1]] == [str(i) for i in range(1, 9)]
        assert len(set(examples)) == 8
        assert len(set(examples) & set(kept)) == 2
        assert len(set(examples) & set(SEEDS)) == 6
        places.update(i for i, example in enumerate(examples) if example in kept)
    assert places == set(range(8))


@pytest.mark.parametrize(("kept", "seeds", "generated", "expected"), [(0, 20, 0, 8), (1, 20, 1, 8), (5, 3, 2, 5)])
def test_examples_where_there_are_few(kept, seeds, generated, expected):
    kept = [f"kept {i}" for i in range(kept)]
    prompt = numbered_list(FAITHFUL, SEEDS[:seeds]).prompt(kept, random.Random(0))
    assert prompt.count("kept") == generated
    assert prompt.count("\n") == expected + 1


def test_an_example_stands_on_one_line():
    prompt = numbered_list(FAITHFUL, ["Solve\n  this {x}:"]).prompt([], random.Random(0))
    assert prompt.endswith("\n1. Solve this {x}\n2.</user>")


def pool(writer, config: SerlConfig, fits=lambda question: True, style=None) -> QuestionPool:
    return QuestionPool(writer, style or numbered_list(config), SEEDS, fits, config, seed=1)


def test_pool_asks_four_prompts_at_a_time_until_it_is_full():
    writer = CannedWriter(*(distinct(10 * i, 2) for i in range(9)))
    questions = pool(writer, FAITHFUL).take(16, [])
    assert len(writer.asked) == 8
    assert replace(writer.params[0], seed=0) == SamplingParams(1024, 0.8, seed=0, top_p=0.95, presence_penalty=2.0)
    assert writer.params[0].seed != writer.params[1].seed
    assert len(set(writer.asked)) == 8
    assert len(set(questions)) == 16
    assert questions[:2] == ["A0q b0q c0q d0q", "A1q b1q c1q d1q"]


def test_what_waits_is_taken_before_anything_is_written():
    writer = CannedWriter(*(distinct(10 * i, 5) for i in range(9)))
    waiting = pool(writer, FAITHFUL)
    first, second = waiting.take(16, []), waiting.take(4, [])
    assert len(writer.asked) == 4
    assert len(set(first + second)) == 20


def test_pool_refuses_repetitions_seeds_and_what_does_not_fit():
    text = f"\n1. {SEEDS[3]}\n2. a b c d\n3. a b c d!\n4. too long for it\n5. e f g h"
    config = SerlConfig(faithful=False, max_rounds=1, prompts_per_round=2)
    waiting = pool(CannedWriter(text), config, fits=lambda question: "long" not in question)
    assert waiting.take(2, []) == ["a b c d", "e f g h"]
    assert waiting.waiting == []


def test_faithful_pool_loses_the_first_item_and_the_capitals_and_the_mended_one_keeps_them():
    text = r"First \Delta of ABC here" + "\n" + r"10. Second \Sigma over N there"
    assert pool(CannedWriter(text), SerlConfig(prompts_per_round=1)).take(1, []) == [r"Second \sigma over n there"]
    mended = pool(CannedWriter(text), SerlConfig(prompts_per_round=1, faithful=False)).take(2, [])
    assert mended == [r"First \Delta of ABC here", r"Second \Sigma over N there"]


def test_teacher_style_takes_the_question_of_well_formed_completions():
    texts = [
        r"<question>482917aLbR</question>a829174<answer>\boxed{482917}</answer>",
        "<question>482917aLbR",
        r"<question>123456aLbR</question><answer>\boxed{1}</answer>",
    ]
    config = SerlConfig(faithful=False, min_words=1, prompts_per_round=3)
    writer = CannedWriter(*texts)
    assert pool(writer, config, style=TeacherPrompt("<teacher>")).take(2, []) == ["482917aLbR", "123456aLbR"]
    assert writer.asked == ["<teacher>"] * 3


HOSTILE = [
    "",
    "x" * 100_000,
    "1. " * 30_000,
    "\n1. " + "a" * 99_000,
    "\0\x1b[2J\x07",
    "1. a\x00b c d e\n2. f g\x7f h i",
    "١. ب ت ث ج\n２. a b c d",
    "1. 1.\n 2. 3.\n2. 1. 1.",
    "\n" * 100_000,
    "{question}{questions}{}",
    "</question><answer>",
    "<question>" * 20_000,
    "9" * 100_000 + ". a b c d",
    "((((" * 20_000,
]


@pytest.mark.parametrize("style", ["numbered_list", "teacher_prompt"])
@pytest.mark.parametrize("faithful", [True, False])
def test_hostile_outputs_end_in_a_clear_error(style, faithful):
    config = SerlConfig(faithful=faithful, style=style, max_rounds=4)
    kind = numbered_list(config) if style == "numbered_list" else TeacherPrompt("<teacher>")
    waiting = pool(CannedWriter(*HOSTILE), config, fits=lambda question: len(question) < 1000, style=kind)
    started = time.monotonic()
    with pytest.raises(SelfPlayError) as error:
        waiting.take(16, [])
    assert time.monotonic() - started < 5
    assert waiting.waiting == []
    message, *outputs = str(error.value).splitlines()
    assert "0 usable questions in 4 rounds of 4 prompts, and 16 were needed; raise serl.max_rounds" in message
    # The last round's outputs, cut and escaped.
    assert outputs == [f"  {HOSTILE[i % len(HOSTILE)][:500]!r}" for i in range(12, 16)]


def boxed(*answers: str | None) -> list[str]:
    return ["no box" if answer is None else f"so \\boxed{{{answer}}}" for answer in answers]


@pytest.fixture(scope="module")
def grader():
    with Grader() as grader:
        yield grader


@pytest.mark.parametrize(
    ("answers", "rewards", "answer"),
    [
        (("1", "2", "1", "3"), [1, 0, 1, 0], "1"),
        (("1", "2", "2", "1"), [1, 0, 0, 1], "1"),
        (("3", "1", "2", "2", "1"), [0, 1, 0, 0, 1], "1"),
        (("0.5", r"\frac{1}{2}", "7", r"\frac12"), [1, 1, 0, 1], "0.5"),
        (("x+1", "y", "1+x"), [1, 0, 1], "x+1"),
        (("1", "2", "3"), [1, 0, 0], "1"),
        ((None, "2", None), [0, 1, 0], "2"),
        ((None, None), [0, 0], None),
        (("", "", "5"), [0, 0, 1], "5"),
        (("4",), [1], "4"),
        (("4", "4"), [1, 1], "4"),
    ],
)
def test_reward_is_agreement_with_the_majority(grader, answers, rewards, answer):
    assert votes([boxed(*answers)], grader) == [Vote(rewards, answer)]


def test_groups_vote_apart(grader):
    first, second = votes([boxed("1", "2", "2"), boxed("2", "1", "1")], grader)
    assert (first.rewards, second.rewards) == ([0, 1, 1], [0, 1, 1])
    assert (first.answer, second.answer) == ("2", "1")
    assert first.agreement == pytest.approx(2 / 3)


class TimingOut:
    """Compares as strings, and never finishes with an answer that is slow."""

    def verify(self, pairs):
        return [None if "slow" in pair else pair[0] == pair[1] for pair in pairs]


def test_what_cannot_be_compared_in_time_is_unscorable_and_not_wrong():
    (vote,) = votes([boxed("1", "slow", "1", "2")], TimingOut())
    assert vote.rewards == [1, None, 1, 0]
    assert vote.agreement == pytest.approx(2 / 3)
    assert Vote([None, None], None).agreement == 0
