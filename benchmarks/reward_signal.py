"""How much a grounded reward says about a dataset, per token that its students generate (docs/toy-task.md).

    make run
    python benchmarks/reward_signal.py results/toy/shuffles
    python benchmarks/reward_signal.py results/toy/shuffles --model results/toy/shuffles/soar/grounded/t1/student \
        --learning-rate 2e-4 --schemes 1:12:1x32

Datasets of n questions are taken at random from all that the run's teachers wrote under the objective `grounded`, good
and bad ones. For each scheme `n:steps:batch x group`, `--repeats` students are trained on each of `--datasets`
datasets, from the base model or from another (`--model`, such as a promoted student). They are measured on the same
hard problems of train: by greedy accuracy on 48, and by the pass rate over 4 samples of 24.

- between, within: standard deviations of the reward between datasets, and between students of one dataset (analysis of
  variance with one factor).
- reliability for r = 1, 2, 4: between² / (between² + within² / r), the share of a dataset's reward R_k that is the
  dataset's own. In brackets, for r = 1, 90 % of a bootstrap over datasets.
- signal: reliability / (r x million tokens of a student). An update averages over its g datasets, so g itself makes no
  difference to what a token teaches.
- per question: the share of R_k that is one question's own if the n questions of a dataset add up: reliability / n.

About three seconds for each student and 400 rollouts on one core.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, quantiles, variance

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tabulate import tabulate

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import SOAR_QUESTIONS
from soar_pipeline.config import Config, DatasetGrading, load, read_prompts
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import Question, read_problems
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.runtime import Progress, derive, set_up_process
from soar_pipeline.soar.evaluator import Evaluator

PROJECT = Path(__file__).resolve().parent.parent
SCHEMES = ["1:6:1x32", "1:12:1x32", "1:24:1x32", "4:12:4x16", "16:20:8x16"]
# By the measure's name: questions and samples of each, None for greedy.
MEASURES = {"greedy": (48, None), "pass rate": (24, 4)}
BOOTSTRAP = 2000

# By dataset, the rewards of its students.
Rewards = list[list[float]]


@dataclass(frozen=True)
class Scheme:
    """What a dataset and a student's training are."""

    n: int
    steps: int
    batch_size: int
    group_size: int

    @classmethod
    def of(cls, text: str) -> "Scheme":
        n, steps, shape = text.split(":")
        return cls(int(n), int(steps), *map(int, shape.split("x")))


@dataclass(frozen=True)
class Measured:
    """Rewards by the measure's name, and the mean number of tokens that a student generated."""

    rewards: dict[str, Rewards]
    tokens: float


class Students:
    """Trains students of one policy from the base model, with the `student` section of a configuration."""

    def __init__(self, config: Config, folder: Path, grader: Grader, train: list[Question], seed: int):
        model, prompts = config.models["base"], read_prompts(config.prompts)
        self.policy = OpenPolicy.load(
            folder, model=model, prompts=prompts, generation=config.generation, grader=grader, trained=True
        )
        self.config, self.seed = config.student, seed
        self.base, self.evaluator = copy_weights(self.policy.model), Evaluator(self.policy)
        self.hard = random.Random(seed).sample(train, min(len(train), max(size for size, _ in MEASURES.values())))
        self.baseline = self._measured()

    def measured(self, scheme: Scheme, datasets: list[list[Question]], repeats: int) -> Measured:
        """The rewards of `repeats` students of each dataset."""
        shape = {"batch_size": scheme.batch_size, "group_size": scheme.group_size}
        trainer = StudentTrainer(self.policy, self.config.model_copy(update=shape))
        progress = Progress(f"students of {scheme}", len(datasets) * repeats)
        rewards: dict[str, Rewards] = {name: [[] for _ in datasets] for name in MEASURES}
        tokens = []
        for k, dataset in enumerate(datasets):
            for j in range(repeats):
                seed = derive(self.seed, "student", k, j)
                schedule = constant_schedule(dataset, scheme.steps, scheme.batch_size, seed)
                steps = trainer.train(schedule, seed, start=self.base, reference=self.base)
                trainer.release()
                tokens.append(sum(step.tokens for step in steps))
                for name, accuracy in self._measured().items():
                    rewards[name][k].append(accuracy - self.baseline[name])
                progress.advance(reward=rewards["pass rate"][k][-1])
        return Measured(rewards, fmean(tokens))

    def _measured(self) -> dict[str, float]:
        return {
            name: self.evaluator.accuracy(self.hard[:size], samples, self.seed)
            for name, (size, samples) in MEASURES.items()
        }


