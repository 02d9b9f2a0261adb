"""Open policies for tests: around a model that is loaded already, or around a script in place of a model."""

import torch

from soar_pipeline.config import GenerationConfig
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.sampling import Generator


class PlainPrompts:
    """Prompts as they stand."""

    two_turns = False
    student_stop = teacher_stop = None

    def student(self, question: str) -> str:
        return question

    def teacher(self) -> str:
        return "<teacher>"


def scripted_policy(generator: Generator, grader=None, prompts=None, generation=None, tokenizer=None) -> OpenPolicy:
    """A policy that writes what the generator says."""
    return OpenPolicy(
        None,
        tokenizer,
        torch.float32,
        prompts=prompts or PlainPrompts(),
        generation=generation or GenerationConfig(),
        generator=generator,
        grader=grader,
    )
