"""The SeRL baseline: self-play from the hard train problems (spec section 10)."""

from pathlib import Path

from soar_pipeline.artifacts import (
    CURVE,
    EVALUATION,
    HARD,
    SERL_QUESTIONS,
    ArtifactError,
    Provenance,
    digest,
    read_rows,
    table,
    write_parquet,
    write_parts,
)
from soar_pipeline.baselines.serl.questions import NumberedList, TeacherPrompt
from soar_pipeline.baselines.serl.run import SerlRun
from soar_pipeline.baselines.serl.training import SerlTrainer
from soar_pipeline.config import ConfigError
from soar_pipeline.evaluation.on_test import AttemptsOnTest, remove_parts
from soar_pipeline.generation.attempts import AttemptDrawer
from soar_pipeline.generation.engines import generator_of
from soar_pipeline.grading.grader import Grader
from soar_pipeline.models.policy import (
    Policy,
    PromptFormat,
    check_context,
    copy_weights,
    fits_context,
    in_chat_template,
    load_policy,
    save_policy,
)
from soar_pipeline.seeds import derive
from soar_pipeline.slices import SerlSlice
from soar_pipeline.stages.command import run_stage
from soar_pipeline.tracking import Tracker
from soar_pipeline.training.checkpoints import CheckpointFolder


def train_serl(
    config: SerlSlice,
    base_model: Path,
    train: Path,
    test: Path,
    student_seed: int,
    report_to: str,
    state: Path,
    curve: Path,
    attempts: Path,
    questions: Path,
    model: Path,
) -> None:
    """Train one self-play student; killed at any point, the same command continues it."""
    sampling, generation = config.sampling, config.sampling.generation
    seeds = [row["question"] for row in read_rows(train, HARD)]
    if not seeds:
        raise ArtifactError(f"{train}: holds no problem, and SeRL starts from them")
    problems = read_rows(test, HARD)[: config.evaluation.test_limit]
    seed = derive(sampling.seed, "serl", student_seed)
    folder = CheckpointFolder(
        state, config.model_dump_json(), str(seed), digest(base_model), digest(train), digest(test)
    )
    policy = load_policy(base_model, sampling.dtype)
    prompts = PromptFormat(sampling.prompts, sampling.chat_template, policy.tokenizer)
    asked = {problem["problem_id"]: prompts.student(problem["question"]) for problem in problems}
    check_context(policy, asked, generation.student_max_new_tokens)
    with folder.locked(), Grader(sampling.grading) as grader:
        generator = generator_of(policy, generation)
        drawer = AttemptDrawer(generator, grader, prompts, generation)
        tests = AttemptsOnTest(drawer, problems, config.evaluation.samples, state, seed)
        tracker = Tracker(report_to, "serl", state / "tracking")
        run = SerlRun(
            config=config.serl,
            generation=generation,
            seeds=seeds,
            style=_style(config, policy, prompts, seeds),
            rollout_prompt=config.prompts.rollout,
            fits=lambda prompt: fits_context(policy, prompt, generation.student_max_new_tokens),
            generator=generator,
            grader=grader,
            trainer=SerlTrainer(
                policy,
                config.serl,
                max_new_tokens=generation.student_max_new_tokens,
                temperature=generation.temperature,
            ),
            evaluate=tests.draw,
            intact=tests.intact,
            folder=folder,
            tracker=tracker,
            name=f"s{student_seed}",
            seed=seed,
        )
        rows, records = run.train()
        tracker.finish()
        provenance = Provenance("train_serl", config.model_dump(mode="json"), student_seed, (base_model, train, test))
        write_parquet(curve, table(rows, CURVE), provenance)
        write_parquet(questions, table(records, SERL_QUESTIONS), provenance)
        write_parts(attempts, EVALUATION, tests.kept(rows), provenance)
        save_policy(model, policy, copy_weights(policy.model))
        folder.remove()
        remove_parts(state)


def _style(config: SerlSlice, policy: Policy, prompts: PromptFormat, seeds: list[str]) -> NumberedList | TeacherPrompt:
    if config.serl.style == "teacher_prompt":
        check_context(policy, {"teacher prompt": prompts.teacher()}, config.serl.max_new_tokens)
        return TeacherPrompt(prompts.teacher())
    if config.serl.chat_template and policy.tokenizer.chat_template is None:
        raise ConfigError("serl.chat_template: true, but the tokenizer has no chat template; set it to false")

    def wrapped(prompt: str) -> str:
        text = in_chat_template(prompt, policy.tokenizer) if config.serl.chat_template else prompt
        check_context(policy, {"prompts.serl with its examples": text}, config.serl.max_new_tokens)
        return text

    return NumberedList(config.prompts.questions, seeds, config.serl, wrapped)


if __name__ == "__main__":
    run_stage(train_serl)
