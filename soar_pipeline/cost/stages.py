"""What one job of each rule costs: the arithmetic of the stage, over the units of work."""

import math
from dataclasses import replace

from soar_pipeline.config import INTRINSIC_REWARDS, SoarConfig
from soar_pipeline.config.items import (
    Item,
    Model,
    QuestionSet,
    SerlRun,
    Shard,
    SoarRun,
    StudentRun,
)
from soar_pipeline.cost.machine import MODEL_RULES, Machine
from soar_pipeline.cost.work import Text, UnitCosts, Work, batches_of, parquet_bytes

# Of a pretraining step: sequences times tokens of each (policy/toy_model.py).
PRETRAINING_TOKENS = 96 * 60


class JobCosts:
    """Work of any job, in a method by its rule's name; `upper`: every bound on it reached."""

    def __init__(self, machine: Machine, *, upper: bool = False):
        self.machine, self.config, self.upper, self.pools = machine, machine.config, upper, machine.pools
        if upper:
            self.pools = {name: replace(pool, solve_rate=None) for name, pool in machine.pools.items()}

    def job(self, rule: str, item: Item) -> Work:
        """Of one job of the plan, its start included; its seeds make no difference."""
        # Without weights to evaluate, the evaluation of a training collects its attempts and runs no model.
        collects = rule in ("evaluate_student", "evaluate_serl") and not self.config.evaluation.keep_weights
        if rule not in MODEL_RULES or collects:
            return Work(seconds=self.machine.plumbing_seconds)
        model = item.model if isinstance(item, Model) else self.config.datasets[item.dataset].model
        units = self.machine.units(model, rule, upper=self.upper)
        return Work(seconds=units.speed.job_start_seconds) + getattr(self, rule)(units, item)

    def prepare_base_model(self, units: UnitCosts, item: Model) -> Work:
        work, model = units.files(units.model) + Work(kept=units.model), self.config.models[item.model]
        if model.source == "pretrain":
            optimizer = Work(trained=PRETRAINING_TOKENS, seconds=units.speed.optimizer_seconds)
            work += (units.passes(PRETRAINING_TOKENS, PRETRAINING_TOKENS) + optimizer) * model.pretrain_steps
        return work

    def sample_attempts(self, units: UnitCosts, item: Shard) -> Work:
        """Blocks of problems go through the rounds; after each, those that were solved are gone."""
        pool, rounds, work = self.pools[item.dataset], self.config.filter.rounds, Work()
        problems = pool.problems / self.config.filter.shards
        for block, blocks in batches_of(problems, self.config.generation.batch_size):
            for i, samples in enumerate(rounds):
                left = block * pool.unsolved(sum(rounds[:i]))
                work += units.answers(left * samples, units.base, group=samples) * blocks
        return work + Work(kept=parquet_bytes(problems * pool.attempts(rounds), work.generated))

    def train_soar(self, units: UnitCosts, item: SoarRun) -> Work:
        """Per outer step: questions, their rewards, the teacher's update and a checkpoint."""
        soar, objective = self.config.soar_of(item.dataset, item.objective), self.config.objectives[item.objective]
        rollouts = soar.datasets_per_step * soar.questions_per_dataset
        promotions = self.promotions(item.dataset, item.objective)
        turns = objective.turns * rollouts
        # The process that holds the teacher waits while students train, and they while it works.
        model = self.config.datasets[item.dataset].model
        driver = self.machine.units(model, "train_soar", upper=self.upper, shared=self.machine.teacher_shares)
        step = self._questions(driver, rollouts, objective.turns)
        step += units.update(self.config.teacher, turns, turns, units.teacher)
        # Of the teacher's training, baseline and best student.
        checkpoint = units.state + 2 * units.weights
        from_window = objective.promotion and soar.promote_from == "window"
        if from_window:
            # A candidate of every step of the window, at most.
            checkpoint += soar.promotion_steps * units.weights
        checkpoints = math.ceil(soar.outer_steps / soar.checkpoint_every)
        work = step * soar.outer_steps + units.files(checkpoint) * checkpoints
        if soar.sampled_teacher_step is not None:
            # From that step on each checkpoint holds this teacher too.
            checkpoint += units.weights
            left = soar.outer_steps + 1 - soar.sampled_teacher_step
            work += units.files(units.weights) * math.ceil(left / soar.checkpoint_every)
        # A reward of the user's own is taken to train students, the dearer case.
        if objective.reward in INTRINSIC_REWARDS:
            samples = getattr(soar, INTRINSIC_REWARDS[objective.reward])
            work += driver.answers(rollouts * samples, units.base, group=samples) * soar.outer_steps
        else:
            # Promotions are evenly spaced over the run.
            before = soar.outer_steps / (promotions + 1)
            first, later = soar.inner_steps, soar.inner_steps_after_promotion
            work += self._students(units, driver, item, soar, max(first, later) if self.upper else first) * before
            work += self._students(units, driver, item, soar, later) * (soar.outer_steps - before)
            # A baseline is written once and read by every worker; a student that may become it, by its worker and here.
            handed_over = soar.outer_steps if from_window else promotions
            work += units.files(2 * units.weights) * (1 + promotions + handed_over)
        # Greedy accuracy on the whole of train: at the start, and of every promoted student.
        half, base, student = self._half(item.dataset), units.base, units.student
        work += driver.answers(half, base) + driver.answers(half, student) * promotions + units.files(2 * units.model)
        kept = 2 * units.model + parquet_bytes(rollouts, rollouts * units.teacher.mean) * soar.outer_steps
        return work + Work(kept=kept, scratch=2 * checkpoint + 2 * units.weights)

    def _students(self, units: UnitCosts, driver: UnitCosts, item: SoarRun, soar: SoarConfig, inner_steps: int) -> Work:
        """The students of one outer step, each trained and evaluated, and the evaluation of their baseline."""
        number, questions = soar.datasets_per_step * soar.repeats, min(soar.reward_questions, self._half(item.dataset))
        samples = soar.reward_samples or 1
        training = units.student_step(self.config.student) * inner_steps
        # In its first step a student is the reference itself.
        training += units.reference_pass(self.config.student) * -1
        student = training + units.answers(questions * samples, units.student, group=samples) + Work(students=1)
        waves = math.ceil(number / self.machine.parallel_students)
        baseline = driver.answers(questions * samples, units.student, group=samples)
        return replace(student * number, seconds=student.seconds * waves) + baseline

    def sample_questions(self, units: UnitCosts, item: QuestionSet) -> Work:
        arm = self.config.arms[item.arm]
        turns = self.config.objectives[arm.soar_objective].turns if arm.soar_objective else 1
        questions = self._questions(units, arm.questions.size, turns)
        return questions + Work(kept=parquet_bytes(0, questions.generated))

    def train_fresh_student(self, units: UnitCosts, item: StudentRun) -> Work:
        """One fresh student; its processes are taken to share time out equally."""
        if self._without_promotion(item):
            return Work()
        fresh = self.config.fresh_student_of(item.arm, item.dataset)
        work = units.student_step(self.config.student_of(item.arm, item.dataset)) * fresh.steps
        segments = self._segments(item)
        # Adapters are small.
        weights = units.model if fresh.lora_rank is None else 0
        work += self._kept_for_test(units, item.dataset, segments, weights)
        seconds = work.seconds / self.config.processes_of("train_fresh_student")
        return replace(work, seconds=seconds) + self._files(units, segments)

    def evaluate_student(self, units: UnitCosts, item: StudentRun) -> Work:
        return Work() if self._without_promotion(item) else self._test_kept(units, item.dataset, self._segments(item))

    def _segments(self, item: StudentRun) -> int:
        fresh = self.config.fresh_student_of(item.arm, item.dataset)
        return math.ceil(fresh.steps / fresh.evaluate_every)

    def _kept_for_test(self, units: UnitCosts, dataset: str, times: int, weights: float) -> Work:
        """What a training does for its evaluations: keep weights, or sample the attempts itself."""
        if self.config.evaluation.keep_weights:
            return units.files(weights * times) + Work(kept=weights * times)
        return self._test(units, dataset, units.student, times)

    def _test_kept(self, units: UnitCosts, dataset: str, times: int) -> Work:
        """The evaluations of a training that kept its weights."""
        return units.files(units.model * (1 + times)) + self._test(units, dataset, units.student, times)

    def train_serl(self, units: UnitCosts, item: SerlRun) -> Work:
        """Per step: questions, rollouts until enough groups are kept, one update; test now and then."""
        serl, assumed = self.config.serl, self.machine.assumed
        rollouts = serl.max_rollouts if self.upper else min(math.ceil(1 / assumed.serl_kept), serl.max_rollouts)
        usable, examples = assumed.acceptance, 0
        if serl.style == "numbered_list":
            usable, examples = assumed.serl_list, serl.examples * assumed.question_tokens
        rounds = most = serl.max_rounds * rollouts
        if not self.upper:
            rounds = min(math.ceil(rollouts * serl.questions / (serl.prompts_per_round * usable)), most)
        training = units.self_play_step(serl, rounds, rollouts, examples) * serl.steps
        tests = self._kept_for_test(units, item.dataset, len(serl.evaluate_at), units.model)
        every = range(serl.checkpoint_every, serl.steps + 1, serl.checkpoint_every)
        return training + tests + self._files(units, len({*every, *serl.evaluate_at, serl.steps}))

    def evaluate_serl(self, units: UnitCosts, item: SerlRun) -> Work:
        return self._test_kept(units, item.dataset, len(self.config.serl.evaluate_at))

    def evaluate_policy(self, units: UnitCosts, item: StudentRun) -> Work:
        text = units.base if self.config.arms[item.arm].policy == "base" else units.student
        return Work() if self._without_promotion(item) else self._test(units, item.dataset, text)

    def _test(self, units: UnitCosts, dataset: str, text: Text, times: int = 1) -> Work:
        """Evaluations on test; their completions are kept."""
        limit = self.config.evaluation.test_limit or math.inf
        completions = min(limit, self._half(dataset)) * self.config.evaluation.samples
        work = units.answers(completions, text, group=self.config.evaluation.samples) * times
        return work + Work(kept=parquet_bytes(completions * times, work.generated))

    def _files(self, units: UnitCosts, checkpoints: int) -> Work:
        """The files of a training: its base model, checkpoints, and the model that stays."""
        # A new checkpoint is complete before the old one goes.
        kept = Work(students=1, kept=units.model, scratch=2 * units.state)
        return kept + units.files(units.model + checkpoints * units.state)

    def _questions(self, units: UnitCosts, count: int, turns: int) -> Work:
        max_draws = self.config.teacher.max_draws_per_question
        acceptance = 1 / max_draws if self.upper else self.machine.assumed.acceptance
        return units.questions(count, turns, acceptance, max_draws)

    def promotions(self, dataset: str, objective: str) -> int:
        """Promotions of a SOAR run: no more than its windows allow."""
        soar = self.config.soar_of(dataset, objective)
        possible = soar.outer_steps // soar.moving_average_window if self.config.objectives[objective].promotion else 0
        return possible if self.upper else min(self.machine.assumed.promotions, possible)

    def _without_promotion(self, item: StudentRun) -> bool:
        arm = self.config.arms[item.arm]
        return arm.needs_promotion and not self.promotions(arm.transfer_from or item.dataset, arm.soar_objective)

    def _half(self, dataset: str) -> float:
        """Problems of train, or of test."""
        return self.pools[dataset].hard(self.config.filter.rounds) / 2
