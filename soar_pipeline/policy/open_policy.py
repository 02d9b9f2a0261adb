"""A policy ready for use: model and tokenizer with prompts, sampling and grading."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from soar_pipeline.config import DatasetGrading, GenerationConfig, ModelConfig, Prompts
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.engines import generator_of
from soar_pipeline.policy.loading import Policy, load_policy
from soar_pipeline.policy.prompts import PromptFormat, check_context
from soar_pipeline.policy.sampling import Generator, SamplingParams
from soar_pipeline.questions import Question


@dataclass(frozen=True)
class OpenPolicy(Policy):
    """A policy, how it is prompted, what completes its prompts, and what grades its answers."""

    prompts: PromptFormat
    generation: GenerationConfig
    generator: Generator
    grader: Grader

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        model: ModelConfig,
        prompts: Prompts,
        generation: GenerationConfig,
        grader: Grader,
        trained: bool = False,
    ) -> "OpenPolicy":
        """The policy of a model folder, with a grader that others may use too; of `model`, only `dtype` and
        `chat_template` count. trained: whether all its parameters will be (`load_policy`).

        Raises ArtifactError if the folder holds no model or no tokenizer, ConfigError if the prompts cannot be wrapped
        in the tokenizer's chat template or the engine is not installed.
        """
        policy = load_policy(folder, model.dtype, trained=trained)
        return cls.around(policy, prompts, generation, grader, chat_template=model.chat_template)

    @classmethod
    def around(
        cls, policy: Policy, prompts: Prompts, generation: GenerationConfig, grader: Grader, chat_template: bool = False
    ) -> "OpenPolicy":
        """The same, of a policy that is loaded already."""
        return cls(
            policy.model,
            policy.tokenizer,
            policy.dtype,
            prompts=PromptFormat(prompts, chat_template, policy.tokenizer),
            generation=generation,
            generator=generator_of(policy, generation),
            grader=grader,
        )

    @property
    def rollout_generator(self) -> Generator | None:
        """What samples a student's rollouts; None: TRL does so itself, which knows the model that it trains and end
        tokens, but no segments and no stop.
        """
        engine = self.generation
        trl_can = engine.segment_tokens is None and self.prompts.student_stop is None and not self.samples_from_copy
        return None if engine.engine == "transformers" and trl_can else self.generator

    def student_params(self, seed: int) -> SamplingParams:
        """How a student's completions are sampled."""
        generation = self.generation
        return SamplingParams(
            generation.student_max_new_tokens, generation.temperature, seed, stop=self.prompts.student_stop
        )

    def teacher_params(self, seed: int) -> SamplingParams:
        """How a teacher's completions are sampled."""
        generation = self.generation
        return SamplingParams(
            generation.teacher_max_new_tokens, generation.temperature, seed, stop=self.prompts.teacher_stop
        )

    def check_questions(self, questions: list[Question]) -> None:
        """ConfigError names the first question whose prompt, with its completion, exceeds the model's context."""
        prompts = {item.question_id: self.prompts.student(item.question) for item in questions}
        check_context(self, prompts, self.generation.student_max_new_tokens)


@contextmanager
def open_policy(
    folder: Path,
    *,
    model: ModelConfig,
    prompts: Prompts,
    generation: GenerationConfig,
    grading: DatasetGrading,
    trained: bool = False,
) -> Iterator[OpenPolicy]:
    """The policy of a model folder, with a grader that ends with the context. As `OpenPolicy.load`."""
    with Grader(**dict(grading)) as grader:
        yield OpenPolicy.load(
            folder, model=model, prompts=prompts, generation=generation, grader=grader, trained=trained
        )
