"""The meta-RL loop (spec section 5): the teacher is rewarded for what its questions do to a student."""

import logging
import random
import time
from dataclasses import asdict
from statistics import fmean

from soar_pipeline.config import SoarConfig
from soar_pipeline.evaluation.vendi import embed, mean_pairwise_distance
from soar_pipeline.progress import Progress
from soar_pipeline.seeds import derive
from soar_pipeline.soar.examiner import Examiner
from soar_pipeline.soar.objective import Objective
from soar_pipeline.soar.progression import RunState
from soar_pipeline.soar.promotion import RewardWindow, best_dataset, median_repeat
from soar_pipeline.soar.questions import AcceptedQuestion, acceptance_rate
from soar_pipeline.soar.rewards import OuterStep, Scores
from soar_pipeline.soar.students import StudentPool
from soar_pipeline.soar.teacher import Teacher
from soar_pipeline.tracking import Tracker
from soar_pipeline.training.checkpoints import CheckpointFolder
from soar_pipeline.training.schedules import Question

log = logging.getLogger(__name__)


class SoarRun:
    """One teacher's run: Algorithm 1 of the paper, one outer step at a time, saved after each."""

    def __init__(
        self,
        *,
        config: SoarConfig,
        name: str,
        seed: int,
        teacher: Teacher,
        objective: Objective,
        pool: StudentPool,
        examiner: Examiner,
        train: list[Question],
        folder: CheckpointFolder,
        tracker: Tracker,
    ):
        self.config, self.name, self.seed = config, name, seed
        self.teacher, self.objective, self.pool, self.examiner = teacher, objective, pool, examiner
        self.train, self.folder, self.tracker = train, folder, tracker
        if config.reward_questions > len(train):
            log.info("%d reward questions wanted, train has %d: all are used", config.reward_questions, len(train))

    def run(self, state: RunState) -> RunState:
        """Do the outer steps that are left; the state is on disk after each of them."""
        self.progression = state.progression
        self.baseline, self.best = state.baseline, state.best
        self.teacher.restore(state.teacher, state.moments)
        self.window = RewardWindow(self.config.moving_average_window, state.progression.window)
        progress = Progress("SOAR outer steps", self.config.outer_steps, done=self.progression.step)
        for number in range(self.progression.step + 1, self.config.outer_steps + 1):
            started = time.monotonic()
            drawn = self.teacher.propose(number, self.config.datasets * self.config.questions_per_dataset)
            step = self._outer_step(number, drawn)
            scores = self.objective.score(step)
            self.window.add(fmean(scores.rewards))
            moving_average = self.window.average
            promoted = self._deserves_promotion(moving_average)
            kl = self.teacher.update(number, drawn, scores.rewards)
            self._record(step, drawn, scores, moving_average, promoted, kl, time.monotonic() - started)
            if promoted:
                self._promote(step, scores)
            state = self._save(number)
            progress.advance(reward=fmean(scores.rewards), promotions=self.progression.stage)
        return state

    def _outer_step(self, number: int, drawn: list[AcceptedQuestion]) -> OuterStep:
        """g datasets of n questions, in the order of drawing, and fresh reward questions from train."""
        n = self.config.questions_per_dataset
        questions = [
            Question(f"{self.name}-{number:03d}-{i // n}-{i % n:03d}", item.question, item.answer)
            for i, item in enumerate(drawn)
        ]
        rng = random.Random(derive(self.seed, "reward questions", number))
        return OuterStep(
            number=number,
            stage=self.progression.stage,
            datasets=[questions[i : i + n] for i in range(0, len(questions), n)],
            reward_questions=rng.sample(self.train, min(self.config.reward_questions, len(self.train))),
            baseline=self.baseline,
        )

    def _deserves_promotion(self, moving_average: float | None) -> bool:
        promotes = self.objective.config.promotion
        return promotes and moving_average is not None and moving_average > self.config.promotion_threshold

    def _promote(self, step: OuterStep, scores: Scores) -> None:
        """The median repeat of the best dataset becomes the baseline; its dataset joins D_best."""
        winner = median_repeat(scores.trials, best_dataset(scores.rewards))
        self.baseline = self.pool.weights(winner)
        self.window.restart()
        accuracy = self._train_accuracy()
        if accuracy > self.progression.best_train_accuracy:
            self.best, self.progression.best_train_accuracy = self.baseline, accuracy
        self.progression.stage += 1
        self.progression.baseline_train_accuracy = accuracy
        self.progression.promotions.append(
            {
                "outer_step": step.number,
                "dataset_index": winner.dataset_index,
                "repeat": winner.repeat,
                "dataset_reward": scores.rewards[winner.dataset_index],
                "student_reward": winner.reward,
                "stage": self.progression.stage,
                "train_accuracy": accuracy,
            }
        )
        log.info("promotion %d at outer step %d: train accuracy %.3f", self.progression.stage, step.number, accuracy)

    def _train_accuracy(self) -> float:
        """Greedy accuracy of the baseline on the whole of train."""
        self.examiner.set_weights(self.baseline)
        return self.examiner.greedy_accuracy(self.train)

    def _record(
        self,
        step: OuterStep,
        drawn: list[AcceptedQuestion],
        scores: Scores,
        moving_average: float | None,
        promoted: bool,
        kl: float | None,
        seconds: float,
    ) -> None:
        """One row per step, question and student, as the artifact contract says."""
        signal = max(scores.rewards) > min(scores.rewards)
        if not signal:
            log.info("outer step %d: no signal, every dataset had reward %.4g", step.number, scores.rewards[0])
        sample = [item.question for item in drawn[: self.config.diversity_questions]]
        row = {
            "outer_step": step.number,
            "mean_reward": fmean(scores.rewards),
            "moving_average": moving_average,
            "promoted": promoted,
            "stage": step.stage,
            "baseline_train_accuracy": self.progression.baseline_train_accuracy,
            "acceptance_rate": acceptance_rate(drawn),
            # Character n-grams, whatever the final Vendi score uses: an 8B embedder has no place in this loop.
            "diversity": mean_pairwise_distance(embed(sample, "character_ngrams")),
            "signal": signal,
            "kl": kl,
            "seconds": seconds,
        }
        self.progression.steps.append(row)
        self.tracker.log(step.number, row)
        questions = [(k, question) for k, dataset in enumerate(step.datasets) for question in dataset]
        for (k, question), item in zip(questions, drawn, strict=True):
            self.progression.questions.append(
                {
                    "question_id": question.question_id,
                    "outer_step": step.number,
                    "dataset_index": k,
                    "question": item.question,
                    "answer": item.answer,
                    "completion": item.text,
                    "dataset_reward": scores.rewards[k],
                    "rejected_before": item.rejected_before,
                }
            )
        for trial in scores.trials:
            self.progression.students.append({"outer_step": step.number, "reward": trial.reward, **asdict(trial)})

    def _save(self, number: int) -> RunState:
        self.progression.step = number
        self.progression.window = self.window.rewards
        teacher, moments = self.teacher.state()
        state = RunState(self.progression, teacher, moments, self.baseline, self.best)
        self.folder.save(state.checkpoint())
        return state
