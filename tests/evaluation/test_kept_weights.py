"""Trainings that keep weights: the stage that evaluates them samples what the training would have sampled."""

import pytest
from small_runs import RUN, StudentRun

from soar_pipeline.config import Settings, TrackingConfig
from soar_pipeline.evaluation import heldout
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.write_schedule import write_schedule

KEPT = ("evaluated", "model")


@pytest.fixture
def training(smoke, base_model, hard_problems, tmp_path) -> StudentRun:
    config = smoke.model_copy(update={"tracking": TrackingConfig(report_to=())})
    schedule = tmp_path / "schedule.parquet"
    settings = Settings.of(config, "write_schedule", RUN)
    call_stage(write_schedule, settings, RUN, train=hard_problems, questions=[], schedule=schedule)
    return StudentRun(config, base_model, schedule, hard_problems, tmp_path / "run")


def in_type(run: StudentRun, dtype: str) -> StudentRun:
    models = {name: model.model_copy(update={"dtype": dtype}) for name, model in run.config.models.items()}
    return StudentRun(run.config.model_copy(update={"models": models}), *list(vars(run).values())[1:])


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize(("dtype", "lora"), [("float32", None), ("bfloat16", None), ("float32", 4)])
def test_attempts_by_kept_weights_are_those_of_the_training(dtype, lora, training, tmp_path):
    run = in_type(training, dtype).with_fresh_student(lora_rank=lora)
    kept = run.at(tmp_path / "kept").run()
    assert {path.suffix for path in (kept.folder / "evaluated").iterdir()} == {".safetensors"}
    curve, attempts = kept.evaluated()
    sampled = run.at(tmp_path / "sampled").with_evaluation(keep_weights=False).run()
    expected_curve, expected = sampled.evaluated()
    assert attempts == expected
    assert without_seconds(curve) == without_seconds(expected_curve)
    assert [row["step"] for row in curve if row["pass_at_1"] is not None] == [2, 4]
    assert kept.digests()["model"] == sampled.digests()["model"]
    if lora:
        # Two sets of adapters are smaller than one model.
        small, model = (sum(file.stat().st_size for file in (kept.folder / name).iterdir()) for name in KEPT)
        assert small < model


def test_other_evaluation_keys_are_no_other_training_if_weights_are_kept(training):
    def identity(run: StudentRun) -> str:
        return Settings.of(run.config, "train_fresh_student", RUN).identity

    assert identity(training) == identity(training.with_evaluation(samples=4))
    sampling = training.with_evaluation(keep_weights=False)
    assert identity(training) != identity(sampling) != identity(sampling.with_evaluation(keep_weights=False, samples=4))


def test_a_killed_evaluation_goes_on_after_the_last_step_it_had_sampled(training, monkeypatch):
    run = training.run()
    sampled = []
    keep = heldout.AttemptsOnTest.keep

    def killed_at_the_second(tests, step):
        if len(sampled) == 1:
            raise KeyboardInterrupt
        sampled.append(step)
        keep(tests, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(heldout.AttemptsOnTest, "keep", killed_at_the_second)
        run.evaluated()
    assert sampled == [2]
    with monkeypatch.context() as patch:
        patch.setattr(heldout.AttemptsOnTest, "keep", lambda tests, step: (sampled.append(step), keep(tests, step)))
        _, attempts = run.evaluated()
    assert sampled == [2, 4]
    assert {row["step"] for row in attempts} == {2, 4}
    assert [path.name for path in run.state.iterdir()] == ["lock"]
