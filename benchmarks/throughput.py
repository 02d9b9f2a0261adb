"""Measure this machine on a configured model, for `python -m soar_pipeline.cost --throughput FILE` (docs/cost.md).

    python benchmarks/throughput.py --configfile config/config.yaml --output throughput.yaml

It draws completions in two batch sizes and trains one student step with the trainer of the pipeline, its parts timed
where they happen. With the toy model it takes about a minute on a CPU. The machine should have nothing else to do,
or what it measures is the contention; `--cpu-time` leaves the waiting out. The model comes from where the configuration
says, so a hub id is fetched.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import yaml
from student_step import ON_GPU, Clock, StepParts

from soar_pipeline.config import Config, PoolConfig, load, read_prompts
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.cost.speed import DecodingPoint, Measured
from soar_pipeline.policy.base_models import write_base_model
from soar_pipeline.policy.encoding import encode
from soar_pipeline.policy.loading import Policy
from soar_pipeline.policy.open_policy import OpenPolicy, open_policy
from soar_pipeline.policy.sampling import Completion, SamplingParams
from soar_pipeline.policy.transformers_engine import TransformersGenerator
from soar_pipeline.policy.weights import copy_weights, save_weights
from soar_pipeline.problems.sources import load_problems
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.runtime import set_up_process
from soar_pipeline.soar.questions import SingleTurnWriter, TeacherOutputError, acceptance_rate

PROJECT = Path(__file__).resolve().parent.parent
STUDENT_STEPS = 3


def measure(config: Config, model: str, batches: int, clock: Clock) -> Measured:
    """All figures of one model of the configuration, on this machine as it is now."""
    settings = config.models[model]
    with tempfile.TemporaryDirectory() as workplace:
        folder = Path(workplace) / "model"
        write_base_model(settings, config.seed, folder)
        job_start = seconds_of_process(
            clock,
            "from pathlib import Path; from soar_pipeline.policy.loading import load_policy; "
            f"import soar_pipeline.stages.train_soar; load_policy(Path({str(folder)!r}), {settings.dtype!r})",
        )
        # Problems of the first data set that uses the model.
        name = next(name for name, dataset in config.datasets.items() if dataset.model == model)
        questions = questions_of(name, config.datasets[name].pool)
        prompts, generation = read_prompts(config.prompts), config.generation
        with open_policy(
            folder, model=settings, prompts=prompts, generation=generation, grading=config.grading, trained=True
        ) as policy:
            disk = disk_bandwidth(policy, Path(workplace))
            drawn = drawing(config, policy, questions, batches, clock)
            taught = teaching(config, policy)
            trained = training(config, policy, questions, clock)
    return Measured(
        machine=f"{torch.cuda.get_device_name() if ON_GPU else platform.processor() or platform.machine()} "
        f"({torch.get_num_threads()} thread(s))",
        kind="gpu" if ON_GPU else "cpu",
        note=f"torch {torch.__version__}, {'CPU' if clock.cpu_time else 'wall-clock'} time, "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        model=settings.path if settings.source != "pretrain" else "pretrained here",
        parameters=sum(parameter.numel() for parameter in policy.model.parameters()),
        dtype=settings.dtype,
        job_start_seconds=job_start,
        plumbing_seconds=seconds_of_process(clock, "import soar_pipeline.stages.make_tables"),
        disk_bandwidth=disk,
        **drawn,
        **taught,
        **trained,
    )


def questions_of(name: str, pool: PoolConfig) -> list[Question]:
    problems = load_problems(name, pool).problems
    return [Question(problem.problem_id, problem.question, problem.answer) for problem in problems]


def drawing(
    config: Config, policy: OpenPolicy, questions: list[Question], batches: int, clock: Clock
) -> dict[str, object]:
    """Seconds per decoding step of a small and of a full batch, and the lengths of the full ones."""
    generation = config.generation
    many = generation.batch_size
    points, lengths, longest = [], [], []
    for sequences in (max(1, many // 8), many):
        prompts = [policy.prompts.student(questions[i % len(questions)].question) for i in range(sequences)]
        generator = TransformersGenerator(policy, sequences)
        # The first call warms up: allocators, kernels.
        generator.sample(prompts[:2], 1, SamplingParams(4, generation.temperature))
        # The quickest of several: whatever else the machine does only ever adds.
        prefill = min(prefill_seconds(generator, prompts, clock) for _ in range(batches))
        rates, lengths, longest = [], [], []
        for seed in range(batches):
            started = clock.now()
            drawn = generator.sample(prompts, 1, policy.student_params(seed))
            tokens = [completions[0].tokens for completions in drawn]
            rates.append((clock.now() - started - prefill) / max(tokens))
            lengths += tokens
            longest.append(max(tokens))
        if min(rates) <= 0:
            raise SystemExit("no decoding time is left beside the prompts': the machine is too busy; measure again")
        points.append(DecodingPoint(sequences=sequences, seconds=min(rates)))
    prompt_tokens = fmean(len(ids) for ids in encode(prompts, policy.tokenizer))
    limit = generation.student_max_new_tokens
    return {
        "decoding": points,
        "prefill_seconds_per_token": prefill / (many * prompt_tokens),
        "student_prompt_tokens": round(prompt_tokens),
        "base_length": fmean(lengths) / limit,
        "base_longest": fmean(longest) / limit,
    }


def prefill_seconds(generator: TransformersGenerator, prompts: list[str], clock: Clock) -> float:
    """What `generate` takes until the first token."""
    started = clock.now()
    generator.greedy(prompts, max_new_tokens=1)
    return clock.now() - started


def teaching(config: Config, policy: OpenPolicy) -> dict[str, object]:
    """The base model as a teacher: lengths, and the share of its completions that is accepted."""
    limit = config.generation.teacher_max_new_tokens
    completions = RecordedCompletions(policy, config.generation.batch_size)
    acceptance = None
    try:
        writer = SingleTurnWriter(replace(policy, generator=completions), max_draws_per_question=8)
        acceptance = acceptance_rate(writer.write([str(i) for i in range(64)], seed=0))
    except TeacherOutputError as error:
        print(f"acceptance: not measured: {str(error).splitlines()[0]}", file=sys.stderr)
    return {
        "teacher_prompt_tokens": len(encode([policy.prompts.teacher()], policy.tokenizer)[0]),
        "teacher_length": fmean(completions.tokens) / limit,
        "teacher_longest": max(completions.tokens) / limit,
        "acceptance": acceptance,
    }


class RecordedCompletions(TransformersGenerator):
    """Remembers how long the completions were, refused ones too."""

    def __init__(self, policy: Policy, batch_size: int):
        super().__init__(policy, batch_size)
        self.tokens: list[int] = []

    def sample(self, prompts: list[str], samples: int, params: SamplingParams) -> list[list[Completion]]:
        drawn = super().sample(prompts, samples, params)
        self.tokens += [completion.tokens for completions in drawn for completion in completions]
        return drawn


def training(config: Config, policy: OpenPolicy, questions: list[Question], clock: Clock) -> dict[str, float]:
    """The parts of a student step, each timed inside the trainer: log-probabilities, backward, AdamW, grading."""
    student = config.student
    trainer = StudentTrainer(policy, student)
    parts, seconds = StepParts(trainer.trainer, clock), clock.seconds
    schedule = constant_schedule(questions, STUDENT_STEPS, student.batch_size, seed=0)
    trainer.train(schedule, seed=0, reference=copy_weights(policy.model))
    forward = seconds["log-probabilities"] / parts.forward_positions
    # Recomputing activations is part of the backward pass here; the cost model counts it as one more forward pass.
    recomputed = forward if student.gradient_checkpointing else 0.0
    rollouts = STUDENT_STEPS * student.batch_size * student.group_size
    return {
        "forward_seconds_per_token": forward,
        "backward_seconds_per_token": max(0.0, seconds["backward"] / parts.trained_positions - recomputed),
        "optimizer_seconds": seconds["optimizer"] / STUDENT_STEPS,
        "grading_seconds": seconds["grading"] * config.grading.workers / rollouts,
    }


def seconds_of_process(clock: Clock, program: str) -> float:
    started = clock.now()
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT, stderr=subprocess.DEVNULL)
    return clock.now() - started


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
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count CPU time: on a busy machine, what one thread would take alone (no GPU; waiting is not counted)",
    )
    parser.add_argument("--output", type=Path, default=Path("throughput.yaml"))
    options = parser.parse_args()
    set_up_process()
    config = resolve_paths(load(options.configfile), str(options.configfile), PROJECT)
    used = sorted({dataset.model for dataset in config.datasets.values()})
    if options.model not in used:
        parser.error(f"--model {options.model}: the data sets have {used}")
    if options.cpu_time and ON_GPU:
        parser.error("--cpu-time: a GPU's time is no CPU time")
    started = time.perf_counter()
    measured = measure(config, options.model, options.batches, Clock(options.cpu_time))
    text = yaml.safe_dump(measured.model_dump(mode="json"), sort_keys=False)
    options.output.write_text(text, encoding="utf-8")
    print(text)
    if os.getloadavg()[0] > os.cpu_count() + 1 and not options.cpu_time:
        print("The machine is busy, and that is in these figures; see --cpu-time.", file=sys.stderr)
    print(f"{options.output}: measured in {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
