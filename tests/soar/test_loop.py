"""Algorithm 1, step by step: a scripted teacher, scripted rewards and students whose weights are their names."""

from dataclasses import dataclass, field

import pytest
import torch

from soar_pipeline.config import ObjectiveConfig, SoarConfig
from soar_pipeline.policy.sampling import Completion, Turn
from soar_pipeline.questions import Question
from soar_pipeline.rl.checkpoints import CheckpointFolder
from soar_pipeline.rl.time_limit import OutOfTimeError, TimeLimit
from soar_pipeline.runtime import Tracker
from soar_pipeline.soar.loop import SoarLoop
from soar_pipeline.soar.objective import Objective
from soar_pipeline.soar.questions import TeacherQuestion
from soar_pipeline.soar.rewards import DatasetRewards, RewardContext
from soar_pipeline.soar.state import SoarState
from soar_pipeline.soar.students import StudentResult

BASE = {"weight": torch.tensor([0.0])}
TRAIN = [Question(f"p{i}", f"problem {i}", "1") for i in range(6)]
# Per outer step, R_kj of two datasets with three students each. The window is 2 and the threshold 0.1: steps 1 and 2
# promote at step 2; step 3 alone does not fill the new window; steps 3 and 4 promote at step 4; steps 5 and 6 do not.
REWARDS = [
    [[0.2, 0.0, 0.1], [0.1, 0.1, 0.1]],
    [[0.1, 0.1, 0.1], [0.3, 0.9, 0.6]],
    [[0.9, 0.9, 0.9], [0.9, 0.9, 0.9]],
    [[0.5, 0.3, 0.1], [0.0, 0.0, 0.0]],
    [[-0.1, 0.0, 0.1], [0.0, 0.0, 0.0]],
    [[0.0, 0.0, 0.0], [0.3, 0.3, 0.3]],
]
# Greedy accuracy on train of the baselines, by the step that promoted them.
ACCURACY = {0.0: 0.25, 2.12: 0.75, 2.32: 0.75, 4.01: 0.5}


@dataclass
class ScriptedTeacher:
    updates: list[tuple[int, list[str], list[float]]] = field(default_factory=list)

    def propose(self, step, question_ids):
        return [
            TeacherQuestion(Question(name, f"question {name}", "1"), (Turn("?", Completion("text", 4, False)),))
            for name in question_ids
        ]

    def update(self, step, written, dataset_rewards):
        self.updates.append((step, [item.question.question_id for item in written], dataset_rewards))
        return 0.5

    def state(self):
        weights = {"weight": torch.tensor([float(len(self.updates))])}
        return weights, {"weight/step": weights["weight"].clone()}

    def restore(self, weights, optimizer_state):
        self.restored = float(weights["weight"])


class ScriptedStudents:
    """A trained student's weight says when it was trained, on what, and which repeat it was: step.dataset repeat."""

    step = 0

    def weights(self, result):
        return {"weight": torch.tensor([self.step + result.dataset_index / 10 + result.repeat / 100])}


class ScriptedEvaluator:
    def set_weights(self, weights):
        self.weight = round(float(weights["weight"]), 2)

    def greedy_accuracy(self, questions):
        assert questions == TRAIN
        return ACCURACY[self.weight]


def soar_run(
    folder,
    promotion: bool = True,
    outer_steps: int = len(REWARDS),
    sampled_teacher_step: int | None = None,
    groups: int = 1,
    of_step: list = REWARDS,
    limit: TimeLimit | None = None,
    checkpoint_every: int = 1,
    promote_from: str = "step",
) -> tuple[SoarLoop, list]:
    """A run, and the steps that its reward was shown."""
    students, evaluator, steps = ScriptedStudents(), ScriptedEvaluator(), []

    def scripted(step, context):
        steps.append(step)
        students.step = step.number
        rewards = of_step[step.number - 1]
        results = [StudentResult(k, j, 0.0, R, 1.0, 10) for k, of_k in enumerate(rewards) for j, R in enumerate(of_k)]
        return DatasetRewards([sum(of_k) / 3 for of_k in rewards], results)

    soar = SoarConfig(
        outer_steps=outer_steps,
        sampled_teacher_step=sampled_teacher_step,
        datasets=2,
        groups=groups,
        questions_per_dataset=2,
        repeats=3,
        reward_questions=4,
        promotion_threshold=0.1,
        moving_average_window=2,
        checkpoint_every=checkpoint_every,
        promote_from=promote_from,
    )
    objective = ObjectiveConfig(reward="mine.py:mine", promotion=promotion)
    context = RewardContext(students, evaluator, None, soar, 0)
    run = SoarLoop(
        config=soar,
        name="t1",
        seed=0,
        teacher=ScriptedTeacher(),
        objective=Objective("own", objective, scripted, context),
        students=students,
        evaluator=evaluator,
        train=TRAIN,
        folder=CheckpointFolder(folder),
        tracker=Tracker((), "soar", folder),
        limit=limit or TimeLimit(60),
    )
    return run, steps


