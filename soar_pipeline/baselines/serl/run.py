"""The loop of self-play (docs/method.md §10): write questions, vote on their answers, train on those that divide."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from soar_pipeline.baselines.serl.questions import NumberedList, QuestionPool, SelfPlayError, TeacherPrompt
from soar_pipeline.baselines.serl.training import Sample, SerlTrainer
from soar_pipeline.config import SerlConfig
from soar_pipeline.grading.voting import votes
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.rl.checkpoints import Checkpoint, CheckpointFolder
from soar_pipeline.rl.time_limit import TimeLimit
from soar_pipeline.runtime import Progress, Tracker, derive

log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass
class _Batch:
    """What a step's rollouts gave: kept groups, and what is recorded of all of them."""

    kept: list[list[Sample]] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    zero_std: list[bool] = field(default_factory=list)
    kl: float = 0.0
    tokens: int = 0


@dataclass
class SerlRun:
    """One self-play training. A step is one update: rollouts until `questions` groups are kept, then one epoch on them.

    seeds: the hard train problems' questions. rollout_prompt: holds `{question}`. `fits(prompt)` tells whether a
    completion has room after it; `keep(step)` keeps what evaluation needs of the policy as it is now, and
    `all_kept(steps)` tells whether it is still there. Checkpoints lie between steps, when no question waits and no
    batch is half full.
    """

    config: SerlConfig
    policy: OpenPolicy
    seeds: list[str]
    style: NumberedList | TeacherPrompt
    rollout_prompt: str
    fits: Callable[[str], bool]
    trainer: SerlTrainer
    keep: Callable[[int], None]
    all_kept: Callable[[list[int]], bool]
    folder: CheckpointFolder
    tracker: Tracker
    name: str
    seed: int
    limit: TimeLimit

    def train(self) -> tuple[list[Row], list[Row]]:
        """The learning curve (CURVE rows, one per step) and all questions rolled out (SERL_QUESTIONS rows)."""
        curve, questions = self._restored()
        progress = Progress("SeRL steps", self.config.steps, done=len(curve))
        for step in range(len(curve) + 1, self.config.steps + 1):
            started = time.monotonic()
            batch = self._rolled_out(step, [row["question"] for row in questions if row["kept"]])
            samples = [sample for group in batch.kept[: self.config.questions] for sample in group]
            self.trainer.update(step, samples, derive(self.seed, "update", step))
            questions += batch.questions
            row = {
                "step": step,
                "phase": "synthetic",
                "train_reward": fmean(batch.rewards),
                "kl": batch.kl / batch.tokens,
                "zero_std_fraction": fmean(batch.zero_std),
                "seconds": time.monotonic() - started,
            }
            if step in self.config.evaluate_at:
                self.keep(step)
            curve.append(row)
            self.tracker.log(step, row | {"rolled_out": len(batch.questions)})
            progress.advance(reward=row["train_reward"])
            over, due = self.limit.is_over(), step % self.config.checkpoint_every == 0 or step == self.config.steps
            if over or due or step in self.config.evaluate_at:
                self._save(step, curve, questions)
            if over and step < self.config.steps:
                raise self.limit.stop(f"step {step} of {self.config.steps}")
        return curve, questions

    def _rolled_out(self, step: int, kept: list[str]) -> _Batch:
        """Rollouts until `questions` groups are kept; SelfPlayError if `max_rollouts` do not give them."""
        size = self.config.questions
        seed = derive(self.seed, "step", step)
        pool = QuestionPool(self.policy.generator, self.style, self.seeds, self._has_room, self.config, seed)
        batch = _Batch()
        for rollout in range(1, self.config.max_rollouts + 1):
            self._roll_out(batch, step, rollout, pool.take(size, kept), derive(seed, "rollout", rollout))
            kept = kept + [row["question"] for row in batch.questions[-size:] if row["kept"]]
            log.info("step %d, rollout %d: %d of %d groups kept", step, rollout, len(batch.kept), size)
            if len(batch.kept) >= size:
                return batch
        last = "\n".join(f"  {row['agreement']:.2f} {row['question'][:200]!r}" for row in batch.questions[-5:])
        raise SelfPlayError(
            f"step {step}: {len(batch.kept)} of {len(batch.questions)} questions had a majority between "
            f"{self.config.min_agreement} and {self.config.max_agreement}, and {size} were needed; raise "
            f"serl.max_rollouts, or widen these bounds. The last questions, with their majority's share, are:\n{last}"
        )

    def _roll_out(self, batch: _Batch, step: int, rollout: int, questions: list[str], seed: int) -> None:
        prompts = [self._prompt(question) for question in questions]
        completions = self.policy.generator.sample(
            # A bare question opens no conversation.
            prompts,
            self.config.samples,
            replace(self.policy.student_params(seed), stop=None),
        )
        voted = votes([[completion.text for completion in group] for group in completions], self.policy.grader)
        token_ids = [[list(completion.token_ids) for completion in group] for group in completions]
        groups = self.trainer.samples(prompts, token_ids, [vote.rewards for vote in voted])
        for i, (question, vote, group) in enumerate(zip(questions, voted, groups, strict=True)):
            kept = self.config.min_agreement <= vote.agreement <= self.config.max_agreement
            batch.questions.append(
                {
                    "question_id": f"{self.name}-{step:04d}-{rollout:02d}-{i:03d}",
                    "step": step,
                    "rollout": rollout,
                    "question": question,
                    "majority_answer": vote.answer,
                    "agreement": vote.agreement,
                    "kept": kept,
                    # Groups above what the update takes are dropped with it, as in the released code.
                    "trained": kept and len(batch.kept) < self.config.questions,
                }
            )
            if kept:
                batch.kept.append(group)
            scored = {reward for reward in vote.rewards if reward is not None}
            batch.rewards.append(vote.agreement)
            batch.zero_std.append(len(scored) < 2)
            batch.kl += sum(sample.kl for sample in group)
            batch.tokens += sum(len(sample.completion_ids) for sample in group)

    def _prompt(self, question: str) -> str:
        return self.rollout_prompt.replace("{question}", question)

    def _has_room(self, question: str) -> bool:
        return self.fits(self._prompt(question))

    def _restored(self) -> tuple[list[Row], list[Row]]:
        checkpoint = self.folder.load(
            lambda record: self.all_kept([step for step in self.config.evaluate_at if step <= len(record["curve"])])
        )
        if checkpoint is None:
            return [], []
        self.trainer.restore(checkpoint.weights["policy"], checkpoint.weights["optimizer_state"])
        return checkpoint.record["curve"], checkpoint.record["questions"]

    def _save(self, step: int, curve: list[Row], questions: list[Row]) -> None:
        weights = {"policy": copy_weights(self.policy.model), "optimizer_state": self.trainer.optimizer_state}
        self.folder.save(Checkpoint(step, {"curve": curve, "questions": questions}, weights))
