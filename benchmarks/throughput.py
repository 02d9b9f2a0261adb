"""Measure this machine on a configured model, for `python -m soar_pipeline.cost --throughput FILE` (docs/cost.md).

    python benchmarks/throughput.py --configfile config/config.yaml --output throughput.yaml

It draws completions in two batch sizes and trains one student step with the trainer of the pipeline, its parts timed
where they happen. On two CPU cores and the embedded model it takes about a minute; the machine should have nothing else
to do, or what it measures is the contention. The model comes from where the configuration says, so a hub id is fetched.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import yaml

from soar_pipeline.config import Config, load
from soar_pipeline.cost.speed import DecodingPoint, Measured
from soar_pipeline.generation.generator import Completion
from soar_pipeline.generation.transformers_engine import TransformersGenerator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.located import located
from soar_pipeline.models.policy import Policy, PromptFormat, copy_weights, load_policy, save_weights
from soar_pipeline.models.sources import write_base_model
from soar_pipeline.problems.sources import load_problems
from soar_pipeline.slices import prompt_texts
from soar_pipeline.soar.questions import TeacherOutputError, acceptance_rate, sample_questions
from soar_pipeline.training.schedules import Question, constant_schedule
from soar_pipeline.training.student import StudentTrainer

PROJECT = Path(__file__).resolve().parent.parent
ON_GPU = torch.cuda.is_available()
STUDENT_STEPS = 3
CPU_CLOCK = threading.Event()


class Clock:
    """Seconds by name, and how often; waits for the GPU where there is one."""

    def __init__(self):
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def timed(self, name: str | Callable[[], str], function: Callable) -> Callable:
        """The function, with every call timed under `name` (or under what it says at the time of the call)."""

        def call(*arguments, **options):
            key = name if isinstance(name, str) else name()
            started = now()
            result = function(*arguments, **options)
            self.seconds[key].append(now() - started)
            return result

        return call

    def total(self, name: str) -> float:
        return sum(self.seconds[name])


def now() -> float:
    """Seconds of the clock: the wall's, or the CPU time of this process and of those it waited for."""
    if ON_GPU:
        torch.cuda.synchronize()
    if CPU_CLOCK.is_set():
        return sum(os.times()[:4])
    return time.perf_counter()


def measure(config: Config, model: str, batches: int) -> Measured:
    """All figures of one model of the configuration, on this machine as it is now."""
    settings = config.models[model]
    with tempfile.TemporaryDirectory() as workplace:
        folder = Path(workplace) / "model"
        write_base_model(settings, config.seed, folder)
        job_start = seconds_of_process(
            "from pathlib import Path; from soar_pipeline.models.policy import load_policy;"
            f"import soar_pipeline.stages.train_soar; load_policy(Path({str(folder)!r}), {settings.dtype!r})"
        )
        policy = load_policy(folder, settings.dtype)
        policy.model.name_or_path = str(folder)
        prompts = PromptFormat(prompt_texts(config), settings.chat_template, policy.tokenizer)
        questions = questions_for(config, model)
        disk = disk_bandwidth(policy, Path(workplace))
        with Grader(config.grading) as grader:
            drawn = drawing(config, policy, prompts, questions, batches)
            taught = teaching(config, policy, prompts, grader)
            trained = training(config, policy, prompts, grader, questions)
    return Measured(
        machine=f"{torch.cuda.get_device_name() if ON_GPU else platform.processor() or platform.machine()} "
        f"({torch.get_num_threads()} thread of {os.cpu_count()} cores)",
        kind="gpu" if ON_GPU else "cpu",
        note=f"torch {torch.__version__}, load average {os.getloadavg()[0]:.1f} at the end",
        model=settings.path if settings.source != "pretrain" else "pretrained here",
        parameters=sum(parameter.numel() for parameter in policy.model.parameters()),
        dtype=settings.dtype,
        job_start_seconds=job_start,
        plumbing_seconds=seconds_of_process("import pyarrow.parquet, soar_pipeline.slices"),
        disk_bandwidth=disk,
        **drawn,
        **taught,
        **trained,
    )


def questions_for(config: Config, model: str) -> list[Question]:
    """Problems of the first data set that uses the model."""
    name = next(name for name, dataset in config.datasets.items() if dataset.model == model)
    problems = load_problems(name, config.datasets[name].pool)
    return [Question(row["problem_id"], row["question"], row["answer"]) for row in problems]


