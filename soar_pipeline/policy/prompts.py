"""The prompts as the policy sees them, and whether they fit its context (paper, appendix on prompts)."""

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from soar_pipeline.config import ConfigError, Prompts
from soar_pipeline.policy.encoding import encode, with_first_token
from soar_pipeline.policy.loading import Policy

# A raw prompt is a conversation if it has a line that begins with the one and ends with the other.
USER, ASSISTANT = "User:", "Assistant:"


class PromptFormat:
    """The prompts as the policy sees them (docs/method.md §3)."""

    def __init__(self, prompts: Prompts, chat_template: bool, tokenizer: PreTrainedTokenizerBase):
        self.prompts, self.chat_template, self.tokenizer = prompts, chat_template, tokenizer
        if chat_template and tokenizer.chat_template is None:
            raise ConfigError(
                "models.<name>.chat_template: true, but the tokenizer has no chat template; set it to false"
            )

    def student(self, question: str, beginning: str = "") -> str:
        """beginning: of the answer, which the student goes on with."""
        prompt = self._wrapped(self._holding(self.prompts.student, question))
        if not beginning:
            return prompt
        space = " " if prompt.endswith(ASSISTANT) else ""
        return prompt + space + without_special_tokens(beginning, self.tokenizer)

    def teacher(self) -> str:
        """The teacher's first prompt: for a question and its answer, or in two turns for a question."""
        return self._wrapped(self.prompts.teacher)

    @property
    def two_turns(self) -> bool:
        """Whether the teacher writes the answer in a turn of its own."""
        return self.prompts.teacher_answer is not None

    def teacher_answer(self, question: str) -> str:
        return self._wrapped(self._holding(self.prompts.teacher_answer, question))

    def _holding(self, prompt: str, question: str) -> str:
        # Not str.format: questions and prompts are full of braces.
        return prompt.replace("{question}", without_special_tokens(question, self.tokenizer))

    def _wrapped(self, prompt: str) -> str:
        wrap = in_chat_template if self.chat_template else with_first_token
        return wrap(prompt, self.tokenizer)

    @property
    def student_stop(self) -> str | None:
        """The text that ends a student's completion, as its end token does; None if there is none."""
        return self._stop(self.prompts.student)

    @property
    def teacher_stop(self) -> str | None:
        """The text that ends a teacher's completion; None if there is none."""
        return self._stop(self.prompts.teacher)

    def _stop(self, prompt: str) -> str | None:
        """A conversation that goes on with a turn of the user's has left the reply: the problem is an invented one."""
        conversation = prompt.endswith(ASSISTANT) and any(line.startswith(USER) for line in prompt.splitlines())
        return USER if conversation and not self.chat_template else None


def in_chat_template(prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The prompt as a user's message, and the opening of the reply: the template's text, for `encode`.

    Raises ConfigError if the tokenizer's template fails; it is data, and runs in Jinja's sandbox.
    """
    messages = [{"role": "user", "content": without_special_tokens(prompt, tokenizer)}]
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise ConfigError(
            f"models.<name>.chat_template: the tokenizer's chat template cannot be used ({error})"
        ) from None


def without_special_tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text with a space in what would be encoded as a special token.

    Questions are untrusted: one that ends the user's turn could write the assistant's, or a judge's verdict.
    """
    for token in tokenizer.added_tokens_decoder.values():
        if token.special:
            text = text.replace(token.content, f"{token.content[:1]} {token.content[1:]}")
    return text


def check_context(policy: Policy, prompts: dict[str, str], max_new_tokens: int) -> None:
    """ConfigError naming the first prompt (by its key) that, with its completion, does not fit the model's context."""
    context = policy.model.config.max_position_embeddings
    for name, prompt in prompts.items():
        if not fits_context(policy, prompt, max_new_tokens):
            length = len(encode([prompt], policy.tokenizer)[0])
            raise ConfigError(
                f"{name}: a prompt of {length} tokens and {max_new_tokens} new tokens exceed the model's context of "
                f"{context}; drop the problem or lower generation.*_max_new_tokens"
            )


def fits_context(policy: Policy, prompt: str, max_new_tokens: int) -> bool:
    """Whether the prompt and its completion fit the model's context."""
    [ids] = encode([prompt], policy.tokenizer)
    return len(ids) + max_new_tokens <= policy.model.config.max_position_embeddings
