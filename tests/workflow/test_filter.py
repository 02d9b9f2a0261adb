"""The fail@k filter: early stop, survivors and the split."""

import random
from collections import Counter
from pathlib import Path

import pytest
from policies import scripted_policy

from soar_pipeline.artifacts.files import ArtifactError, read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance, digest
from soar_pipeline.artifacts.schemas import ATTEMPTS, HARD, PROBLEMS
from soar_pipeline.config import (
    ConfigError,
    Dataset,
    DatasetGrading,
    FilterConfig,
    GenerationConfig,
    ModelConfig,
    Pool,
    PoolConfig,
    Prompts,
    Settings,
    Shard,
)
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.attempts import AttemptSampler, solved
from soar_pipeline.policy.prompts import PromptFormat
from soar_pipeline.policy.sampling import Completion
from soar_pipeline.policy.toy_model import build_tokenizer
from soar_pipeline.questions import Question
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.filter_hard import filter_hard
from soar_pipeline.stages.load_problems import load_problems
from soar_pipeline.stages.sample_attempts import sample_attempts
from soar_pipeline.stages.split_hard import split_hard

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
NEVER = 10**6
MADE = Provenance("made", {})


class ScriptedPolicy:
    """A generator whose n-th completion of a prompt is right from number `first_right[prompt]` on."""

    def __init__(self, first_right: dict[str, int]):
        self.first_right, self.drawn = first_right, Counter()

    def sample(self, prompts, samples, params):
        drawn = []
        for prompt in prompts:
            numbers = range(self.drawn[prompt], self.drawn[prompt] + samples)
            self.drawn[prompt] += samples
            texts = ["\\boxed{7}" if number >= self.first_right[prompt] else "\\boxed{8}" for number in numbers]
            drawn.append([Completion(text, tokens=3, truncated=False) for text in texts])
        return drawn


def pool(size: int) -> list[dict]:
    return [
        {
            "problem_id": f"p{i:02d}",
            "dataset": "made",
            "question": f"{i}",
            "answer": "7",
            "subject": None,
            "level": None,
        }
        for i in range(size)
    ]


def attempts_of(first_right: list[int], rounds: tuple[int, ...], batch_size: int = 4) -> dict[str, list[dict]]:
    """Attempts per problem, where problem i would be solved first by its sample number `first_right[i]`."""
    problems = pool(len(first_right))
    format = PromptFormat(PROMPTS, chat_template=False, tokenizer=build_tokenizer())
    questions = [Question(problem["problem_id"], problem["question"], problem["answer"]) for problem in problems]
    scripted = {format.student(item.question): n for item, n in zip(questions, first_right, strict=True)}
    with Grader() as grader:
        policy = scripted_policy(ScriptedPolicy(scripted), grader, format, GenerationConfig(batch_size=batch_size))
        drawn = list(AttemptSampler(policy).sample_until_solved(questions, rounds, seed=0))
    assert [attempts[0]["problem_id"] for attempts in drawn] == [problem["problem_id"] for problem in problems]
    return {attempts[0]["problem_id"]: attempts for attempts in drawn}


def test_problem_leaves_after_the_round_of_its_first_right_answer():
    drawn = attempts_of([0, 7, 8, 31, 32, NEVER], rounds=(8, 24, 96))
    assert [len(attempts) for attempts in drawn.values()] == [8, 8, 32, 32, 128, 128]


def test_samples_are_numbered_through_the_rounds():
    drawn = attempts_of([5, NEVER], rounds=(2, 3, 4))
    assert [attempt["sample"] for attempt in drawn["p00"]] == list(range(9))
    assert [attempt["verdict"] for attempt in drawn["p00"]] == ["wrong"] * 5 + ["right"] * 4
    assert {attempt["extracted_answer"] for attempt in drawn["p01"]} == {"8"}


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_early_stop_reaches_the_verdict_of_drawing_everything(batch_size):
    rng = random.Random(batch_size)
    first_right = [rng.choice((rng.randrange(14), NEVER)) for _ in range(20)]
    early = attempts_of(first_right, (2, 4, 8), batch_size)
    at_once = attempts_of(first_right, (14,), batch_size)
    assert {name: solved(found) for name, found in early.items()} == {
        name: solved(found) for name, found in at_once.items()
    }
    assert sum(map(len, early.values())) < sum(map(len, at_once.values()))


def test_attempts_without_a_verdict_do_not_solve_a_problem():
    assert not solved([{"verdict": verdict} for verdict in ("timeout", "wrong", "no_box")])
    assert solved([{"verdict": "timeout"}, {"verdict": "right"}])


@pytest.fixture
def problems(tmp_path) -> Path:
    pool = PoolConfig(adapter="digit_shuffles", size=7, difficulties=(1, 8))
    made = tmp_path / "problems.parquet"
    call_stage(load_problems, Settings(pool=pool, grading=DatasetGrading()), Pool("shuffles"), source=[], problems=made)
    return made


def attempt(base_model: Path, problems: Path, number: int = 0, **changes: int) -> Path:
    """The file of a shard's attempts: by two rounds, of one shard and 12 tokens unless changed."""
    values = {"shards": 1, "max_new_tokens": 12, "seed": 0} | changes
    settings = Settings(
        model=ModelConfig(dtype="float32"),
        prompts=PROMPTS,
        generation=GenerationConfig(batch_size=8, student_max_new_tokens=values["max_new_tokens"]),
        grading=DatasetGrading(),
        filter=FilterConfig(rounds=(2, 3), shards=values["shards"]),
        seed=values["seed"],
    )
    attempts = problems.parent / f"{number}-{values['seed']}.parquet"
    files = {"base_model": base_model, "problems": problems, "attempts": attempts}
    call_stage(sample_attempts, settings, Shard("shuffles", number), **files)
    return attempts


