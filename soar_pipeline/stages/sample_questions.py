"""Questions sampled from a teacher after its training, or from the base model as one (docs/method.md §7)."""

from soar_pipeline.artifacts.files import Artifacts
from soar_pipeline.artifacts.schemas import QUESTION_SET
from soar_pipeline.config import QuestionSet, Settings
from soar_pipeline.policy.open_policy import open_policy
from soar_pipeline.runtime import derive
from soar_pipeline.soar.questions import check_teacher_context, question_writer
from soar_pipeline.stages.command import Input, Output, run_stage


def sample_questions(
    settings: Settings, run: QuestionSet, artifacts: Artifacts, policy: Input, questions: Output
) -> None:
    """Write `size` questions, sampled in the way that the teacher was trained."""
    with open_policy(
        policy,
        model=settings.model,
        prompts=settings.prompts,
        generation=settings.generation,
        grading=settings.grading,
    ) as teacher:
        check_teacher_context(teacher)
        writer = question_writer(teacher, settings.teacher.max_draws_per_question)
        question_ids = [f"{run.dataset}/{run.arm}/t{run.teacher_seed}-{i:04d}" for i in range(settings.questions.size)]
        written = writer.write(question_ids, derive(settings.seed, "sampled questions", run.teacher_seed))
    artifacts.write(questions, (item.row() for item in written), QUESTION_SET)


if __name__ == "__main__":
    run_stage(sample_questions)
