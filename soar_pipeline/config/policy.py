"""Base models, prompts, and what samples and grades their completions."""

from typing import Literal, Self

from pydantic import Field, model_validator

from soar_pipeline.config.section import Section


class ModelConfig(Section):
    """A base model, by a name of your choice: teacher and student both start as it."""

    source: Literal["folder", "hub", "gguf_package", "pretrain"] = "hub"
    """folder: a local Hugging Face folder; hub: a hub id (needs a network); gguf_package: an installed Python package
    that carries a GGUF file; pretrain: train the toy task's model from scratch
    """

    path: str = "meta-llama/Llama-3.2-3B-Instruct"
    """folder, hub id or package name; for source `pretrain` not used [experiments]"""

    revision: str | None = Field(None, min_length=1)
    """hub: branch, tag or commit; none: the newest"""

    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """what the model computes in. bfloat16: a trained policy keeps float32 weights and moments, computes its passes in
    bfloat16 (autocast) and samples from a bfloat16 copy; a policy that is only sampled from is bfloat16. float32:
    everything. Saved models are of this type, checkpoints are float32
    """

    chat_template: bool = False
    """wrap prompts in the tokenizer's chat template (off: the prompt file is the whole prompt)"""

    pretrain_steps: int = Field(4000, ge=1)
    """optimizer steps of all phases if source is `pretrain`"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.revision is not None and self.source != "hub":
            raise ValueError("`revision` belongs to source hub")
        return self


class PromptConfig(Section):
    """Prompt files: text files whose whole content is the prompt."""

    student: str = "resources/prompts/student.txt"
    """file of the student's prompt; holds `{question}` exactly once [prompts]"""

    teacher: str = "resources/prompts/teacher.txt"
    """file of the teacher's prompt, the same at every step [prompts]"""

    judge: str = "resources/prompts/judge.txt"
    """file of the taxonomy judge's prompt; holds `{question}` and `{answer}` exactly once, between `{boundary}`s
    [taxonomy]
    """

    serl: str = "resources/prompts/serl.txt"
    """file of the prompt by which SeRL writes questions; holds `{questions}`, the list to be continued, exactly once
    [baselines: SeRL]
    """

    serl_rollout: str = "resources/prompts/serl_rollout.txt"
    """file of the prompt by which SeRL answers its questions; holds `{question}` exactly once [baselines: SeRL, the
    bare question]
    """

    teacher_question: str = "resources/prompts/teacher_question.txt"
    """two turns: file of the first prompt, which asks for a question alone [multi-turn]"""

    teacher_answer: str = "resources/prompts/teacher_answer.txt"
    """two turns: file of the second prompt, which asks for the answer; holds `{question}` exactly once [multi-turn]"""


class EngineConfig(Section):
    """What draws completions."""

    engine: Literal["transformers", "vllm"] = "transformers"
    """transformers: generate of the library, in batches; vllm: one vLLM in each process, which gets its weights from
    the training (docs/vllm.md); the two draw other samples
    """

    batch_size: int = Field(256, ge=1)
    """sequences decoded together; changes speed and memory"""

    segment_tokens: int | None = Field(None, ge=1)
    """engine transformers: after so many tokens, completions that have ended leave their batch, and a prompt goes
    through the model once for all its completions; none: a batch waits for its longest. Another value draws other
    samples
    """

    vllm_memory_share: float = Field(0.4, gt=0, lt=1)
    """engine vllm: share of the GPU's memory that it holds, weights and cache, while it generates; it holds next to
    none while a model trains, unless it stays awake. On a CPU the cache has 1 GiB
    """

    vllm_stays_awake: bool = False
    """engine vllm on a GPU: keep the share while a model trains too, which saves a second or two per sampling. The
    teacher's engine sleeps all the same if it has no GPU to itself
    """

    deterministic: bool = False
    """engine vllm on a GPU: no compiled graphs, so that the same seed gives the same completions again as far as its
    kernels do; slower (docs/vllm.md)
    """


class GenerationConfig(EngineConfig):
    """How completions are drawn."""

    student_max_new_tokens: int = Field(1024, ge=1)
    """most tokens of a student's completion [Table 3]"""

    teacher_max_new_tokens: int = Field(512, ge=1)
    """most tokens of a teacher's completion [Table 3]"""

    temperature: float = Field(1.0, gt=0)
    """sampling temperature of filter, training and evaluation [Table 3]"""


class GradingConfig(Section):
    """Math-Verify in killable worker processes."""

    workers: int = Field(1, ge=1)
    """worker processes per job"""

    timeout_seconds: int = Field(5, ge=1)
    """CPU seconds per comparison, beyond them a `timeout`"""

    memory_mb: int = Field(2048, ge=256)
    """MB that a worker may take above its start size"""