def components(rewards: Rewards) -> tuple[float, float]:
    """Variances between datasets and within; the estimate of the first is cut off at 0."""
    within = fmean(map(variance, rewards))
    between = variance(map(fmean, rewards)) - within / len(rewards[0])
    return max(0.0, between), within


def reliability(rewards: Rewards, repeats: int) -> float:
    between, within = components(rewards)
    return between / (between + within / repeats) if between else 0.0


def interval(rewards: Rewards) -> tuple[float, float]:
    """The middle 90 % of the reliability of one repeat, over datasets drawn with replacement."""
    rng = random.Random(0)
    drawn = [reliability(rng.choices(rewards, k=len(rewards)), 1) for _ in range(BOOTSTRAP)]
    low, *_, high = quantiles(drawn, n=20)
    return low, high


def row(scheme: Scheme, measured: Measured, name: str) -> list[object]:
    rewards, millions = measured.rewards[name], measured.tokens / 1e6
    between, within = (value**0.5 for value in components(rewards))
    low, high = interval(rewards)
    reliable = {r: reliability(rewards, r) for r in (1, 2, 4)}
    return [
        scheme.n,
        scheme.steps,
        f"{scheme.batch_size} × {scheme.group_size}",
        name,
        f"{millions * 1000:.1f}",
        f"{between:.3f}",
        f"{within:.3f}",
        f"{reliable[1]:.2f} ({low:.2f}–{high:.2f})",
        *(f"{reliable[r]:.2f}" for r in (2, 4)),
        *(f"{reliable[r] / (r * millions):.1f}" for r in (1, 4)),
        f"{reliable[1] / scheme.n:.2f}",
    ]


HEADER = [
    "n", "steps", "rollouts", "measure", "1,000 tokens", "between", "within", "reliability, r 1", "r 2", "r 4",
    "signal, r 1", "r 4", "per question",
]  # fmt: skip


def datasets_of(written: Sequence[Question], n: int, count: int, seed: int) -> list[list[Question]]:
    rng = random.Random(derive(seed, "datasets", n))
    return [rng.sample(written, n) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a data set in a finished run's results")
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "config.yaml")
    parser.add_argument("--schemes", nargs="*", default=SCHEMES, help=f"default: {' '.join(SCHEMES)}")
    parser.add_argument("--datasets", type=int, default=16, help="of each scheme (default: 16)")
    parser.add_argument("--repeats", type=int, default=2, help="students of each dataset (default: 2)")
    parser.add_argument("--model", type=Path, help="folder that students start from (default: the base model)")
    parser.add_argument("--learning-rate", type=float, help="of the students (default: that of the configuration)")
    parser.add_argument("--seed", type=int, default=0, help="of samples and trainings (default: 0)")
    options = parser.parse_args()
    set_up_process()
    config = resolve_paths(load(options.configfile), str(options.configfile), PROJECT)
    if options.learning_rate:
        changed = config.student.model_copy(update={"learning_rate": options.learning_rate})
        config = config.model_copy(update={"student": changed})
    written = [
        Question(row["question_id"], row["question"], row["answer"])
        for file in sorted(options.run.glob("soar/grounded/*/questions.parquet"))
        for row in read_rows(file, SOAR_QUESTIONS)
    ]
    train = read_problems(options.run / "train.parquet")
    table = []
    with Grader(**dict(DatasetGrading(**dict(config.grading)))) as grader:
        folder = options.model or Path(config.models["base"].path)
        students = Students(config, folder, grader, train, options.seed)
        for scheme in map(Scheme.of, options.schemes):
            datasets = datasets_of(written, scheme.n, options.datasets, options.seed)
            measured = students.measured(scheme, datasets, options.repeats)
            table += [row(scheme, measured, name) for name in MEASURES]
            print(tabulate(table[-len(MEASURES) :], tablefmt="plain"), file=sys.stderr, flush=True)
    print(tabulate(table, HEADER, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
