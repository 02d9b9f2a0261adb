"""Questions from a teacher (spec section 3): in one turn by rejection sampling, or in two turns without a filter."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Protocol

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import GenerationConfig
from soar_pipeline.generation.generator import Completion, Generator, Rollout, Turn
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import Policy, PromptFormat, check_context
from soar_pipeline.seeds import derive
from soar_pipeline.soar.parsing import ParsedQuestion, parse_teacher_completion, tagged, without_control_characters

# Raw outputs shown when a teacher writes no acceptable question.
SHOWN_REFUSALS = 5


@dataclass(frozen=True)
class AcceptedQuestion:
    """A question with the turns it was written in; `rejected_before` draws were refused since the one before it."""

    question: str
    answer: str
    turns: Rollout
    rejected_before: int

    @property
    def text(self) -> str:
        """All that the teacher wrote, an empty line between its turns."""
        return "\n\n".join(turn.completion.text for turn in self.turns)


class TeacherOutputError(ArtifactError):
    """The teacher writes too few acceptable questions; the message ends with its last refused outputs."""


class QuestionWriter(Protocol):
    """A way to draw questions from a teacher's current weights."""

    def write(self, count: int, seed: int) -> list[AcceptedQuestion]:
        """`count` questions, in the order of drawing; the same seed gives the same questions."""
        ...


def question_writer(
    generator: Generator,
    grader: Grader,
    prompts: PromptFormat,
    generation: GenerationConfig,
    *,
    max_draws_per_question: int,
) -> QuestionWriter:
    """The way that the prompts are made for."""
    if prompts.two_turns:
        return TwoTurnWriter(generator, prompts, generation)
    return SingleTurnWriter(generator, grader, prompts, generation, max_draws_per_question)


def check_teacher_context(policy: Policy, prompts: PromptFormat, generation: GenerationConfig) -> None:
    """ConfigError where a teacher's prompt, with its longest completion, does not fit the model's context."""
    tokens = generation.teacher_max_new_tokens
    check_context(policy, {"teacher prompt": prompts.teacher()}, tokens)
    if prompts.two_turns:
        # The second prompt holds the first turn's question: up to as many tokens again.
        check_context(policy, {"teacher's prompt for the answer": prompts.teacher_answer("")}, 2 * tokens)


@dataclass(frozen=True)
class SingleTurnWriter:
    """Question and answer in one completion; completions of another form are refused.

    RLOO advantages sum to zero, so leaving the refused ones out does not bias the gradient (spec section 3).
    """

    generator: Generator
    grader: Grader
    prompts: PromptFormat
    generation: GenerationConfig
    max_draws_per_question: int

    def write(self, count: int, seed: int) -> list[AcceptedQuestion]:
        """Raises TeacherOutputError after `count * max_draws_per_question` draws."""
        accepted: list[AcceptedQuestion] = []
        drawn, rejected, refusals, rounds = 0, 0, [], 0
        prompt = self.prompts.teacher()
        while len(accepted) < count:
            if drawn >= count * self.max_draws_per_question:
                shown = "\n".join(f"  {text!r}" for text in refusals[-SHOWN_REFUSALS:])
                raise TeacherOutputError(
                    f"the teacher wrote {len(accepted)} acceptable questions in {drawn} draws, {count} were needed; "
                    f"raise teacher.max_draws_per_question or look at the prompt. Its last refused outputs:\n{shown}"
                )
            # As many as are missing, and some more for those that will be refused.
            acceptance = (len(accepted) + 1) / (drawn + 1) if drawn else 1.0
            wanted = min(round((count - len(accepted)) / acceptance) + 1, 4 * count)
            completions = self.generator.sample(
                [prompt],
                samples=wanted,
                max_new_tokens=self.generation.teacher_max_new_tokens,
                temperature=self.generation.temperature,
                seed=derive(seed, "teacher draws", rounds),
            )[0]
            rounds += 1
            for completion, parsed in zip(completions, self._accepted(completions), strict=True):
                if len(accepted) == count:
                    break
                drawn += 1
                if parsed is None:
                    rejected += 1
                    refusals = [*refusals[-SHOWN_REFUSALS:], completion.text]
                    continue
                turns = (Turn(prompt, completion),)
                accepted.append(AcceptedQuestion(parsed.question, parsed.answer, turns, rejected))
                rejected = 0
        return accepted

    def _accepted(self, completions: list[Completion]) -> list[ParsedQuestion | None]:
        """Each completion's question, or None where its form or its answer does not parse."""
        parsed = [parse_teacher_completion(completion.text) for completion in completions]
        well_formed = [item for item in parsed if isinstance(item, ParsedQuestion)]
        parses = iter(self.grader.parses([item.answer for item in well_formed]))
        return [item if isinstance(item, ParsedQuestion) and next(parses) else None for item in parsed]


@dataclass(frozen=True)
class TwoTurnWriter:
    """The question first, then its answer, asked for in a prompt that holds the question; nothing is refused.

    A turn ends with its closing tag: what the model would write after it is no part of the rollout. Where a tag or the
    box is missing, all that stands there is taken, so question and answer may be any text, the empty one included;
    a student gets no full reward for an answer that is no expression. Control characters are left out.
    """

    generator: Generator
    prompts: PromptFormat
    generation: GenerationConfig

    def write(self, count: int, seed: int) -> list[AcceptedQuestion]:
        asked = self._turns([self.prompts.teacher()] * count, "question", derive(seed, "question turn"))
        questions = [without_control_characters(tagged(turn.completion.text, "question")) for turn in asked]
        prompts = [self.prompts.teacher_answer(question) for question in questions]
        answered = self._turns(prompts, "answer", derive(seed, "answer turn"))
        return [
            AcceptedQuestion(question, _stated_answer(answer.completion.text), (ask, answer), rejected_before=0)
            for question, ask, answer in zip(questions, asked, answered, strict=True)
        ]

    def _turns(self, prompts: list[str], tag: str, seed: int) -> list[Turn]:
        """One turn per prompt, ending where the tag is closed."""
        drawn = self.generator.sample(
            prompts,
            samples=1,
            max_new_tokens=self.generation.teacher_max_new_tokens,
            temperature=self.generation.temperature,
            seed=seed,
        )
        return [
            Turn(prompt, self._up_to(f"</{tag}>", completion))
            for prompt, (completion,) in zip(prompts, drawn, strict=True)
        ]

    def _up_to(self, end: str, completion: Completion) -> Completion:
        """The completion's tokens up to the one that completes `end`; all of them where it does not occur.

        A prefix of a sample is a sample of the policy that stops there, so this is the stop string of every engine.
        """
        if end not in completion.text:
            return completion
        ids = completion.token_ids

        def text(length: int) -> str:
            return self.prompts.tokenizer.decode(ids[:length], skip_special_tokens=True)

        length = bisect_left(range(len(ids)), True, key=lambda shorter: end in text(shorter))
        return Completion(text(length), tokens=length, truncated=False, token_ids=ids[:length])


def _stated_answer(text: str) -> str:
    """The last box of an answer turn; without one, what it says between its tags."""
    boxed = last_boxed(text)
    return without_control_characters(tagged(text, "answer") if boxed is None else boxed)


def acceptance_rate(questions: list[AcceptedQuestion]) -> float:
    """Share of draws that were accepted, over these questions."""
    return len(questions) / (len(questions) + sum(question.rejected_before for question in questions))
