"""Attempts of an existing policy on test: the inference arms (docs/method.md §§ 6, 7)."""

from soar_pipeline.artifacts.files import Artifacts, read_rows
from soar_pipeline.artifacts.schemas import EVALUATION, PROMOTIONS
from soar_pipeline.config import Settings, StudentRun
from soar_pipeline.policy.attempts import AttemptSampler
from soar_pipeline.policy.open_policy import open_policy
from soar_pipeline.questions import read_problems
from soar_pipeline.runtime import derive
from soar_pipeline.stages.command import Input, Inputs, Output, run_stage


def evaluate_policy(
    settings: Settings,
    run: StudentRun,
    artifacts: Artifacts,
    policy: Input,
    test: Input,
    promotions: Inputs,
    evaluation: Output,
) -> None:
    """Sample attempts at each test problem; none if the policy should be a promoted student and none was promoted."""
    rows = []
    if all(read_rows(path, PROMOTIONS) for path in promotions):
        problems = read_problems(test)[: settings.evaluation.test_limit]
        seed = derive(settings.seed, "evaluation", run.teacher_seed, run.student_seed)
        with open_policy(
            policy,
            model=settings.model,
            prompts=settings.prompts,
            generation=settings.generation,
            grading=settings.grading,
        ) as opened:
            rows = AttemptSampler(opened).sample(problems, samples=settings.evaluation.samples, seed=seed)
    artifacts.write(evaluation, ({"step": 0, **row} for row in rows), EVALUATION)


if __name__ == "__main__":
    run_stage(evaluate_policy)
