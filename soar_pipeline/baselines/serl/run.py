"""The loop of self-play (spec section 10): write questions, vote on their answers, train on those that divide."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from soar_pipeline.baselines.serl.questions import NumberedList, QuestionPool, SelfPlayError, TeacherPrompt
from soar_pipeline.baselines.serl.training import Sample, SerlTrainer
from soar_pipeline.config import GenerationConfig, SerlConfig
from soar_pipeline.generation.generator import Generator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.grading.voting import votes
from soar_pipeline.models.policy import copy_weights
from soar_pipeline.progress import Progress
from soar_pipeline.seeds import derive
from soar_pipeline.tracking import Tracker
from soar_pipeline.training.checkpoints import Checkpoint, CheckpointFolder

log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass
class _Gathered:
    """What a step's rollouts gave: kept groups, and what is recorded of all of them."""

    kept: list[list[Sample]] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    no_signal: list[bool] = field(default_factory=list)
    kl: float = 0.0
    tokens: int = 0


@dataclass
class SerlRun:
    """One self-play training. A step is one update: rollouts until `questions` groups are kept, then one epoch on them.

    seeds: the hard train problems' questions. rollout_prompt: holds `{question}`. `fits(prompt)` tells whether a
    completion has room after it; `evaluate(step)` measures the policy's current weights and returns the curve's
    pass@k columns, and `intact(curve)` tells whether what it wrote for a curve is still there. Checkpoints lie between
    steps, where nothing waits and nothing is half gathered.
    """

    config: SerlConfig
    generation: GenerationConfig
    seeds: list[str]
    style: NumberedList | TeacherPrompt
    rollout_prompt: str
    fits: Callable[[str], bool]
    generator: Generator
    grader: Grader
    trainer: SerlTrainer
    evaluate: Callable[[int], dict[str, float]]
    intact: Callable[[list[Row]], bool]
    folder: CheckpointFolder
    tracker: Tracker
    name: str
    seed: int

    def train(self) -> tuple[list[Row], list[Row]]:
        """The learning curve (CURVE rows, one per step) and all questions rolled out (SERL_QUESTIONS rows)."""
        curve, questions = self._restored()
        progress = Progress("SeRL steps", self.config.steps, done=len(curve))
        for step in range(len(curve) + 1, self.config.steps + 1):
            started = time.monotonic()
            gathered = self._gathered(step, [row["question"] for row in questions if row["kept"]])
            batch = [sample for group in gathered.kept[: self.config.questions] for sample in group]
            self.trainer.update(step, batch, derive(self.seed, "update", step))
            questions += gathered.questions
            row = {
                "step": step,
                "phase": "synthetic",
                "train_reward": fmean(gathered.rewards),
                "kl": gathered.kl / gathered.tokens,
                "no_signal_share": fmean(gathered.no_signal),
                "seconds": time.monotonic() - started,
            }
            if step in self.config.evaluate_at:
                row |= self.evaluate(step)
            curve.append(row)
            self.tracker.log(step, row | {"rolled_out": len(gathered.questions)})
            progress.advance(reward=row["train_reward"])
            if step % self.config.checkpoint_every == 0 or step in self.config.evaluate_at or step == self.config.steps:
                self._save(step, curve, questions)
        return curve, questions

    def _gathered(self, step: int, kept: list[str]) -> _Gathered:
        """Rollouts until `questions` groups are kept; SelfPlayError where `max_rollouts` do not give them."""
        size = self.config.questions
        seed = derive(self.seed, "step", step)
        pool = QuestionPool(self.generator, self.style, self.seeds, self._has_room, self.config, seed)
        gathered = _Gathered()
        for rollout in range(1, self.config.max_rollouts + 1):
            self._roll_out(gathered, step, rollout, pool.take(size, kept), derive(seed, "rollout", rollout))
            kept = kept + [row["question"] for row in gathered.questions[-size:] if row["kept"]]
            log.info("step %d, rollout %d: %d of %d groups kept", step, rollout, len(gathered.kept), size)
            if len(gathered.kept) >= size:
                return gathered
        shown = "\n".join(f"  {row['agreement']:.2f} {row['question'][:200]!r}" for row in gathered.questions[-5:])
        raise SelfPlayError(
            f"step {step}: {len(gathered.kept)} of {len(gathered.questions)} questions had a majority between "
            f"{self.config.min_agreement} and {self.config.max_agreement}, {size} were needed; raise serl.max_rollouts "
            f"or widen these bounds. The last questions with their majority's share:\n{shown}"
        )

    def _roll_out(self, gathered: _Gathered, step: int, rollout: int, questions: list[str], seed: int) -> None:
        prompts = [self._prompt(question) for question in questions]
        drawn = self.generator.sample(
            prompts,
            samples=self.config.samples,
            max_new_tokens=self.generation.student_max_new_tokens,
            temperature=self.generation.temperature,
            seed=seed,
        )
        voted = votes([[completion.text for completion in group] for group in drawn], self.grader)
        token_ids = [[list(completion.token_ids) for completion in group] for group in drawn]
        groups = self.trainer.samples(prompts, token_ids, [vote.rewards for vote in voted])
        for i, (question, vote, group) in enumerate(zip(questions, voted, groups, strict=True)):
            kept = self.config.min_agreement <= vote.agreement <= self.config.max_agreement
            gathered.questions.append(
                {
                    "question_id": f"{self.name}-{step:04d}-{rollout:02d}-{i:03d}",
                    "step": step,
                    "rollout": rollout,
                    "question": question,
                    "majority_answer": vote.answer,
                    "agreement": vote.agreement,
                    "kept": kept,
                    # Groups above what the update takes are dropped with it, as in the released code.
                    "trained": kept and len(gathered.kept) < self.config.questions,
                }
            )
            if kept:
                gathered.kept.append(group)
            scored = {reward for reward in vote.rewards if reward is not None}
            gathered.rewards.append(vote.agreement)
            gathered.no_signal.append(len(scored) < 2)
            gathered.kl += sum(sample.kl for sample in group)
            gathered.tokens += sum(len(sample.completion_ids) for sample in group)

    def _prompt(self, question: str) -> str:
        return self.rollout_prompt.replace("{question}", question)

    def _has_room(self, question: str) -> bool:
        return self.fits(self._prompt(question))

    def _restored(self) -> tuple[list[Row], list[Row]]:
        checkpoint = self.folder.load(lambda record: self.intact(record["curve"]))
        if checkpoint is None:
            return [], []
        self.trainer.restore(checkpoint.weights["policy"], checkpoint.weights["moments"])
        return checkpoint.record["curve"], checkpoint.record["questions"]

    def _save(self, step: int, curve: list[Row], questions: list[Row]) -> None:
        weights = {"policy": copy_weights(self.trainer.policy.model), "moments": self.trainer.moments}
        self.folder.save(Checkpoint(step, {"curve": curve, "questions": questions}, weights))
