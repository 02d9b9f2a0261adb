"""What the toy task's base model can do, what it tries, and what it asks: the tables of docs/toy-task.md.

    python benchmarks/toy_base_model.py
    python benchmarks/toy_base_model.py --model results/toy/models/base

- By difficulty: how often it is right as a student, at the temperature of training; how often after a worked example's
  prompt, greedily (the latent skill); the probability that a student's first token begins a worked solution.
- Ambiguous questions: how often a student agrees with the reading that the writer had in mind.
- As a teacher: the classes of its accepted questions, and how many of its completions are accepted.

Half a minute on one core.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd
import torch
from tabulate import tabulate

from soar_pipeline.config import Config, DatasetGrading, load, read_prompts
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.policy.open_policy import OpenPolicy, open_policy
from soar_pipeline.policy.toy_corpus import PROMPT_END, WORKED_PROMPT
from soar_pipeline.problems.digit_shuffles import (
    MAX_DIFFICULTY,
    QUESTION_CLASSES,
    STEP_LABELS,
    Shuffle,
    sample_distinct,
)
from soar_pipeline.questions import Question
from soar_pipeline.reporting.question_profile import composition
from soar_pipeline.runtime import derive, set_up_process
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.questions import acceptance_rate, question_writer

PROJECT = Path(__file__).resolve().parent.parent


def as_student(policy: OpenPolicy, asked: Sequence[Shuffle], meant: Sequence[Shuffle], samples: int) -> float:
    """Share of right completions; the answer is that of the problem that is meant."""
    questions = [
        Question(f"q{i}", shown.question, problem.answer)
        for i, (shown, problem) in enumerate(zip(asked, meant, strict=True))
    ]
    return fmean(Evaluator(policy).solve_rates(questions, samples, seed=1))


def worked(policy: OpenPolicy, problems: Sequence[Shuffle]) -> float:
    """Share solved greedily behind the prompt of worked examples."""
    prompts = [WORKED_PROMPT + problem.question + PROMPT_END for problem in problems]
    completions = policy.generator.greedy(prompts, policy.generation.student_max_new_tokens)
    pairs = [(problem.answer, completion.text) for problem, completion in zip(problems, completions, strict=True)]
    return fmean(grade.verdict == "right" for grade in policy.grader.grade(pairs))


@torch.no_grad()
def first_token(policy: OpenPolicy, problems: Sequence[Shuffle]) -> float:
    """Probability that a student's completion begins with the first step's label, mean over problems."""
    label = policy.tokenizer.convert_tokens_to_ids(STEP_LABELS[0])
    prompts = [policy.prompts.student(problem.question) for problem in problems]
    batch = policy.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
    logits = policy.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, -1]
    return logits.softmax(-1)[:, label].mean().item()


def student_table(policy: OpenPolicy, problems: int, samples: int) -> str:
    rows = []
    for difficulty in range(1, MAX_DIFFICULTY + 1):
        some = sample_distinct(random.Random(difficulty), [difficulty] * problems)
        many = sample_distinct(random.Random(difficulty), [difficulty] * 8 * problems)
        rates = as_student(policy, some, some, samples), worked(policy, some)
        rows.append([difficulty, *(f"{rate:.3f}" for rate in rates), f"{first_token(policy, many):.1e}"])
    header = ["operations", "right as a student", "right as a worked example", "P(first token begins working)"]
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)


def ambiguous_table(policy: OpenPolicy, problems: int, samples: int) -> str:
    rows, rng = [], random.Random(0)
    for difficulty in (1, 2, 3):
        meant = sample_distinct(rng, [difficulty] * problems)
        asked = [problem.with_unsaid_step(rng) for problem in meant]
        rows.append([difficulty, f"{as_student(policy, asked, meant, samples):.3f}"])
    return tabulate(
        rows, ["operations, one unsaid", "agrees with the writer"], tablefmt="github", disable_numparse=True
    )


def teacher_table(policy: OpenPolicy, config: Config, questions: int) -> str:
    writer = question_writer(policy, config.teacher.max_draws_per_question)
    written = writer.write([f"q{i}" for i in range(questions)], derive(config.seed, "questions of the base model"))
    rows = pd.DataFrame([item.row() for item in written])
    shares = composition(rows).value_counts(normalize=True)
    different = rows["question"].nunique()
    header = [*QUESTION_CLASSES, "different questions", "accepted completions"]
    row = [*(f"{shares[name]:.3f}" for name in QUESTION_CLASSES), different, f"{acceptance_rate(written):.2f}"]
    return tabulate([row], header, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "config.yaml")
    parser.add_argument("--model", type=Path, help="model folder (default: that of the configuration)")
    parser.add_argument("--problems", type=int, default=64, help="of each difficulty (default: 64)")
    parser.add_argument("--samples", type=int, default=32, help="of each problem (default: 32)")
    parser.add_argument("--questions", type=int, default=1024, help="of the teacher (default: 1024)")
    options = parser.parse_args()
    set_up_process()
    config = resolve_paths(load(options.configfile), str(options.configfile), PROJECT)
    model = config.models["base"]
    with open_policy(
        options.model or Path(model.path),
        model=model,
        prompts=read_prompts(config.prompts),
        generation=config.generation,
        grading=DatasetGrading(**dict(config.grading)),
    ) as policy:
        print(student_table(policy, options.problems, options.samples), flush=True)
        print(f"\n{ambiguous_table(policy, options.problems, options.samples)}", flush=True)
        print(f"\n{options.questions} accepted questions of the teacher:\n")
        print(teacher_table(policy, config, options.questions), flush=True)


if __name__ == "__main__":
    main()