def test_shards_share_the_pool(base_model, problems, tmp_path):
    ids = []
    for shard in range(3):
        attempts = attempt(base_model, problems, shard, shards=3)
        drawn = Counter(row["problem_id"] for row in read_rows(attempts, ATTEMPTS))
        assert set(drawn.values()) <= {2, 5}
        ids += drawn
    assert sorted(ids) == [row["problem_id"] for row in read_rows(problems, PROBLEMS)]


def test_shard_beyond_a_small_pool_is_empty(base_model, problems):
    assert read_rows(attempt(base_model, problems, 8, shards=9), ATTEMPTS) == []


def test_attempts_depend_on_the_seed_only(base_model, problems):
    digests = [digest(attempt(base_model, problems, seed=seed)) for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_prompt_longer_than_the_context_is_one_error_that_names_the_problem(base_model, problems, tmp_path):
    with pytest.raises(ConfigError, match=r"shuffle-00000: a prompt of \d+ tokens and 250 new tokens exceed"):
        attempt(base_model, problems, max_new_tokens=250)
    assert [path.name for path in tmp_path.iterdir()] == ["problems.parquet"]


def filtered(folder: Path, verdicts: dict[str, list[str]], keep_all: bool = False, size: int | None = None) -> Path:
    """hard.parquet of a pool whose problems got these verdicts, one attempts file per problem."""
    write_parquet(folder / "problems.parquet", table(pool(size or len(verdicts)), PROBLEMS), MADE)
    shards = []
    for name, found in verdicts.items():
        common = {"problem_id": name, "completion": "", "extracted_answer": None, "tokens": 1, "truncated": False}
        rows = [{**common, "sample": i, "verdict": verdict} for i, verdict in enumerate(found)]
        shards.append(folder / f"attempts-{name}.parquet")
        write_parquet(shards[-1], table(rows, ATTEMPTS, dataset="made"), MADE)
    files = {"problems": folder / "problems.parquet", "attempts": shards, "hard": folder / "hard.parquet"}
    files["audit"] = folder / "hard_audit.parquet"
    call_stage(
        filter_hard,
        Settings(filter=FilterConfig(keep_all=keep_all), grading=DatasetGrading()),
        Dataset("made"),
        **files,
    )
    return files["hard"]


VERDICTS = {
    "p00": ["wrong", "timeout", "no_box"],
    "p01": ["wrong", "right"],
    "p02": ["timeout", "timeout"],
    "p03": ["right", "wrong", "wrong"],
}


def test_survivors_are_the_problems_without_a_right_attempt(tmp_path):
    rows = read_rows(filtered(tmp_path, VERDICTS), HARD)
    assert [(row["problem_id"], row["attempts_drawn"]) for row in rows] == [("p00", 3), ("p02", 2)]


def test_keep_all_keeps_solved_problems_too(tmp_path):
    assert len(read_rows(filtered(tmp_path, VERDICTS, keep_all=True), HARD)) == 4


@pytest.mark.parametrize(("verdict", "left"), [("right", 0), ("wrong", 1)])
def test_fewer_than_two_survivors_are_one_error_that_says_what_to_do(tmp_path, verdict, left):
    with pytest.raises(
        ArtifactError, match=rf"{left} of 3 problems survive .* two are needed; give a larger or harder"
    ):
        filtered(tmp_path, {"p00": [verdict], "p01": ["right"], "p02": ["right"]})
    assert not (tmp_path / "hard.parquet").exists()


def test_problem_without_attempts_is_not_a_survivor_but_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="1 problems have no attempts, the first is p04"):
        filtered(tmp_path, VERDICTS, size=5)


def split(folder: Path, rows: list[dict], seed: int = 0) -> tuple[list[str], list[str]]:
    write_parquet(folder / "hard.parquet", table(rows, HARD), MADE)
    halves = folder / "train.parquet", folder / "test.parquet"
    files = {"hard": folder / "hard.parquet", "train": halves[0], "test": halves[1]}
    call_stage(split_hard, Settings(seed=seed), Dataset("made"), **files)
    return tuple([row["problem_id"] for row in read_rows(half, HARD)] for half in halves)


def survivors(size: int) -> list[dict]:
    return [{**row, "attempts_drawn": 8} for row in pool(size)]


@pytest.mark.parametrize("size", [2, 3, 40, 41])
def test_split_gives_every_survivor_to_one_half(tmp_path, size):
    train, test = split(tmp_path, survivors(size))
    assert sorted(train + test) == [row["problem_id"] for row in survivors(size)]
    assert (len(train), len(test)) == (size // 2, size - size // 2)


def test_split_does_not_depend_on_the_order_of_rows(tmp_path):
    assert split(tmp_path, survivors(40)) == split(tmp_path, survivors(40)[::-1])


def test_split_depends_on_the_seed_and_mixes_the_pool(tmp_path):
    train, test = split(tmp_path, survivors(40))
    assert split(tmp_path, survivors(40), seed=1) != (train, test)
    first_half = {row["problem_id"] for row in survivors(40)[:20]}
    assert 3 <= len(first_half & set(train)) <= 17
