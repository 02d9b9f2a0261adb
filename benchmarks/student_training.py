"""Students trained with the pipeline's trainer, against the obvious use of TRL, and against the least there is to do.

    python benchmarks/student_training.py

Each student is the base model after `--steps` RLOO steps on questions of a pool (the toy task's curated ones,
which students learn from; without `--pool`, of the first data set).
- obvious: for each student, load the model and build a new `RLOOTrainer` with the same settings.
- ours: one trainer, reset for each student.
- parts: ours, where completions that have ended leave their batch (`generation.segment_tokens`) and passes go over rows
  of similar length (`student.length_buckets`).
- floor: what no trainer can leave out, on the very batches that ours saw: `generate` of the same length, one reference
  pass, one forward and backward pass with the loss of the policy gradient, the AdamW step.

Prints seconds per student and the ratios. All four run in turns in one process, `--rounds` times.
"""

import argparse
import gc
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from datasets import Dataset
from student_step import Clock
from throughput import questions_of
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PrinterCallback
from trl import RLOOTrainer

from soar_pipeline.config import Config, load, read_prompts
from soar_pipeline.config.paths import resolve_paths
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.base_models import write_base_model
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights, set_weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.rloo import trl_settings
from soar_pipeline.rl.schedules import ScheduledQuestion, constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.runtime import set_up_process

PROJECT = Path(__file__).resolve().parent.parent