def ids(step: int, dataset: int) -> list[str]:
    return [f"t1-{step:03d}-{dataset}-{i:03d}" for i in range(2)]


def test_promotions_replace_the_baseline_and_their_datasets_make_up_d_best(tmp_path):
    run, steps = soar_run(tmp_path)
    final = run.run(run.first_state(BASE))
    # The second dataset's median student at step 2, the first one's at step 4.
    assert [(row["outer_step"], row["dataset_index"], row["repeat"]) for row in final.record.promotions] == [
        (2, 1, 2),
        (4, 0, 1),
    ]
    assert [question.question_id for question in final.D_best] == ids(2, 1) + ids(4, 0)
    baselines = [round(float(step.baseline["weight"]), 2) for step in steps]
    assert baselines == [0, 0, 2.12, 2.12, 4.01, 4.01]
    assert [step.stage for step in steps] == [0, 0, 1, 1, 2, 2]
    # The second baseline answers less of train than the first.
    assert float(final.best_student["weight"]) == pytest.approx(2.12)
    assert [row["baseline_train_accuracy"] for row in final.record.steps] == [0.25, 0.25, 0.75, 0.75, 0.5, 0.5]
    averages = [row["moving_average"] for row in final.record.steps]
    assert averages == [None, pytest.approx(0.225), None, pytest.approx(0.525), None, pytest.approx(0.075)]


def test_the_teacher_is_updated_at_every_step_by_the_rewards_of_its_datasets(tmp_path):
    run, steps = soar_run(tmp_path)
    final = run.run(run.first_state(BASE))
    assert run.teacher.updates == [
        (t, ids(t, 0) + ids(t, 1), [pytest.approx(sum(of_k) / 3) for of_k in REWARDS[t - 1]]) for t in range(1, 7)
    ]
    assert float(final.teacher["weight"]) == 6
    for step in steps:
        assert [[question.question_id for question in dataset] for dataset in step.datasets] == [
            ids(step.number, 0),
            ids(step.number, 1),
        ]
        assert len(set(step.reward_questions)) == 4
        assert set(step.reward_questions) <= set(TRAIN)
    assert len({tuple(step.reward_questions) for step in steps}) > 1
    assert [row["dataset_reward"] for row in final.record.questions[4:8]] == [
        pytest.approx(R) for R in (0.1, 0.1, 0.6, 0.6)
    ]


def test_promotion_looks_at_the_datasets_of_all_groups_and_a_signal_lies_within_one(tmp_path):
    # The mean over all four datasets promotes at step 2, and no longer at step 4; the first group alone never would.
    first, second = [[0.0] * 3, [0.0] * 3], [[0.3] * 3, [0.5, 0.9, 0.7]]
    of_step = [first + second, first + second, first + [[0.1] * 3] * 2, first + [[0.1] * 3] * 2]
    run, steps = soar_run(tmp_path, outer_steps=4, groups=2, of_step=of_step)
    final = run.run(run.first_state(BASE))
    assert [len(step.datasets) for step in steps] == [4] * 4
    assert [(row["outer_step"], row["dataset_index"], row["repeat"]) for row in final.record.promotions] == [(2, 3, 2)]
    assert [question.question_id for question in final.D_best] == ids(2, 3)
    assert [row["mean_reward"] for row in final.record.steps] == [pytest.approx(R) for R in (0.25, 0.25, 0.05, 0.05)]
    # From step 3 on the groups differ, and the datasets of a group do not.
    assert [row["signal"] for row in final.record.steps] == [True, True, False, False]
    assert run.teacher.updates[0][2] == [pytest.approx(R) for R in (0, 0, 0.3, 0.7)]


# Both windows exceed the threshold by their first step, whose students are better than those of the second.
EARLY = [
    [[0.9, 0.5, 0.7], [0.0] * 3],
    [[0.0, 0.0, 0.0], [0.0] * 3],
    [[0.0, 0.0, 0.0], [-0.9] * 3],
    [[0.0, 0.0, 0.0], [0.6] * 3],
    [[0.0, 0.0, 0.0], [0.0] * 3],
]


