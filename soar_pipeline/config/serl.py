"""The SeRL baseline (arXiv 2505.20347)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from soar_pipeline.config.rl import RLOOConfig


class SerlConfig(RLOOConfig):
    """The SeRL baseline: self-play from the hard train problems. A step is one update on one full batch of groups."""

    faithful: bool = True
    """keep what the released code does: all letters of a question but the first made small and the unnumbered first
    item of a list lost, against its own paper, and one clipped probability ratio per token; off: both mended, and TRL's
    ratio of the whole completion [SeRL]
    """

    style: Literal["numbered_list", "teacher_prompt"] = "numbered_list"
    """how questions are asked for. numbered_list: a list of examples to be continued; teacher_prompt: by the teacher's
    prompt, for a model that cannot continue a list [SeRL: the list]
    """

    chat_template: bool = True
    """numbered_list: wrap the prompt in the tokenizer's chat template [SeRL]"""

    steps: int = Field(100, ge=1)
    """steps, each of `questions` · `samples` / `batch_size` optimizer steps"""

    evaluate_at: tuple[Annotated[int, Field(ge=1)], ...] = Field((50, 100), min_length=1)
    """steps after which test is attempted [SeRL]"""

    checkpoint_every: int = Field(10, ge=1)
    """steps between checkpoints; what is lost by a kill is redone"""

    questions: int = Field(16, ge=1)
    """questions rolled out at a time, and kept groups of a step [SeRL]"""

    samples: int = Field(16, ge=2)
    """completions per question [SeRL]"""

    batch_size: int = Field(16, ge=1)
    """completions per optimizer step [SeRL]"""

    prompts_per_round: int = Field(4, ge=1)
    """prompts for questions sampled together, once each [SeRL]"""

    max_rounds: int = Field(64, ge=1)
    """give up if so many rounds of prompts do not fill a pool of `questions`"""

    max_rollouts: int = Field(64, ge=1)
    """give up if so many rollouts do not give one step its `questions` kept groups"""

    examples: int = Field(8, ge=1)
    """numbered_list: questions shown in a prompt [SeRL]"""

    generated_examples: int = Field(2, ge=0)
    """numbered_list: how many of them, at most, are earlier questions that were kept [SeRL]"""

    temperature: float = Field(0.8, gt=0)
    """sampling temperature of questions [SeRL]"""

    top_p: float = Field(0.95, gt=0, le=1)
    """nucleus of questions [SeRL]"""

    presence_penalty: float = Field(2.0, ge=0)
    """of questions: taken from the logits of tokens already written [SeRL]"""

    max_new_tokens: int = Field(1024, ge=1)
    """most tokens of a list of questions [SeRL]"""

    min_words: int = Field(4, ge=1)
    """fewest words of a question [SeRL]"""

    max_words: int = Field(150, ge=1)
    """most words of a question [SeRL]"""

    max_overlap: float = Field(0.7, ge=0, le=1)
    """largest ROUGE-L F1 with a train problem or a pooled question [SeRL]"""

    min_agreement: float = Field(0.2, ge=0, le=1)
    """a group is kept if the share of its majority is at least this [SeRL]"""

    max_agreement: float = Field(0.8, ge=0, le=1)
    """and at most this [SeRL]"""

    learning_rate: float = Field(5e-7, gt=0)
    """peak of the cosine schedule [SeRL]"""

    kl_coefficient: float = Field(0.001, ge=0)
    """weight of the KL to the base model in the reward [SeRL]"""

    warmup_steps: int = Field(60, ge=0)
    """learning-rate warm-up, optimizer steps [SeRL: 3 %]"""

    schedule_steps: int = Field(2000, ge=1)
    """optimizer steps of the cosine schedule [SeRL]"""

    final_learning_rate: float = Field(0.1, ge=0, le=1)
    """its end, as a share of the peak [SeRL]"""

    adam_beta2: float = Field(0.95, gt=0, lt=1)
    """AdamW: decay of the second moment [SeRL]"""

    clip: float = Field(0.2, gt=0)
    """largest change of a probability ratio from 1 [SeRL]"""

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps per step."""
        return self.questions * self.samples // self.batch_size

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if list(self.evaluate_at) != sorted(set(self.evaluate_at)) or self.evaluate_at[-1] > self.steps:
            raise ValueError("`evaluate_at` must rise and end within `steps`")
        if self.questions * self.samples % self.batch_size:
            raise ValueError("`batch_size` must divide `questions` · `samples`")
        if self.min_words > self.max_words:
            raise ValueError("`min_words` is more than `max_words`")
        if self.min_agreement > self.max_agreement:
            raise ValueError("`min_agreement` is more than `max_agreement`")
        if self.generated_examples > self.examples:
            raise ValueError("`generated_examples` is more than `examples`")
        return self
