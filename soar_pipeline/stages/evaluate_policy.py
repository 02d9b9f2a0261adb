"""Attempts of an existing policy on test: the inference arms (spec sections 6 and 7)."""

from pathlib import Path

from soar_pipeline.artifacts import EVALUATION, HARD, PROMOTIONS, Provenance, read_rows, table, write_parquet
from soar_pipeline.generation.attempts import AttemptDrawer
from soar_pipeline.generation.engines import generator_of
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat, load_policy
from soar_pipeline.seeds import derive
from soar_pipeline.slices import InferenceSlice
from soar_pipeline.stages.command import run_stage


def evaluate_policy(
    config: InferenceSlice,
    policy: Path,
    test: Path,
    promotions: list[Path],
    teacher_seed: int,
    student_seed: int,
    evaluation: Path,
) -> None:
    """Draw `samples` attempts per test problem; none where the policy should be promoted and no promotion came."""
    rows = []
    if all(read_rows(path, PROMOTIONS) for path in promotions):
        sampling = config.sampling
        problems = read_rows(test, HARD)[: config.evaluation.test_limit]
        model = load_policy(policy, sampling.dtype)
        prompts = PromptFormat(sampling.prompts, sampling.chat_template, model.tokenizer)
        seed = derive(sampling.seed, "evaluation", teacher_seed, student_seed)
        with Grader(sampling.grading) as grader:
            generator = generator_of(model, sampling.generation)
            drawer = AttemptDrawer(generator, grader, prompts, sampling.generation)
            rows = drawer.draw(problems, samples=config.evaluation.samples, seed=seed)
    provenance = Provenance(
        "evaluate_policy", config.model_dump(mode="json"), student_seed, (policy, test, *promotions)
    )
    write_parquet(evaluation, table(({"step": 0, **row} for row in rows), EVALUATION), provenance)


if __name__ == "__main__":
    run_stage(evaluate_policy)