class Comparison:
    """The ways to train a student, on one model and one schedule of questions per student."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        grader: Grader,
        questions: list[Question],
        steps: int,
        segment_tokens: int,
        length_buckets: int,
    ):
        self.config, self.folder, self.steps = config, folder, steps
        model = config.models["base"]
        prompts, generation = read_prompts(config.prompts), config.generation
        self.policy = OpenPolicy.load(
            folder, model=model, prompts=prompts, generation=generation, grader=grader, trained=True
        )
        self.trainer = StudentTrainer(self.policy, config.student)
        in_segments = generation.model_copy(update={"segment_tokens": segment_tokens})
        self.trainer_in_parts = StudentTrainer(
            OpenPolicy.around(self.policy, prompts, in_segments, grader, model.chat_template),
            config.student.model_copy(update={"length_buckets": length_buckets}),
        )
        self.base = copy_weights(self.policy.model)
        self.questions = questions
        self.batches: list[tuple[torch.Tensor, torch.Tensor, int]] = []
        self._remember_batches()

    def schedule(self, student: int) -> list[ScheduledQuestion]:
        return constant_schedule(self.questions, self.steps, self.config.student.batch_size, seed=student)

    def ours(self, student: int) -> float:
        """Trains a student; returns the mean reward of its last step, as the next does."""
        self.batches.clear()
        return self._last_reward(self.trainer, student)

    def parts(self, student: int) -> float:
        return self._last_reward(self.trainer_in_parts, student)

    def _last_reward(self, trainer: StudentTrainer, student: int) -> float:
        return trainer.train(self.schedule(student), seed=student, start=self.base, reference=self.base)[-1].reward

    def obvious(self, student: int) -> float:
        # What a training job keeps out of garbage collections.
        gc.unfreeze()
        reward = self._by_new_trainer(student)
        gc.freeze()
        return reward

    def _by_new_trainer(self, student: int) -> float:
        config = self.config.student
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=self.policy.model.dtype)
        tokenizer = AutoTokenizer.from_pretrained(self.folder, padding_side="left")
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        settings = trl_settings(
            config,
            rollouts=config.batch_size * config.group_size,
            group_size=config.group_size,
            max_new_tokens=self.config.generation.student_max_new_tokens,
            temperature=self.config.generation.temperature,
            folder=Path(tempfile.gettempdir()),
        )
        settings.max_steps, settings.seed, settings.learning_rate = self.steps, student, config.learning_rate
        settings.lr_scheduler_type = "cosine"
        rows = [
            {"prompt": self.policy.prompts.student(item.question.question), "answer": item.question.answer}
            for item in self.schedule(student)
        ]
        trainer = RLOOTrainer(
            model=model,
            reward_funcs=self.trainer._rewards,
            args=settings,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return [entry["reward"] for entry in trainer.state.log_history if "reward" in entry][-1]

    def floor(self, student: int) -> None:
        """On the batches of our last student."""
        model, reference = self.policy.model, self.trainer.trainer.ref_model
        set_weights(model, self.base)
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.config.student.learning_rate)
        temperature = self.config.generation.temperature
        for ids, mask, completion in self.batches:
            generation = GenerationConfig(
                do_sample=True,
                top_k=0,
                temperature=temperature,
                min_new_tokens=completion,
                max_new_tokens=completion,
                pad_token_id=self.policy.tokenizer.pad_token_id,
                eos_token_id=self.policy.eos_token_ids,
            )
            with torch.no_grad():
                model.eval()
                prompt = {"input_ids": ids[:, :-completion], "attention_mask": mask[:, :-completion]}
                model.generate(**prompt, generation_config=generation)
            for part, part_mask in zip(*(x.split(self.micro_batch(len(ids))) for x in (ids, mask)), strict=True):
                labels = part.masked_fill(part_mask == 0, -100)
                labels[:, :-completion] = -100
                inputs = {"input_ids": part, "attention_mask": part_mask, "labels": labels}
                with torch.no_grad():
                    reference(**inputs, fused_lm_head=True)
                model(**inputs, fused_lm_head=True).log_probs.sum().div(len(ids)).backward()
            optimizer.step()
            optimizer.zero_grad()

    def micro_batch(self, rollouts: int) -> int:
        return self.config.student.micro_batch_size or rollouts

    def _remember_batches(self) -> None:
        inner = self.trainer.trainer
        score = inner._generate_and_score_completions

        def remembered(inputs):
            scored = score(inputs)
            ids = torch.cat([scored["prompt_ids"], scored["completion_ids"]], dim=1)
            mask = torch.cat([scored["prompt_mask"], scored["completion_mask"]], dim=1)
            self.batches.append((ids, mask, scored["completion_ids"].shape[1]))
            return scored

        inner._generate_and_score_completions = remembered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "toy_findings.yaml")
    parser.add_argument("--pool", default="curated", help="name in `pools`, or an empty one (default: curated)")
    parser.add_argument("--steps", type=int, default=12, help="RLOO steps of a student (default: 12)")
    parser.add_argument("--segment-tokens", type=int, default=16, help="of `parts` (default: 16)")
    parser.add_argument("--length-buckets", type=int, default=4, help="of `parts` (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="students of each way (default: 3)")
    parser.add_argument("--cpu-time", action="store_true", help="count CPU time: on a busy machine, one thread")
    options = parser.parse_args()
    set_up_process()
    config = resolve_paths(load(options.configfile), str(options.configfile), PROJECT)
    clock = Clock(options.cpu_time)
    seconds: dict[str, list[float]] = {"obvious": [], "parts": [], "ours": [], "floor": []}
    rewards: dict[str, list[float]] = {"obvious": [], "parts": [], "ours": []}
    with tempfile.TemporaryDirectory() as workplace, Grader(**config.grading.model_dump()) as grader:
        folder = Path(workplace) / "model"
        write_base_model(config.models["base"], config.seed, folder)
        pool = config.pools[options.pool] if options.pool else next(iter(config.datasets.values())).pool
        questions = questions_of(options.pool or "data set", pool)
        comparison = Comparison(
            config, folder, grader, questions, options.steps, options.segment_tokens, options.length_buckets
        )
        started = time.perf_counter()
        for student in range(options.rounds):
            # Ours before the floor, which replays its batches.
            for name in seconds:
                before = clock.now()
                reward = getattr(comparison, name)(student)
                seconds[name].append(clock.now() - before)
                if name in rewards:
                    rewards[name].append(reward)
    for name, values in seconds.items():
        reward = f", reward of the last step {fmean(rewards[name]):.1f}" if name in rewards else ""
        print(f"{name:8} {median(values):7.2f} s per student of {options.steps} steps{reward}")
    middle = {name: median(values) for name, values in seconds.items()}
    print(f"obvious / parts {middle['obvious'] / middle['parts']:.2f}")
    print(f"obvious / ours  {middle['obvious'] / middle['ours']:.2f}")
    print(f"ours / floor    {middle['ours'] / middle['floor']:.2f}")
    print(f"measured in {time.perf_counter() - started:.0f} s, {options.rounds} rounds", file=sys.stderr)


if __name__ == "__main__":
    main()