@pytest.mark.parametrize(
    ("promote_from", "promoted"),
    [
        ("step", [(2, 2, 0, 1, 0.0), (5, 5, 0, 1, 0.0)]),
        ("window", [(2, 1, 0, 2, 0.7), (5, 4, 1, 1, 0.6)]),
    ],
)
@pytest.mark.parametrize("killed_after", [None, 1, 4])
def test_a_student_of_the_window_may_be_promoted(tmp_path, monkeypatch, promote_from, promoted, killed_after):
    monkeypatch.setattr("test_loop.ACCURACY", {0.0: 0.25, 2.01: 0.0, 1.02: 0.75, 5.01: 0.25, 4.11: 0.5})
    choices = {"of_step": EARLY, "promote_from": promote_from, "outer_steps": len(EARLY)}
    if killed_after:
        killed, _ = soar_run(tmp_path, **choices)
        killed.config = killed.config.model_copy(update={"outer_steps": killed_after})
        killed.run(killed.first_state(BASE))
    run, _ = soar_run(tmp_path, **choices)
    final = run.run(SoarState.of(run.folder.load()) if killed_after else run.first_state(BASE))
    rows = final.record.promotions
    names = ("outer_step", "student_step", "dataset_index", "repeat", "dataset_reward")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (*one[:4], pytest.approx(one[4])) for one in promoted
    ]
    assert [question.question_id for question in final.D_best] == [name for one in promoted for name in ids(*one[1:3])]
    assert (rows[0]["baseline_train_accuracy"], rows[0]["train_accuracy"]) == (
        0.25,
        {"step": 0.0, "window": 0.75}[promote_from],
    )


def test_without_promotion_the_baseline_stays_and_d_best_is_empty(tmp_path):
    run, steps = soar_run(tmp_path, promotion=False)
    final = run.run(run.first_state(BASE))
    assert (final.D_best, final.stage, final.record.promotions) == ([], 0, [])
    assert {float(step.baseline["weight"]) for step in steps} == {0.0}


@pytest.mark.parametrize(("sampled", "step"), [(None, 6), (4, 4), (6, 6)])
@pytest.mark.parametrize("killed_after", [3, 4, 5])
def test_questions_are_sampled_from_the_teacher_of_one_step_and_promotions_are_of_all(
    tmp_path, sampled, step, killed_after
):
    killed, _ = soar_run(tmp_path, sampled_teacher_step=sampled)
    killed.config = killed.config.model_copy(update={"outer_steps": killed_after})
    killed.run(killed.first_state(BASE))
    run, _ = soar_run(tmp_path, sampled_teacher_step=sampled)
    # Scripted teachers say how many updates they had.
    run.teacher.updates = [None] * killed_after
    final = run.run(SoarState.of(run.folder.load()))
    assert float(final.teacher_to_sample["weight"]) == step
    assert float(final.teacher["weight"]) == 6
    assert [row["outer_step"] for row in final.record.promotions] == [2, 4]


def test_a_state_is_resumed_from_its_checkpoint(tmp_path):
    run, _ = soar_run(tmp_path / "uninterrupted")
    expected = run.run(run.first_state(BASE)).checkpoint()
    begun, _ = soar_run(tmp_path / "resumed", outer_steps=3)
    begun.run(begun.first_state(BASE))
    resumed, steps = soar_run(tmp_path / "resumed")
    state = SoarState.of(resumed.folder.load())
    final = resumed.run(state).checkpoint()
    assert resumed.teacher.restored == 3
    assert [step.number for step in steps] == [4, 5, 6]
    for rows in (expected.record["record"]["steps"], final.record["record"]["steps"]):
        for row in rows:
            row["seconds"] = 0.0
    assert final.record == expected.record
    assert torch.equal(final.weights["best_student"]["weight"], expected.weights["best_student"]["weight"])


class OverAfter:
    """A time limit that is over after so many steps."""

    def __init__(self, steps: int):
        self.left = steps
        self.stop = TimeLimit(60).stop

    def is_over(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_a_run_whose_time_is_over_has_saved_the_step_that_it_was_at(tmp_path):
    run, _ = soar_run(tmp_path, checkpoint_every=4, limit=OverAfter(3))
    with pytest.raises(OutOfTimeError, match=r"stopped after outer step 3 of 6.*the same command"):
        run.run(run.first_state(BASE))
    assert SoarState.of(run.folder.load()).step == 3
    last, _ = soar_run(tmp_path / "last", limit=OverAfter(6))
    assert last.run(last.first_state(BASE)).step == 6


def test_checkpoints_are_as_far_apart_as_configured_and_the_last_step_has_one(tmp_path):
    run, saved = soar_run(tmp_path, checkpoint_every=4, sampled_teacher_step=3)[0], []
    save = run.folder.save
    run.folder.save = lambda checkpoint: (saved.append(checkpoint.step), save(checkpoint))
    final = run.run(run.first_state(BASE))
    assert saved == [4, 6]
    assert float(final.teacher_to_sample["weight"]) == 3
