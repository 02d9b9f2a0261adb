"""What is computed from a run's results: pass@k, diversity, taxonomy, figures, the report."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from soar_pipeline.config.section import Name, Section

PASS_AT_K = (1, 4, 8, 16, 32)
DEFAULT_FIGURES = (
    "learning_curves",
    "improvement",
    "teacher_overview",
    "question_composition",
    "teacher_reward",
    "baseline_accuracy",
    "question_difficulty",
    "diversity",
)


class EvaluationConfig(Section):
    """pass@k on test, k in {1, 4, 8, 16, 32}."""

    samples: int = Field(32, ge=1)
    """completions per test problem: one of these k, or more; larger k are left out [Table 3]"""

    test_limit: int | None = Field(None, ge=1)
    """evaluate on the first so many test problems"""

    keep_weights: bool = True
    """keep the weights of every evaluated step of fresh students and SeRL (docs/reruns.md says how much disk that
    takes): then other keys of this section train nothing again. false: the training samples the attempts on its way,
    and a change of this section repeats it
    """

    @property
    def pass_at_k(self) -> tuple[int, ...]:
        """The k that can be estimated from so many samples."""
        return tuple(k for k in PASS_AT_K if k <= self.samples)


class DiversityConfig(Section):
    """Vendi score of each arm's questions, and how far the teacher's completions lie apart in each outer step."""

    embedder: str = "Qwen/Qwen3-Embedding-8B"
    """`character_ngrams`, or a sentence-transformers model by name or folder [Table 1]"""

    sample_size: int = Field(128, ge=2)
    """questions per bootstrap subsample [Table 1]"""

    draws: int = Field(100, ge=1)
    """bootstrap subsamples, drawn without replacement [Table 1]"""

    step_completions: int = Field(64, ge=2)
    """of each outer step's completions, the first so many are embedded [Figure 20]"""


class EndpointJudge(Section):
    """A model behind any OpenAI-compatible chat-completions endpoint [taxonomy]."""

    kind: Literal["endpoint"]
    """this kind of judge"""

    base_url: str
    """up to and without `/chat/completions`, such as https://api.openai.com/v1"""

    model: str = Field(min_length=1)
    """as the endpoint calls it"""

    api_key_variable: str | None = Field(None, pattern=r"^[A-Z_][A-Z0-9_]*$")
    """name of the environment variable that holds the key, never the key itself; none: no key is sent"""

    parameters: dict[str, Any] = {"max_tokens": 4096}
    """further fields of each request, such as temperature, max_completion_tokens or response_format"""

    timeout_seconds: float = Field(120, gt=0)
    """for a whole reply, from sending to its last byte"""

    retries: int = Field(5, ge=0)
    """of a request that was answered by 429 or 5xx, or not at all"""

    backoff_seconds: float = Field(1, gt=0)
    """before the first retry, doubled each time; `Retry-After` of the endpoint goes before it"""

    max_wait_seconds: float = Field(120, gt=0)
    """give up if the endpoint wants a longer wait than this"""

    prompt_price: float | None = Field(None, ge=0)
    """money per million prompt tokens"""

    completion_price: float | None = Field(None, ge=0)
    """money per million completion tokens"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("base_url must start with http:// or https:// and name a host")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("base_url must hold no user, key, query or fragment: the key stands in the environment")
        if own := sorted({"model", "messages", "stream", "n"} & self.parameters.keys()):
            raise ValueError(f"parameters: {own} are set by the judge itself")
        if (self.prompt_price is None) != (self.completion_price is None):
            raise ValueError("prompt_price and completion_price belong together")
        return self


class LocalJudge(Section):
    """A model that is run here [taxonomy]. If a reward asks it, vLLM can serve it with the policy only if both have the
    same architecture and dtype.
    """

    kind: Literal["local"]
    """this kind of judge"""

    model: Name
    """name in `models`"""

    max_new_tokens: int = Field(1024, ge=1)
    """most tokens of a reply"""


class ExactJudge(Section):
    """The toy task's own rules: they parse the question and compute its answer."""

    kind: Literal["exact"]
    """this kind of judge"""


