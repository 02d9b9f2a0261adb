"""A policy opened with all that it is used with."""

import pytest

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import ConfigError, DatasetGrading, GenerationConfig, ModelConfig, Prompts
from soar_pipeline.policy.open_policy import open_policy
from soar_pipeline.policy.sampling import SamplingParams
from soar_pipeline.questions import Question

PROMPTS = Prompts(student="<student>{question}<answer_here>", teacher="<teacher>")
GENERATION = GenerationConfig(student_max_new_tokens=30, teacher_max_new_tokens=40, temperature=0.7, batch_size=8)


def opened(folder, **model):
    model = ModelConfig(**{"dtype": "float32", **model})
    return open_policy(folder, model=model, prompts=PROMPTS, generation=GENERATION, grading=DatasetGrading())


def test_an_open_policy_prompts_samples_and_grades(base_model):
    with opened(base_model) as policy:
        assert policy.student_params(seed=3) == SamplingParams(30, temperature=0.7, seed=3)
        assert policy.teacher_params(seed=3) == SamplingParams(40, temperature=0.7, seed=3)
        prompt = policy.prompts.student("482917aL")
        [[completion]] = policy.generator.sample([prompt], 1, policy.student_params(seed=3))
        grades = policy.grader.grade([("829174", completion.text), ("829174", r"\boxed{829174}")])
    assert 0 < completion.tokens <= 30
    assert grades[1].verdict == "right"


@pytest.mark.parametrize(
    ("dtype", "segment_tokens", "trl_samples"),
    [("float32", None, True), ("float32", 16, False), ("bfloat16", None, False), ("bfloat16", 16, False)],
)
def test_trl_samples_rollouts_if_the_engine_would_do_the_same(base_model, dtype, segment_tokens, trl_samples):
    """With `trained` a bfloat16 policy samples from a copy, which TRL does not know."""
    generation = GENERATION.model_copy(update={"segment_tokens": segment_tokens})
    model = ModelConfig(dtype=dtype)
    with open_policy(
        base_model, model=model, prompts=PROMPTS, generation=generation, grading=DatasetGrading(), trained=True
    ) as policy:
        assert policy.rollout_generator is (None if trl_samples else policy.generator)


def test_a_question_that_exceeds_the_context_is_named(base_model):
    short = Question("short", "482917aL", "829174")
    with opened(base_model) as policy:
        policy.check_questions([short])
        with pytest.raises(ConfigError, match=r"^too long: a prompt of \d+ tokens and 30 new tokens exceed"):
            policy.check_questions([short, Question("too long", "482917aL" * 40, "")])


def test_what_cannot_be_opened_is_said_by_name(base_model, tmp_path):
    with pytest.raises(ArtifactError, match="cannot be loaded as a model folder"), opened(tmp_path):
        pass
    with pytest.raises(ConfigError, match="has no chat template"), opened(base_model, chat_template=True):
        pass
