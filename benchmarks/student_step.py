"""Where the time of a student's RLOO step goes: its parts, timed inside the trainer that the pipeline uses."""

import os
import time
from collections import defaultdict
from collections.abc import Callable

import torch

from soar_pipeline.rl.rloo import ResettableTrainer

ON_GPU = torch.cuda.is_available()


class Clock:
    """Seconds, those of the wall or of CPU time, that named calls took; waits for the GPU.

    A timed call within a timed call counts for the inner name alone.
    """

    def __init__(self, cpu_time: bool = False):
        self.cpu_time = cpu_time
        self.seconds: dict[str, float] = defaultdict(float)
        self.inner = 0.0

    def now(self) -> float:
        if ON_GPU:
            torch.cuda.synchronize()
        if not self.cpu_time:
            return time.perf_counter()
        # Of this process, and of those it has waited for.
        times = os.times()
        return time.process_time() + times.children_user + times.children_system

    def timed(self, name: str, function: Callable) -> Callable:
        """The function, with every call's time added under `name`."""

        def call(*arguments, **options):
            outer, self.inner, started = self.inner, 0.0, self.now()
            result = function(*arguments, **options)
            seconds = self.now() - started
            self.seconds[name] += seconds - self.inner
            self.inner = outer + seconds
            return result

        return call


class StepParts:
    """The parts of a trainer's steps, by `clock`, and the token positions (padding included) that they computed.

    `rest` is what TRL does between the parts: padding, advantages, metrics.
    """

    NAMES = ("generation", "grading", "log-probabilities", "backward", "optimizer", "rest")

    def __init__(self, trainer: ResettableTrainer, clock: Clock):
        self.forward_positions = self.trained_positions = 0
        # Generation passes through the model, too.
        self.scoring = False
        score = trainer._get_per_token_logps_and_entropies
        trainer._get_per_token_logps_and_entropies = lambda *arguments, **options: self._scored(
            score, *arguments, **options
        )
        for name, owner, method in (
            ("generation", trainer, "_generate_single_turn"),
            ("grading", trainer, "_calculate_rewards"),
            ("log-probabilities", trainer, "_get_per_token_logps_and_entropies"),
            ("backward", trainer.accelerator, "backward"),
            ("rest", trainer, "training_step"),
        ):
            setattr(owner, method, clock.timed(name, getattr(owner, method)))
        create = trainer.create_optimizer

        def create_timed(*arguments):
            optimizer = create(*arguments)
            optimizer.step = clock.timed("optimizer", optimizer.step)
            return optimizer

        trainer.create_optimizer = create_timed
        for model in filter(None, (trainer.model, trainer.ref_model)):
            model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _scored(self, score: Callable, *arguments, **options) -> tuple:
        self.scoring = True
        scored = score(*arguments, **options)
        self.scoring = False
        return scored

    def _count(self, model, _, options) -> None:
        if self.scoring:
            positions = options["input_ids"].numel()
            self.forward_positions += positions
            self.trained_positions += positions if torch.is_grad_enabled() else 0
