"""What one job of each stage costs: the arithmetic of the stage, over the units of work."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from soar_pipeline.config import Config, SoarConfig
from soar_pipeline.cost.assumptions import Assumed, Length
from soar_pipeline.cost.jobs import Job
from soar_pipeline.cost.pools import Pool
from soar_pipeline.cost.work import Units, Work, parquet_bytes
from soar_pipeline.slices import fresh_student_rl

# Rules whose jobs run the language model; the others read and write small files.
MODEL_RULES = (
    "prepare_base_model",
    "sample_attempts",
    "train_soar",
    "sample_questions",
    "train_fresh_student",
    "train_serl",
    "evaluate_policy",
)
# Sequences of a pretraining step, and tokens of each (models/embedded.py).
PRETRAINING_BATCH, PRETRAINING_TOKENS = 96, 60
# Sets of weights in a checkpoint of a SOAR run: teacher, its two moments, baseline and best student.
CHECKPOINT_SETS = 5
# Every completion runs to the token limit.
FULL = Length(1.0)


@dataclass(frozen=True)
class Stages:
    """Work of any job of a configuration; `upper`: every bound on it reached.

    `units(model, rule)` are those of a job of the rule; `parallel_students` of a SOAR run train at once.
    """

    config: Config
    assumed: Assumed
    pools: dict[str, Pool]
    units: Callable[[str, str], Units]
    parallel_students: int
    upper: bool = False

    def work(self, job: Job) -> Work:
        """Of one job; none for rules that only read and write small files."""
        arithmetic = {
            "prepare_base_model": self._prepare_base_model,
            "sample_attempts": self._sample_attempts,
            "train_soar": self._train_soar,
            "sample_questions": self._sample_questions,
            "train_fresh_student": self._train_fresh_student,
            "train_serl": self._train_serl,
            "evaluate_policy": self._evaluate_policy,
        }
        return arithmetic[job.rule](job) if job.rule in MODEL_RULES else Work()

    @property
    def base_length(self) -> Length:
        return FULL if self.upper else self.assumed.base

    @property
    def student_length(self) -> Length:
        return FULL if self.upper else self.assumed.student

    @property
    def teacher_length(self) -> Length:
        return FULL if self.upper else self.assumed.teacher

    def promotions(self, dataset: str, objective: str) -> int:
        """Promotions of a SOAR run: no more than its windows allow."""
        soar = self.config.soar_of(dataset, objective)
        if not self.config.objectives[objective].promotion:
            return 0
        possible = soar.outer_steps // soar.moving_average_window
        return possible if self.upper else min(self.assumed.values.promotions, possible)

    def steps_before_promotion(self, dataset: str, objective: str) -> float:
        """Outer steps with the shorter inner loop: promotions are evenly spaced over the run."""
        steps, promotions = self.config.soar_of(dataset, objective).outer_steps, self.promotions(dataset, objective)
        return steps / (promotions + 1) if promotions else steps

    def student(self, dataset: str, soar: SoarConfig, inner_steps: int) -> Work:
        """One student of the inner loop: trained, examined, its weights kept until the next outer step."""
        units, config = self._units(dataset, "train_soar"), self.config.student
        step = units.student_step(config, config.batch_size * config.group_size, self.student_length)
        exam = units.solutions(self._reward_questions(dataset, soar), self.student_length)
        return step.times(inner_steps) + exam + units.files(2) + Work(students=1)

    def fresh_student(self, arm: str, dataset: str) -> Work:
        """One fresh student, its evaluations on test included; its processes are taken to share time out equally."""
        units, fresh = self._units(dataset, "train_fresh_student"), self.config.fresh_student_of(arm, dataset)
        student = fresh_student_rl(self.config, dataset, arm)
        segments = math.ceil(fresh.steps / fresh.evaluate_every)
        step = units.student_step(student, student.batch_size * student.group_size, self.student_length)
        completions = self._test_completions(dataset)
        evaluation = units.solutions(completions, self.student_length)
        # A checkpoint: weights and AdamW's two moments; the new one is whole before the old one goes.
        save = units.files(3) + Work(scratch=2 * 3 * units.weights)
        rows = parquet_bytes(completions * segments, evaluation.generated * segments)
        start = Work(seconds=units.speed.job_start, students=1, kept=units.weights + rows)
        shared = step.times(fresh.steps) + evaluation.times(segments)
        processes = self.config.processes_of("train_fresh_student")
        return start + shared.taking(shared.seconds / processes) + save.times(segments) + units.files(1)

    def _prepare_base_model(self, job: Job) -> Work:
        units, model = self.units(job.name, job.rule), self.config.models[job.name]
        work = Work(seconds=units.speed.job_start, kept=units.weights) + units.files(1)
        if model.source == "pretrain":
            tokens = PRETRAINING_BATCH * PRETRAINING_TOKENS
            seconds = units.speed.forward(tokens) + units.speed.backward(tokens) + units.speed.optimizer_step()
            work += Work(trained=tokens, seconds=seconds).times(model.pretrain_steps)
        return work

    def _sample_attempts(self, job: Job) -> Work:
        """Blocks of problems go through the rounds; after each, those that were solved are gone."""
        units, pool, rounds = self._units(job.dataset, job.rule), self.pools[job.dataset], self.config.filter.rounds
        problems = pool.problems / self.config.filter.shards
        work = Work(seconds=units.speed.job_start)
        for block, blocks in _blocks(problems, self.config.generation.batch_size):
            for i, samples in enumerate(rounds):
                unsolved = block * pool.rates.unsolved(sum(rounds[:i]))
                work += units.solutions(unsolved * samples, self.base_length).times(blocks)
        completions = problems * pool.attempts(rounds)
        return work + Work(kept=parquet_bytes(completions, work.generated))

    def _train_soar(self, job: Job) -> Work:
        dataset, objective = job.dataset, job.name
        units, soar = self._units(dataset, job.rule), self.config.soar_of(dataset, objective)
        rollouts = soar.datasets * soar.questions_per_dataset
        turns = self.config.objectives[objective].turns
        asked = self._questions(dataset, job.rule, rollouts, turns)
        teacher = asked + units.teacher_step(self.config.teacher, turns * rollouts, self.teacher_length)
        before = self.steps_before_promotion(dataset, objective)
        work = Work(seconds=units.speed.job_start) + (teacher + units.files(CHECKPOINT_SETS)).times(soar.outer_steps)
        samples = reward_samples(self.config.objectives[objective].reward, soar)
        if samples:
            work += units.solutions(rollouts * samples, self.base_length).times(soar.outer_steps)
        else:
            inner, after = soar.inner_steps, soar.inner_steps_after_promotion
            if self.upper:
                inner = max(inner, after)
            work += self._population(dataset, soar, inner).times(before)
            work += self._population(dataset, soar, after).times(soar.outer_steps - before)
        # Greedy accuracy on the whole of train: at the start, and of every promoted student.
        work += units.solutions(self._half(dataset), self.base_length)
        promotions = self.promotions(dataset, objective)
        work += units.solutions(self._half(dataset), self.student_length).times(promotions)
        text = self.teacher_length.tokens(self.config.generation.teacher_max_new_tokens)
        kept = 2 * units.weights + parquet_bytes(rollouts, rollouts * text) * soar.outer_steps
        population = soar.datasets * soar.repeats + 1
        return work + units.files(2) + Work(kept=kept, scratch=(2 * CHECKPOINT_SETS + population) * units.weights)

    def _population(self, dataset: str, soar: SoarConfig, inner_steps: int) -> Work:
        """The students of one outer step, and their baseline's exam."""
        units, students = self._units(dataset, "train_soar"), soar.datasets * soar.repeats
        student = self.student(dataset, soar, inner_steps)
        waves = math.ceil(students / self.parallel_students)
        exam = units.solutions(self._reward_questions(dataset, soar), self.student_length)
        return student.times(students).taking(student.seconds * waves) + exam + units.files(1)

    def _sample_questions(self, job: Job) -> Work:
        units = self._units(job.dataset, job.rule)
        arm = self.config.arms[job.name]
        turns = self.config.objectives[arm.soar_objective].turns if arm.soar_objective else 1
        asked = self._questions(job.dataset, job.rule, arm.questions.size, turns)
        return asked + Work(seconds=units.speed.job_start, kept=parquet_bytes(0, asked.generated))

    def _train_fresh_student(self, job: Job) -> Work:
        if self._without_promotion(job):
            return Work(seconds=self._units(job.dataset, job.rule).speed.job_start)
        return self.fresh_student(job.name, job.dataset)

    def _train_serl(self, job: Job) -> Work:
        """Per step: questions, rollouts until enough groups are kept, one update; test now and then."""
        units, serl, assumed = self._units(job.dataset, job.rule), self.config.serl, self.assumed.values
        rollouts = serl.max_rollouts if self.upper else min(math.ceil(1 / assumed.serl_kept), serl.max_rollouts)
        if serl.style == "numbered_list":
            usable, prompt = assumed.serl_list, units.teacher_prompt + serl.examples * assumed.question_tokens
        else:
            usable, prompt = assumed.acceptance, units.teacher_prompt
        most = serl.max_rounds * rollouts
        asked = math.ceil(rollouts * serl.questions / (serl.prompts_per_round * usable))
        rounds = most if self.upper else min(asked, most)
        step = units.self_play_questions(serl, rounds, prompt, self.teacher_length)
        step += units.self_play_rollout(serl, self.student_length).times(rollouts)
        step += units.self_play_update(serl, self.student_length)
        completions = self._test_completions(job.dataset)
        evaluation = units.solutions(completions, self.student_length).times(len(serl.evaluate_at))
        every = range(serl.checkpoint_every, serl.steps + 1, serl.checkpoint_every)
        checkpoints = units.files(3).times(len({*every, *serl.evaluate_at, serl.steps}))
        rows = parquet_bytes(completions * len(serl.evaluate_at), evaluation.generated)
        start = Work(seconds=units.speed.job_start, students=1, kept=units.weights + rows, scratch=6 * units.weights)
        return start + step.times(serl.steps) + evaluation + checkpoints + units.files(1)

    def _evaluate_policy(self, job: Job) -> Work:
        units = self._units(job.dataset, job.rule)
        start = Work(seconds=units.speed.job_start)
        if self._without_promotion(job):
            return start
        length = self.base_length if self.config.arms[job.name].policy == "base" else self.student_length
        completions = self._test_completions(job.dataset)
        drawn = units.solutions(completions, length)
        return start + drawn + Work(kept=parquet_bytes(completions, drawn.generated))

    def _questions(self, dataset: str, rule: str, count: int, turns: int) -> Work:
        if turns == 2:
            return self._units(dataset, rule).two_turns(count, self.teacher_length)
        max_draws = self.config.teacher.max_draws_per_question
        acceptance = 1 / max_draws if self.upper else self.assumed.values.acceptance
        return self._units(dataset, rule).questions(count, acceptance, max_draws, self.teacher_length)

    def _without_promotion(self, job: Job) -> bool:
        arm = self.config.arms[job.name]
        if not arm.lives_on_promotions:
            return False
        return self.promotions(arm.transfer_from or job.dataset, arm.soar_objective) == 0

    def _units(self, dataset: str, rule: str) -> Units:
        return self.units(self.config.datasets[dataset].model, rule)

    def _half(self, dataset: str) -> float:
        """Problems of train, or of test."""
        return self.pools[dataset].hard(self.config.filter.rounds) / 2

    def _reward_questions(self, dataset: str, soar: SoarConfig) -> float:
        return min(soar.reward_questions, self._half(dataset))

    def _test_completions(self, dataset: str) -> float:
        limit = self.config.evaluation.test_limit or math.inf
        return min(limit, self._half(dataset)) * self.config.evaluation.samples


def reward_samples(reward: str, soar: SoarConfig) -> int:
    """Student completions per question of a reward that trains no students; 0 of one that does.

    A reward of a user's own is taken to train students, the dearer case.
    """
    samples = {
        "learnability": soar.learnability_samples,
        "absolute_zero": soar.absolute_zero_samples,
        "r_zero": soar.r_zero_samples,
    }
    return samples.get(reward, 0)


def _blocks(problems: float, size: int) -> list[tuple[float, float]]:
    """(problems in a block, how many such blocks)."""
    full, rest = divmod(problems, size)
    return [(block, number) for block, number in ((size, full), (rest, 1)) if block and number]
