"""Questions that the policy writes itself (docs/method.md §10, steps 1 and 2)."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.baselines.serl.cleaning import Novelty, cleaned, listed
from soar_pipeline.config import SerlConfig
from soar_pipeline.policy.sampling import Generator, SamplingParams
from soar_pipeline.runtime import derive
from soar_pipeline.soar.parsing import ParsedQuestion, parse_teacher_completion

# Raw outputs in the error message when the policy writes no usable question, and characters of each.
LAST_OUTPUTS = 5
LAST_CHARACTERS = 500


class SelfPlayError(ArtifactError):
    """The policy writes too few usable questions; the message ends with its last outputs."""


class NumberedList:
    """Asks for the continuation of a numbered list of example questions.

    template: holds `{questions}`; wrap: puts the prompt into the model's chat template, or leaves it.
    """

    def __init__(self, template: str, seeds: list[str], config: SerlConfig, wrap: Callable[[str], str]):
        self.template, self.seeds, self.config, self.wrap = template, seeds, config, wrap

    def prompt(self, kept: list[str], rng: random.Random) -> str:
        """`examples` shuffled questions, at most `generated_examples` of them from `kept`, the rest train problems."""
        generated = rng.sample(kept, min(self.config.generated_examples, len(kept)))
        wanted = self.config.examples - len(generated)
        examples = generated + rng.sample(self.seeds, min(wanted, len(self.seeds)))
        rng.shuffle(examples)
        lines = [f"{i}. {' '.join(example.split()).rstrip(':')}" for i, example in enumerate(examples, start=1)]
        # Not str.format: questions are full of braces.
        return self.wrap(self.template.replace("{questions}", "\n".join([*lines, f"{len(lines) + 1}."])))

    def questions(self, completion: str) -> list[str]:
        return listed(completion, self.config.faithful)


@dataclass(frozen=True)
class TeacherPrompt:
    """Asks by the project's teacher prompt, without examples [ours]; the answer that comes along is not used."""

    text: str

    def prompt(self, kept: list[str], rng: random.Random) -> str:
        return self.text

    def questions(self, completion: str) -> list[str]:
        parsed = parse_teacher_completion(completion)
        return [parsed.question] if isinstance(parsed, ParsedQuestion) else []


class QuestionPool:
    """Questions that wait for a rollout, since the last update; the released code drops what waits at an update.

    fits: whether a question leaves the model room for its completion. seed: of this step.
    """

    def __init__(
        self,
        generator: Generator,
        style: NumberedList | TeacherPrompt,
        seeds: list[str],
        fits: Callable[[str], bool],
        config: SerlConfig,
        seed: int,
    ):
        self.generator, self.style, self.seeds, self.fits = generator, style, seeds, fits
        self.config, self.seed = config, seed
        self.waiting: list[str] = []
        self.rounds = 0

    def take(self, count: int, kept: list[str]) -> list[str]:
        """The next `count` questions; `kept` are earlier ones that passed the difficulty filter, for examples.

        Raises SelfPlayError if `max_rounds` rounds of prompts do not give them.
        """
        novelty = Novelty([*self.seeds, *self.waiting], self.config.max_overlap)
        outputs: list[str] = []
        for _ in range(self.config.max_rounds):
            if len(self.waiting) >= count:
                break
            outputs = self._written(kept)
            for text in (item for output in outputs for item in self.style.questions(output)):
                question = cleaned(text, self.config)
                if question is not None and novelty.admits(question) and self.fits(question):
                    novelty.add(question)
                    self.waiting.append(question)
        if len(self.waiting) < count:
            last = "\n".join(f"  {output[:LAST_CHARACTERS]!r}" for output in outputs[-LAST_OUTPUTS:])
            raise SelfPlayError(
                f"the model wrote {len(self.waiting)} usable questions in {self.config.max_rounds} rounds of "
                f"{self.config.prompts_per_round} prompts, and {count} were needed; raise serl.max_rounds, or change "
                f"the prompt or the filters of the section `serl`. The last outputs are:\n{last}"
            )
        questions, self.waiting = self.waiting[:count], self.waiting[count:]
        return questions

    def _written(self, kept: list[str]) -> list[str]:
        """One round: `prompts_per_round` prompts, completed once each."""
        self.rounds += 1
        rng = random.Random(derive(self.seed, "examples", self.rounds))
        params = SamplingParams(
            self.config.max_new_tokens,
            self.config.temperature,
            derive(self.seed, "questions", self.rounds),
            top_p=self.config.top_p,
            presence_penalty=self.config.presence_penalty,
        )
        prompts = [self.style.prompt(kept, rng) for _ in range(self.config.prompts_per_round)]
        return [completion.text for (completion,) in self.generator.sample(prompts, 1, params)]