class TaxonomyConfig(Section):
    """The judge of questions: well posed? answer correct? what error? [taxonomy]"""

    judge: Annotated[EndpointJudge | LocalJudge | ExactJudge, Field(discriminator="kind")] | None = None
    """who judges; none: no question can be judged [taxonomy]"""

    arms: tuple[Name, ...] = ()
    """names in `arms` that stand in the table: whose questions are judged"""

    questions_per_file: int | None = Field(None, ge=1)
    """judge a random sample of each question file; none: all [Table 7: 384 per arm in all]"""

    questions_per_step: int | None = Field(None, ge=1)
    """judge a random sample of so many questions of every outer step of each SOAR run, for the figure
    question_composition; none: none. The toy task needs no judge for it [ours]
    """

    attempts: int = Field(3, ge=1)
    """requests for a reply, until one holds a verdict"""

    concurrency: int = Field(8, ge=1)
    """endpoint: requests of a job in flight at once; changes no verdict"""


class ReportConfig(Section):
    """Tables, figures and the HTML page."""

    title: str = "SOAR: a model teaches itself at the edge of learnability"
    """heading of the page"""

    baseline_arm: Name = "hard_only"
    """arm that improvements are measured from"""

    headline_arms: tuple[Name, ...] = ("soar_pq", "soar_ps")
    """arms of the one-line finding"""

    sample_questions: int = Field(6, ge=1)
    """questions of each outer step that the page shows"""

    unstuck_percent: float = Field(50, gt=0, le=100)
    """a student came unstuck if it solves so many percent of test at the largest k of pass@k. 50 at k = 32: on every
    second hard problem a group of 32 completions, table 3's, has a right one: RL then earns reward there by itself
    """

    fixed_window: tuple[Annotated[int, Field(ge=0)], ...] = Field((200, 400), min_length=2, max_length=2)
    """pass@k over the evaluations after the first and up to the second of these steps stands beside that of the steps
    that the checkpoint rule selects
    """


class FigureConfig(Section):
    """One figure, by a name of your choice: `figures/<name>.svg` and `.png`. What is not said is what the run has."""

    kind: Literal[
        "learning_curves",
        "seed_curves",
        "improvement",
        "bars",
        "sweep",
        "teacher_overview",
        "question_composition",
        "teacher_reward",
        "baseline_accuracy",
        "question_difficulty",
        "question_evolution",
        "diversity",
    ]
    """learning_curves: test pass@k by training step; seed_curves: the same, a line per teacher seed; improvement: over
    the baseline arm at each k; bars: arms side by side; sweep: pass@k against `against`;
    teacher_overview (one figure of a SOAR run's questions, rewards and baseline student), question_composition (useful,
    trivial, ambiguous, …, by outer step), teacher_reward, baseline_accuracy, question_difficulty, question_evolution
    (sampled questions by stage): of SOAR runs; diversity: during training, and Vendi scores [Figures 3–20]
    """

    title: str = ""
    """heading; empty: none"""

    datasets: tuple[Name, ...] | None = None
    """names in `datasets`; none: those that have the rest"""

    arms: tuple[Name, ...] | None = None
    """names in `arms`, in the order of the legend; none: all"""

    objectives: tuple[Name, ...] | None = None
    """names in `objectives`; none: all"""

    k: tuple[Literal[1, 4, 8, 16, 32], ...] | None = Field(None, min_length=1)
    """of pass@k; none: learning_curves the ends, improvement all, others the largest"""

    against: Literal["size", "tau", "n"] | None = None
    """of a sweep: size, questions given to the fresh student; tau, promotion threshold, and n, questions per dataset,
    of the SOAR runs [Figures 16, 17]
    """

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.kind == "sweep") != (self.against is not None):
            raise ValueError("`against` belongs to kind sweep, and only to it")
        return self
