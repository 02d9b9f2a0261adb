"""The SeRL baseline: self-play from the hard train problems (docs/method.md §10)."""

from functools import partial
from shutil import rmtree

from soar_pipeline.artifacts.files import ArtifactError, Artifacts
from soar_pipeline.artifacts.schemas import CURVE, SERL_QUESTIONS
from soar_pipeline.baselines.serl.questions import NumberedList, TeacherPrompt
from soar_pipeline.baselines.serl.run import SerlRun as SelfPlay
from soar_pipeline.baselines.serl.training import SerlTrainer
from soar_pipeline.config import SERL, ConfigError, SerlRun, Settings
from soar_pipeline.evaluation.heldout import all_kept, keeper, publish
from soar_pipeline.policy.encoding import with_first_token
from soar_pipeline.policy.loading import save_policy
from soar_pipeline.policy.open_policy import OpenPolicy, open_policy
from soar_pipeline.policy.prompts import check_context, fits_context, in_chat_template
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import read_problems
from soar_pipeline.rl.checkpoints import CheckpointFolder
from soar_pipeline.rl.time_limit import TimeLimit
from soar_pipeline.runtime import Tracker, derive
from soar_pipeline.stages.command import Input, Output, run_stage


def train_serl(
    settings: Settings,
    run: SerlRun,
    artifacts: Artifacts,
    base_model: Input,
    train: Input,
    test: Input,
    training: Output,
    questions: Output,
    evaluated: Output,
    model: Output,
) -> None:
    """Train one self-play student; killed at any point, the same command continues it. Outputs: train_fresh_student."""
    seeds = [problem.question for problem in read_problems(train)]
    if not seeds:
        raise ArtifactError(f"{train}: holds no problem, and SeRL starts from problems; give a pool that leaves some")
    problems = read_problems(test)
    # No output, see train_soar.
    state = training.parent / "state"
    kept = state / "evaluated"
    seed = derive(settings.seed, "serl", run.student_seed)
    inputs = map(artifacts.digest, (base_model, train, test))
    folder = CheckpointFolder(state, settings.identity, str(seed), *inputs)
    with (
        folder.locked(),
        open_policy(
            base_model,
            model=settings.model,
            prompts=settings.prompts,
            generation=settings.generation,
            grading=settings.grading,
            trained=True,
        ) as policy,
    ):
        policy.check_questions(problems)
        tracker = Tracker(settings.tracking.report_to, "serl", state / "tracking")
        self_play = SelfPlay(
            config=settings.serl,
            policy=policy,
            seeds=seeds,
            style=_style(settings, policy, seeds),
            rollout_prompt=with_first_token(settings.serl_prompts.rollout, policy.tokenizer),
            fits=lambda prompt: fits_context(policy, prompt, settings.generation.student_max_new_tokens),
            trainer=SerlTrainer(policy, settings.serl),
            keep=keeper(policy, settings.evaluation_in_training, problems, kept, seed, run.columns()).keep,
            all_kept=partial(all_kept, kept),
            folder=folder,
            tracker=tracker,
            name=f"{run.dataset}/{SERL}/s{run.student_seed}",
            seed=seed,
            limit=TimeLimit(settings.resources.runtime),
        )
        rows, records = self_play.train()
        tracker.finish()
        artifacts.write(training, rows, CURVE)
        artifacts.write(questions, records, SERL_QUESTIONS)
        publish(kept, evaluated)
        save_policy(model, policy, copy_weights(policy.model))
        artifacts.finish()
        folder.remove()
        rmtree(kept, ignore_errors=True)


def _style(settings: Settings, policy: OpenPolicy, seeds: list[str]) -> NumberedList | TeacherPrompt:
    if settings.serl.style == "teacher_prompt":
        check_context(policy, {"teacher prompt": policy.prompts.teacher()}, settings.serl.max_new_tokens)
        return TeacherPrompt(policy.prompts.teacher())
    if settings.serl.chat_template and policy.tokenizer.chat_template is None:
        raise ConfigError("serl.chat_template: true, but the tokenizer has no chat template; set it to false")

    def wrapped(prompt: str) -> str:
        wrap = in_chat_template if settings.serl.chat_template else with_first_token
        text = wrap(prompt, policy.tokenizer)
        check_context(policy, {"prompts.serl with its examples": text}, settings.serl.max_new_tokens)
        return text

    return NumberedList(settings.serl_prompts.questions, seeds, settings.serl, wrapped)


if __name__ == "__main__":
    run_stage(train_serl)
