"""Questions sampled from a teacher after its training, or from the base model as one (spec section 7)."""

from pathlib import Path

from soar_pipeline.artifacts import QUESTIONS, Provenance, table, write_parquet
from soar_pipeline.generation.engines import generator_of
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import PromptFormat, load_policy
from soar_pipeline.seeds import derive
from soar_pipeline.slices import QuestionSamplingSlice
from soar_pipeline.soar.questions import check_teacher_context, question_writer
from soar_pipeline.stages.command import run_stage


def sample_questions(config: QuestionSamplingSlice, policy: Path, teacher_seed: int, questions: Path) -> None:
    """Write `size` questions, drawn the way the teacher was trained."""
    sampling = config.sampling
    teacher = load_policy(policy, sampling.dtype)
    prompts = PromptFormat(sampling.prompts, sampling.chat_template, teacher.tokenizer)
    check_teacher_context(teacher, prompts, sampling.generation)
    with Grader(sampling.grading) as grader:
        writer = question_writer(
            generator_of(teacher, sampling.generation),
            grader,
            prompts,
            sampling.generation,
            max_draws_per_question=config.max_draws_per_question,
        )
        drawn = writer.write(config.size, derive(sampling.seed, "sampled questions", teacher_seed))
    rows = [
        {
            "question_id": f"t{teacher_seed}-{i:04d}",
            "outer_step": 0,
            "dataset_index": 0,
            "question": item.question,
            "answer": item.answer,
            "completion": item.text,
            "dataset_reward": None,
            "rejected_before": item.rejected_before,
        }
        for i, item in enumerate(drawn)
    ]
    provenance = Provenance("sample_questions", config.model_dump(mode="json"), teacher_seed, (policy,))
    write_parquet(questions, table(rows, QUESTIONS), provenance)


if __name__ == "__main__":
    run_stage(sample_questions)
