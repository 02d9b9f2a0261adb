"""The teacher of a SOAR run: proposes questions, and is updated by what they were worth."""

from soar_pipeline.config import GenerationConfig, TeacherConfig
from soar_pipeline.generation.generator import Generator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat, Weights, copy_weights
from soar_pipeline.seeds import derive
from soar_pipeline.soar.questions import AcceptedQuestion, sample_questions
from soar_pipeline.training.teacher import TeacherTrainer


class Teacher:
    def __init__(
        self,
        trainer: TeacherTrainer,
        generator: Generator,
        grader: Grader,
        prompts: PromptFormat,
        config: TeacherConfig,
        generation: GenerationConfig,
        seed: int,
    ):
        self.trainer, self.generator, self.grader, self.prompts = trainer, generator, grader, prompts
        self.config, self.generation, self.seed = config, generation, seed

    def propose(self, step: int, count: int) -> list[AcceptedQuestion]:
        """`count` accepted questions, sampled from the current teacher."""
        return sample_questions(
            self.generator,
            self.grader,
            self.prompts,
            self.generation,
            count=count,
            max_draws_per_question=self.config.max_draws_per_question,
            seed=derive(self.seed, "teacher", step),
        )

    def update(self, step: int, drawn: list[AcceptedQuestion], dataset_rewards: list[float]) -> float | None:
        """One RLOO step; every rollout of a dataset receives its reward. Returns the KL to the first teacher."""
        size = len(drawn) // len(dataset_rewards)
        rewards = [reward for reward in dataset_rewards for _ in range(size)]
        return self.trainer.update(step, [item.completion for item in drawn], rewards, self.seed)

    def state(self) -> tuple[Weights, Weights]:
        """Weights and AdamW moments."""
        return copy_weights(self.trainer.policy.model), self.trainer.moments

    def restore(self, weights: Weights, moments: Weights) -> None:
        self.trainer.restore(weights, moments)
