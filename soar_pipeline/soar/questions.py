"""Questions from a teacher (docs/method.md §3): in one turn by rejection sampling, or in two turns without a filter."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Protocol

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.prompts import check_context
from soar_pipeline.policy.sampling import Completion, Rollout, Turn
from soar_pipeline.questions import Question
from soar_pipeline.runtime import derive
from soar_pipeline.soar.parsing import ParsedQuestion, parse_teacher_completion, tagged, without_control_characters

# Raw outputs in the error message when a teacher writes no acceptable question.
LAST_REFUSALS = 5


@dataclass(frozen=True)
class TeacherQuestion:
    """A question with the turns it was written in; `rejected_before` samples were refused since the one before it."""

    question: Question
    turns: Rollout
    rejected_before: int = 0

    @property
    def text(self) -> str:
        """All that the teacher wrote, an empty line between its turns."""
        return "\n\n".join(turn.completion.text for turn in self.turns)

    def row(
        self, outer_step: int = 0, *, dataset_index: int = 0, dataset_reward: float | None = None
    ) -> dict[str, Any]:
        """The question's row in an artifact; outer step 0 is after the training."""
        return {
            "question_id": self.question.question_id,
            "outer_step": outer_step,
            "dataset_index": dataset_index,
            "question": self.question.question,
            "answer": self.question.answer,
            "completion": self.text,
            "dataset_reward": dataset_reward,
            "rejected_before": self.rejected_before,
        }


class TeacherOutputError(ArtifactError):
    """The teacher writes too few acceptable questions; the message ends with its last refused outputs."""


class QuestionWriter(Protocol):
    """A way to sample questions from a teacher's current weights."""

    def write(self, question_ids: list[str], seed: int) -> list[TeacherQuestion]:
        """A question for each id, in the order of sampling; the same seed gives the same questions."""
        ...


def question_writer(policy: OpenPolicy, max_draws_per_question: int) -> QuestionWriter:
    """The way that the policy's prompts are made for."""
    if policy.prompts.two_turns:
        return TwoTurnWriter(policy)
    return SingleTurnWriter(policy, max_draws_per_question)


def check_teacher_context(policy: OpenPolicy) -> None:
    """ConfigError if a teacher's prompt, with its longest completion, does not fit the model's context."""
    prompts, tokens = policy.prompts, policy.generation.teacher_max_new_tokens
    check_context(policy, {"teacher prompt": prompts.teacher()}, tokens)
    if prompts.two_turns:
        # The second prompt holds the first turn's question: up to as many tokens again.
        check_context(policy, {"teacher's prompt for the answer": prompts.teacher_answer("")}, 2 * tokens)


@dataclass(frozen=True)
class SingleTurnWriter:
    """Question and answer in one completion; completions of another form are refused.

    RLOO advantages sum to zero, so leaving the refused ones out does not bias the gradient (docs/method.md §3).
    """

    policy: OpenPolicy
    max_draws_per_question: int

    def write(self, question_ids: list[str], seed: int) -> list[TeacherQuestion]:
        """Raises TeacherOutputError after `max_draws_per_question` samples per question."""
        accepted: list[TeacherQuestion] = []
        sampled, rejected, refusals, rounds, count = 0, 0, [], 0, len(question_ids)
        prompt = self.policy.prompts.teacher()
        while len(accepted) < count:
            if sampled >= count * self.max_draws_per_question:
                last = "\n".join(f"  {text!r}" for text in refusals[-LAST_REFUSALS:])
                raise TeacherOutputError(
                    f"the teacher wrote {len(accepted)} acceptable questions in {sampled} samples, and {count} "
                    "were needed; raise teacher.max_draws_per_question, or change the prompt. The last refused outputs "
                    "are:\n" + last
                )
            # As many as are missing, and some more for those that will be refused.
            acceptance = (len(accepted) + 1) / (sampled + 1) if sampled else 1.0
            wanted = min(round((count - len(accepted)) / acceptance) + 1, 4 * count)
            params = self.policy.teacher_params(derive(seed, "teacher draws", rounds))
            [completions] = self.policy.generator.sample([prompt], wanted, params)
            rounds += 1
            for completion, parsed in zip(completions, self._accepted(completions), strict=True):
                if len(accepted) == count:
                    break
                sampled += 1
                if parsed is None:
                    rejected += 1
                    refusals = [*refusals[-LAST_REFUSALS:], completion.text]
                    continue
                question = Question(question_ids[len(accepted)], parsed.question, parsed.answer)
                accepted.append(TeacherQuestion(question, (Turn(prompt, completion),), rejected))
                rejected = 0
        return accepted

    def _accepted(self, completions: list[Completion]) -> list[ParsedQuestion | None]:
        """Each completion's question, or None if its form or its answer does not parse."""
        parsed = [parse_teacher_completion(completion.text) for completion in completions]
        well_formed = [item for item in parsed if isinstance(item, ParsedQuestion)]
        parses = iter(self.policy.grader.parses([item.answer for item in well_formed]))
        return [item if isinstance(item, ParsedQuestion) and next(parses) else None for item in parsed]


@dataclass(frozen=True)
class TwoTurnWriter:
    """The question first, then its answer, for which a prompt holds the question; nothing is refused.

    A turn ends with its closing tag: what the model would write after it is not part of the rollout. If a tag or the
    box is missing, all that stands there counts, so question and answer may be any text, the empty one included; a
    student gets no full reward for an answer that is not an expression. Control characters are left out.
    """

    policy: OpenPolicy

    def write(self, question_ids: list[str], seed: int) -> list[TeacherQuestion]:
        prompts = [self.policy.prompts.teacher()] * len(question_ids)
        first = self._turns(prompts, "question", derive(seed, "question turn"))
        texts = [without_control_characters(tagged(turn.completion.text, "question")) for turn in first]
        prompts = [self.policy.prompts.teacher_answer(text) for text in texts]
        second = self._turns(prompts, "answer", derive(seed, "answer turn"))
        return [
            TeacherQuestion(Question(question_id, text, _stated_answer(answer.completion.text)), (question, answer))
            for question_id, text, question, answer in zip(question_ids, texts, first, second, strict=True)
        ]

    def _turns(self, prompts: list[str], tag: str, seed: int) -> list[Turn]:
        """One turn per prompt, ending as the tag is closed."""
        groups = self.policy.generator.sample(prompts, 1, self.policy.teacher_params(seed))
        return [
            Turn(prompt, self._up_to(f"</{tag}>", completion))
            for prompt, (completion,) in zip(prompts, groups, strict=True)
        ]

    def _up_to(self, end: str, completion: Completion) -> Completion:
        """The completion's tokens up to the one that completes `end`; all of them if it does not occur.

        A prefix of a sample is a sample of the policy that stops there, so this is the stop string of every engine.
        """
        if end not in completion.text:
            return completion
        ids = completion.token_ids

        def text(length: int) -> str:
            return self.policy.tokenizer.decode(ids[:length], skip_special_tokens=True)

        length = bisect_left(range(len(ids)), True, key=lambda shorter: end in text(shorter))
        return Completion(text(length), tokens=length, truncated=False, token_ids=ids[:length])


def _stated_answer(text: str) -> str:
    """The last box of an answer turn; without one, what it says between its tags."""
    boxed = last_boxed(text)
    return without_control_characters(tagged(text, "answer") if boxed is None else boxed)


def acceptance_rate(questions: list[TeacherQuestion]) -> float:
    """Share of samples that were accepted, over these questions."""
    return len(questions) / (len(questions) + sum(question.rejected_before for question in questions))
