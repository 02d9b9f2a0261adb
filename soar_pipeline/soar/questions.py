"""Accepted questions from a teacher: rejection sampling (spec section 3)."""

from dataclasses import dataclass

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import GenerationConfig
from soar_pipeline.generation.generator import Completion, Generator
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat
from soar_pipeline.seeds import derive
from soar_pipeline.soar.parsing import ParsedQuestion, parse_teacher_completion

# Raw outputs shown when a teacher writes no acceptable question.
SHOWN_REFUSALS = 5


@dataclass(frozen=True)
class AcceptedQuestion:
    """A question with the completion it came from; `rejected_before` draws were refused since the one before it."""

    question: str
    answer: str
    completion: Completion
    rejected_before: int


class TeacherOutputError(ArtifactError):
    """The teacher writes too few acceptable questions; the message ends with its last refused outputs."""


def sample_questions(
    generator: Generator,
    grader: Grader,
    prompts: PromptFormat,
    generation: GenerationConfig,
    *,
    count: int,
    max_draws_per_question: int,
    seed: int,
) -> list[AcceptedQuestion]:
    """Draw from the teacher until `count` completions are accepted, in the order of drawing.

    RLOO advantages sum to zero, so leaving the refused ones out does not bias the gradient (spec section 3).
    Raises TeacherOutputError after `count * max_draws_per_question` draws.
    """
    accepted: list[AcceptedQuestion] = []
    drawn, rejected, refusals, rounds = 0, 0, [], 0
    while len(accepted) < count:
        if drawn >= count * max_draws_per_question:
            shown = "\n".join(f"  {text!r}" for text in refusals[-SHOWN_REFUSALS:])
            raise TeacherOutputError(
                f"the teacher wrote {len(accepted)} acceptable questions in {drawn} draws, {count} were needed; raise "
                f"teacher.max_draws_per_question or look at the prompt. Its last refused outputs:\n{shown}"
            )
        # As many as are missing, and some more for those that will be refused.
        acceptance = (len(accepted) + 1) / (drawn + 1) if drawn else 1.0
        wanted = min(round((count - len(accepted)) / acceptance) + 1, 4 * count)
        completions = generator.sample(
            [prompts.teacher()],
            samples=wanted,
            max_new_tokens=generation.teacher_max_new_tokens,
            temperature=generation.temperature,
            seed=derive(seed, "teacher draws", rounds),
        )[0]
        rounds += 1
        for completion, parsed in zip(completions, _accepted(completions, grader), strict=True):
            if len(accepted) == count:
                break
            drawn += 1
            if parsed is None:
                rejected += 1
                refusals = [*refusals[-SHOWN_REFUSALS:], completion.text]
                continue
            accepted.append(AcceptedQuestion(parsed.question, parsed.answer, completion, rejected))
            rejected = 0
    return accepted


def _accepted(completions: list[Completion], grader: Grader) -> list[ParsedQuestion | None]:
    """Each completion's question, or None where its form or its answer does not parse."""
    parsed = [parse_teacher_completion(completion.text) for completion in completions]
    well_formed = [item for item in parsed if isinstance(item, ParsedQuestion)]
    parses = iter(grader.parses([item.answer for item in well_formed]))
    return [item if isinstance(item, ParsedQuestion) and next(parses) else None for item in parsed]


def acceptance_rate(questions: list[AcceptedQuestion]) -> float:
    """Share of draws that were accepted, over these questions."""
    return len(questions) / (len(questions) + sum(question.rejected_before for question in questions))
