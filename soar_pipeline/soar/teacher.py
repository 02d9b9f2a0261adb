"""The teacher of a SOAR run: proposes questions, and is updated by what they were worth."""

from soar_pipeline.models.policy import Weights, copy_weights
from soar_pipeline.seeds import derive
from soar_pipeline.soar.questions import AcceptedQuestion, QuestionWriter
from soar_pipeline.training.teacher import TeacherTrainer


class Teacher:
    def __init__(self, trainer: TeacherTrainer, writer: QuestionWriter, seed: int):
        self.trainer, self.writer, self.seed = trainer, writer, seed

    def propose(self, step: int, count: int) -> list[AcceptedQuestion]:
        """`count` questions, sampled from the current teacher."""
        return self.writer.write(count, derive(self.seed, "teacher", step))

    def update(self, step: int, drawn: list[AcceptedQuestion], dataset_rewards: list[float]) -> float | None:
        """One RLOO step; every rollout of a dataset receives its reward. Returns the KL to the first teacher."""
        size = len(drawn) // len(dataset_rewards)
        rewards = [reward for reward in dataset_rewards for _ in range(size)]
        return self.trainer.update(step, [item.turns for item in drawn], rewards, self.seed)

    def state(self) -> tuple[Weights, Weights]:
        """Weights and AdamW moments."""
        return copy_weights(self.trainer.policy.model), self.trainer.moments

    def restore(self, weights: Weights, moments: Weights) -> None:
        self.trainer.restore(weights, moments)
