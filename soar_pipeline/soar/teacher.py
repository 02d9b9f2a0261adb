"""The teacher of a SOAR run: proposes questions, and learns by RLOO from what they were worth."""

from soar_pipeline.config import TeacherConfig
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import Weights, copy_weights, set_weights
from soar_pipeline.rl.advantages import advantage_scale
from soar_pipeline.rl.teacher import rollout_trainer
from soar_pipeline.runtime import derive
from soar_pipeline.soar.questions import TeacherQuestion, question_writer


class Teacher:
    """A policy that writes `groups` times `datasets` times `questions_per_dataset` questions per step.

    KL is taken to its start, a baseline within a group. total_steps: of the learning rate's schedule. seed: of the run.
    """

    def __init__(
        self,
        policy: OpenPolicy,
        config: TeacherConfig,
        *,
        datasets: int,
        questions_per_dataset: int,
        total_steps: int,
        seed: int,
        groups: int = 1,
    ):
        self.datasets = datasets
        self.policy, self.total_steps, self.seed = policy, total_steps, seed
        self.learning_rate = config.learning_rate
        self.writer = question_writer(policy, config.max_draws_per_question)
        self.trainer = rollout_trainer(policy, config, group_size=datasets * questions_per_dataset, groups=groups)
        self.start = copy_weights(policy.model)
        self.optimizer_state: Weights = {}

    def propose(self, step: int, question_ids: list[str]) -> list[TeacherQuestion]:
        """A question for each id, sampled from the current teacher."""
        return self.writer.write(question_ids, derive(self.seed, "teacher", step))

    def update(self, step: int, written: list[TeacherQuestion], dataset_rewards: list[float]) -> float | None:
        """One RLOO step, in which every rollout of a dataset has its reward; returns the KL to the first teacher.

        written: the questions of all datasets, one dataset after the other; dataset_rewards: R_k, one per dataset, one
        group after the other.
        """
        g, n = self.datasets, len(written) // len(dataset_rewards)
        # TRL sees groups of g·n rollouts, not of g datasets.
        rewards = [reward * advantage_scale(g, n) for reward in dataset_rewards for _ in range(n)]
        self.trainer.reset(
            reference=self.start,
            seed=derive(self.seed, "teacher update", step),
            steps=1,
            learning_rate=self.learning_rate,
            first_step=step - 1,
            total_steps=self.total_steps,
            optimizer_state=self.optimizer_state,
        )
        kl = self.trainer.train_on([item.turns for item in written], rewards)
        self.optimizer_state = self.trainer.optimizer_state()
        self.trainer.release()
        self.policy.model.eval()
        return kl

    def state(self) -> tuple[Weights, Weights]:
        """Weights and optimizer state, to be restored from."""
        return copy_weights(self.policy.model), self.optimizer_state

    def restore(self, weights: Weights, optimizer_state: Weights) -> None:
        """Continue from saved weights and optimizer state."""
        set_weights(self.policy.model, weights)
        self.optimizer_state = optimizer_state
