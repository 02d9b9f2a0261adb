"""The campaign of kills itself: whom it kills, and what it calls a difference."""

import json
from collections import Counter

from campaign import IN_ONE_RUN, DisturbedRun, Target, summary, targets
from pipeline_processes import KINDS, ROOT, START, Pipeline, Role
from run_contents import contents, differences

from soar_pipeline.artifacts.files import table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import SOAR_QUESTIONS, STUDENTS

STAGES = ["sample", "train", "report"]
LIVES = {
    Role("snakemake", START): 2.0,
    **{Role("stage", stage): 5.0 for stage in STAGES},
    Role("grading worker", "sample"): 3.0,
    Role("grading worker", "train"): 3.0,
    Role("pool worker", "train"): 4.0,
}


def test_kills_are_spread_over_kinds_and_stages():
    hits = Counter()
    for number in range(20):
        run = DisturbedRun(number, on_ray=number % 2 == 1)
        drawn = targets(run, LIVES, hits, limit=100)
        assert Counter(target.kind for target in drawn) == {
            kind: count for kind, count in IN_ONE_RUN.items() if kind != ("pool worker" if run.on_ray else "Ray actor")
        }
        hits += Counter((target.kind, target.stage) for target in drawn)
    assert {kind for kind, _ in hits} == set(KINDS)
    for kind, stages in (("snakemake", [START, *STAGES]), ("stage", STAGES), ("grading worker", ["sample", "train"])):
        counts = [hits[kind, stage] for stage in stages]
        assert max(counts) - min(counts) <= 1


def test_no_more_is_killed_than_asked_for():
    assert len(targets(DisturbedRun(0, on_ray=False), LIVES, Counter(), limit=2)) == 2


def test_a_run_is_compared_without_what_measures_time(tmp_path):
    run = {"dataset": "shuffles", "objective": "grounded", "teacher_seed": 1}

    def made(folder, seconds, question):
        folder.mkdir()
        (folder / "benchmarks").mkdir()
        (folder / "benchmarks" / "job.tsv").write_text(str(seconds))
        if seconds == 1.0:
            (folder / ".snakemake_timestamp").touch()
        student = {"outer_step": 1, "dataset_index": 0, "repeat": 0, "tokens": 1, "seconds": seconds}
        accuracies = dict.fromkeys(("baseline_accuracy", "trained_accuracy", "reward"), 0.5)
        write_parquet(
            folder / "students.parquet", table([student | accuracies], STUDENTS, **run), Provenance("made", {})
        )
        asked = {"question_id": "q", "outer_step": 0, "dataset_index": 0, "question": question, "answer": "1"}
        asked |= {"completion": "", "dataset_reward": None, "rejected_before": 0}
        write_parquet(folder / "questions.parquet", table([asked], SOAR_QUESTIONS, **run), Provenance("made", {}))
        (folder / "provenance.json").write_text(json.dumps({"config": {"resources": seconds}, "inputs": {}}))
        return contents(folder)

    expected = made(tmp_path / "one", 1.0, "same")
    assert differences(expected, made(tmp_path / "two", 2.0, "same")) == []
    assert differences(expected, made(tmp_path / "three", 1.0, "other")) == ["differs: questions.parquet"]
    (tmp_path / "two" / ".students.parquet.x.part").touch()
    (tmp_path / "two" / "provenance.json").unlink()
    assert differences(expected, contents(tmp_path / "two")) == [
        "missing: provenance.json",
        "stray: .students.parquet.x.part",
    ]


def test_the_summary_counts_kills_by_stage_and_runs_by_executor():
    runs = [
        DisturbedRun(0, False, [Target("stage", "train", 1.0), Target("snakemake", START, 0.5)], commands=3, resumed=1),
        DisturbedRun(1, True, [Target("Ray actor", "train", 1.0)], commands=1, wrong=["missing: x"]),
    ]
    lines = summary(runs, [START, *STAGES]).splitlines()
    assert "| train |  | 1 |  | 1 |  |" in lines
    assert "| all | 1 | 1 | 0 | 1 | 0 |" in lines
    assert lines[-2:] == ["| pool of processes | 1 | 2 | 3 | 0 | 1 | 0 |", "| Ray | 1 | 1 | 1 | 0 | 0 | 1 |"]


def test_kills_may_wait_for_a_checkpoint(tmp_path):
    lives = {role: life for role, life in LIVES.items() if role.stage == "train"}
    drawn = targets(DisturbedRun(0, on_ray=False), lives, Counter(), limit=100, after_checkpoint=True)
    assert {target.stage for target in drawn} == {"train"}
    assert all(target.after_checkpoint for target in drawn)
    pipeline = Pipeline(tmp_path, ROOT / "config" / "smoke.yaml", cores=1)
    state = pipeline.results / "shuffles/soar/grounded/t1/state"
    state.mkdir(parents=True)
    assert not pipeline.has_checkpoint("train_soar")
    (state / "current").touch()
    assert pipeline.has_checkpoint("train_soar")
    assert not pipeline.has_checkpoint("train_serl")
