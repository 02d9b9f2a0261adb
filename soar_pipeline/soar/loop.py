"""Algorithm 1 of the paper: a teacher is rewarded for what its questions do to a student (docs/method.md §5)."""

import logging
import random
import time
from statistics import fmean

from soar_pipeline.config import SoarConfig
from soar_pipeline.policy.weights import Weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.checkpoints import CheckpointFolder
from soar_pipeline.rl.time_limit import TimeLimit
from soar_pipeline.runtime import Progress, Tracker, derive
from soar_pipeline.soar.evaluator import Evaluator
from soar_pipeline.soar.objective import Objective
from soar_pipeline.soar.promotion import Candidate, RewardWindow, best_dataset, best_first, median_repeat
from soar_pipeline.soar.rewards import OuterStep
from soar_pipeline.soar.state import SoarState
from soar_pipeline.soar.students import StudentPopulation
from soar_pipeline.soar.teacher import Teacher

log = logging.getLogger(__name__)


class SoarLoop:
    """One teacher's run. `name` begins the ids of its questions; `seed` decides all that is random."""

    def __init__(
        self,
        *,
        config: SoarConfig,
        name: str,
        seed: int,
        teacher: Teacher,
        objective: Objective,
        students: StudentPopulation,
        evaluator: Evaluator,
        train: list[Question],
        folder: CheckpointFolder,
        tracker: Tracker,
        limit: TimeLimit,
    ):
        self.config, self.name, self.seed = config, name, seed
        self.teacher, self.objective, self.students, self.evaluator = teacher, objective, students, evaluator
        self.train, self.folder, self.tracker, self.limit = train, folder, tracker, limit
        if config.reward_questions > len(train):
            log.info(
                "soar.reward_questions is %d, and train has only %d problems: all are used",
                config.reward_questions,
                len(train),
            )

    def run(self, state: SoarState) -> SoarState:
        """The outer steps that are left; the state is on disk after every `checkpoint_every` of them.

        OutOfTimeError: the job's time is over, and the state is on disk.

        In the paper's names: g datasets X_k of n questions (g counts all groups), reward questions Q_R, rewards R_k,
        threshold τ, baseline student θ, and D_best, the questions whose students were promoted.
        """
        g, n, tau = self.config.datasets_per_step, self.config.questions_per_dataset, self.config.promotion_threshold
        self.teacher.restore(state.teacher, state.optimizer_state)
        progress = Progress("SOAR outer steps", self.config.outer_steps, done=state.step)
        for t in state.remaining_steps(self.config.outer_steps):
            started = time.monotonic()
            # Step 1: the teacher writes X_1 … X_g; Q_R are hard problems, which it never sees.
            written = self.teacher.propose(t, [self._question_id(t, i // n, i % n) for i in range(g * n)])
            X = [[item.question for item in written[k * n : (k + 1) * n]] for k in range(g)]
            Q_R = self._sample_of_train(t)

            # Step 2: R_k = mean over r students, trained from θ on X_k, of their improvement on Q_R
            # (rewards.grounded; other objectives reward something else).
            step = OuterStep(t, state.stage, datasets=X, reward_questions=Q_R, baseline=state.student)
            scored = self.objective.rewards(step)
            R = scored.rewards

            # Step 3: a student is promoted if the mean reward's moving average exceeds τ.
            moving_average = state.window.add(fmean(R))
            promoted = self.objective.promotes and moving_average is not None and moving_average > tau

            # Step 4: RLOO on the rollouts that X came from. The update reads no student, and promotion reads no
            # teacher: in which order the two stand makes no difference.
            kl = self.teacher.update(t, written, R)
            row = state.record.add_step(
                step,
                written,
                scored,
                moving_average=moving_average,
                promoted=promoted,
                train_accuracy=state.train_accuracy,
                kl=kl,
                seconds=time.monotonic() - started,
                groups=self.config.groups,
            )
            if promoted or (self.objective.promotes and self.config.promote_from == "window"):
                k = best_dataset(R)  # argmax_k R_k
                winner = median_repeat(scored.results, k)  # a typical student of X_k, not a lucky one
                candidate = Candidate(t, R[k], winner, X[k], self.students.weights(winner))
                state.candidates = best_first([*state.candidates, candidate], self.config.promotion_steps)
            if promoted:
                best = state.candidates[0]
                state.D_best += best.questions
                before = state.train_accuracy
                state.promote(best.weights, self._accuracy_on_train(best.weights))
                state.record.add_promotion(step, best, before, state.train_accuracy)
            self.tracker.log(t, row)
            over = self.limit.is_over()
            self._save(state, t, due=over)
            progress.advance(reward=row["mean_reward"], promotions=state.stage, D_best=len(state.D_best))
            if over and t < self.config.outer_steps:
                raise self.limit.stop(f"outer step {t} of {self.config.outer_steps}")
        return state

    def first_state(self, base: Weights) -> SoarState:
        """Before the first step: teacher and student are both the base model."""
        accuracy = self._accuracy_on_train(base)
        return SoarState(
            teacher=base,
            student=base,
            best_student=base,
            train_accuracy=accuracy,
            best_train_accuracy=accuracy,
            window=RewardWindow(self.config.moving_average_window),
        )

    def _question_id(self, t: int, k: int, i: int) -> str:
        return f"{self.name}-{t:03d}-{k}-{i:03d}"

    def _sample_of_train(self, t: int) -> list[Question]:
        """Q_R, anew for each step; all of train if it has no more."""
        rng = random.Random(derive(self.seed, "reward questions", t))
        return rng.sample(self.train, min(self.config.reward_questions, len(self.train)))

    def _accuracy_on_train(self, student: Weights) -> float:
        """Greedy accuracy of a student on all of train."""
        self.evaluator.set_weights(student)
        return self.evaluator.greedy_accuracy(self.train)

    def _save(self, state: SoarState, t: int, due: bool) -> None:
        state.step = t
        sampled = t == self.config.sampled_teacher_step
        due = due or t % self.config.checkpoint_every == 0 or t == self.config.outer_steps
        if due or sampled:
            state.teacher, state.optimizer_state = self.teacher.state()
        if sampled:
            state.sampled_teacher = state.teacher
        if due:
            self.folder.save(state.checkpoint())