def drawing(
    config: Config, policy: Policy, prompts: PromptFormat, questions: list[Question], batches: int
) -> dict[str, object]:
    """Seconds per decoding step of a small and of a full batch, and the lengths of the full ones."""
    generation = config.generation
    many = generation.batch_size
    points, lengths, longest = [], [], []
    for sequences in (max(1, many // 8), many):
        asked = [prompts.student(questions[i % len(questions)].question) for i in range(sequences)]
        generator = TransformersGenerator(policy, sequences)
        # The first call warms up: allocators, kernels.
        generator.sample(asked[:2], samples=1, max_new_tokens=4, temperature=generation.temperature, seed=0)
        prefill = prefill_seconds(generator, asked)
        rates, lengths, longest = [], [], []
        for seed in range(batches):
            started = now()
            drawn = generator.sample(
                asked,
                samples=1,
                max_new_tokens=generation.student_max_new_tokens,
                temperature=generation.temperature,
                seed=seed,
            )
            tokens = [completions[0].tokens for completions in drawn]
            rates.append((now() - started - prefill) / max(tokens))
            lengths += tokens
            longest.append(max(tokens))
        points.append(DecodingPoint(sequences=sequences, seconds=max(median(rates), 1e-9)))
    prompt_tokens = fmean(len(policy.tokenizer(text)["input_ids"]) for text in asked)
    limit = generation.student_max_new_tokens
    return {
        "decoding": points,
        "prefill_seconds_per_token": prefill / (many * prompt_tokens),
        "student_prompt_tokens": round(prompt_tokens),
        "base_length": fmean(lengths) / limit,
        "base_longest": fmean(longest) / limit,
    }


def prefill_seconds(generator: TransformersGenerator, asked: list[str]) -> float:
    """What `generate` takes until the first token."""
    started = now()
    generator.greedy(asked, max_new_tokens=1)
    return now() - started


def teaching(config: Config, policy: Policy, prompts: PromptFormat, grader: Grader) -> dict[str, object]:
    """The base model as a teacher: lengths, and the share of its completions that is accepted."""
    limit = config.generation.teacher_max_new_tokens
    completions = RecordedCompletions(policy, config.generation.batch_size)
    acceptance = None
    try:
        accepted = sample_questions(
            completions, grader, prompts, config.generation, count=64, max_draws_per_question=8, seed=0
        )
        acceptance = acceptance_rate(accepted)
    except TeacherOutputError as error:
        print(f"acceptance: not measured: {str(error).splitlines()[0]}", file=sys.stderr)
    return {
        "teacher_prompt_tokens": len(policy.tokenizer(prompts.teacher())["input_ids"]),
        "teacher_length": fmean(completions.tokens) / limit,
        "teacher_longest": max(completions.tokens) / limit,
        "acceptance": acceptance,
    }


class RecordedCompletions(TransformersGenerator):
    """Remembers how long the completions were, refused ones too."""

    def __init__(self, policy: Policy, batch_size: int):
        super().__init__(policy, batch_size)
        self.tokens: list[int] = []

    def sample(self, prompts: list[str], **settings) -> list[list[Completion]]:
        drawn = super().sample(prompts, **settings)
        self.tokens += [completion.tokens for completions in drawn for completion in completions]
        return drawn


def training(
    config: Config, policy: Policy, prompts: PromptFormat, grader: Grader, questions: list[Question]
) -> dict[str, float]:
    """The parts of a student step, each timed inside the trainer: log-probabilities, backward, AdamW, grading."""
    student, clock, padded = config.student, Clock(), []
    trainer = StudentTrainer(policy, prompts, grader, student, config.generation)
    inner = trainer.trainer
    log_probabilities = inner._get_per_token_logps_and_entropies

    def counted(model, input_ids, *arguments, **options):
        if not torch.is_grad_enabled():
            padded.append(input_ids.numel())
        return log_probabilities(model, input_ids, *arguments, **options)

    inner._get_per_token_logps_and_entropies = clock.timed(
        lambda: "current" if torch.is_grad_enabled() else "fixed", counted
    )
    inner._generate_and_score_completions = clock.timed("rollouts", inner._generate_and_score_completions)
    inner._calculate_rewards = clock.timed("grading", inner._calculate_rewards)
    inner.training_step = clock.timed("step", inner.training_step)
    create = inner.create_optimizer

    def create_timed(*arguments):
        optimizer = create(*arguments)
        optimizer.step = clock.timed("optimizer", optimizer.step)
        return optimizer

    inner.create_optimizer = create_timed
    schedule = constant_schedule(questions, STUDENT_STEPS, student.batch_size, seed=0)
    trainer.train(schedule, seed=0, reference=copy_weights(policy.model))
    fixed_passes = 1 + (student.kl_coefficient > 0)
    tokens, rollouts = sum(padded) / fixed_passes, STUDENT_STEPS * student.batch_size * student.group_size
    # Recomputing activations is part of the backward pass here; the cost model counts it as one more forward pass.
    recomputed = clock.total("current") if student.gradient_checkpointing else 0.0
    backward = clock.total("step") - clock.total("rollouts") - clock.total("current") - recomputed
    return {
        "forward_seconds_per_token": clock.total("fixed") / sum(padded),
        "backward_seconds_per_token": max(0.0, backward) / tokens,
        "optimizer_seconds": clock.total("optimizer") / STUDENT_STEPS,
        "grading_seconds": clock.total("grading") * config.grading.workers / rollouts,
    }


IMPORTS = "from pathlib import Path; import soar_pipeline.stages.train_soar; from soar_pipeline.models.policy import load_policy"


def seconds_of_process(program: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def disk_bandwidth(policy: Policy, folder: Path) -> float:
    """Bytes per second of writing the weights to disk, synced."""
    weights = copy_weights(policy.model)
    started = time.perf_counter()
    save_weights(folder / "weights.safetensors", weights)
    return (folder / "weights.safetensors").stat().st_size / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "config.yaml")
    parser.add_argument("--model", default="base", help="name in `models` (default: base)")
    parser.add_argument("--batches", type=int, default=3, help="batches per batch size (default: 3)")
    parser.add_argument("--output", type=Path, default=Path("throughput.yaml"))
    options = parser.parse_args()
    config = located(load(options.configfile), str(options.configfile), PROJECT)
    if options.model not in config.models:
        parser.error(f"--model {options.model}: there are {sorted(config.models)}")
    started = time.perf_counter()
    measured = measure(config, options.model, options.batches)
    text = yaml.safe_dump(measured.model_dump(mode="json"), sort_keys=False)
    options.output.write_text(text, encoding="utf-8")
    print(text)
    if os.getloadavg()[0] > os.cpu_count() * 1.2:
        print("The machine is busy: these figures hold the contention too.", file=sys.stderr)
    print(f"{options.output}: measured in {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
