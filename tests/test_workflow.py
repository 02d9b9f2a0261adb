"""The workflow's plan: what would be made, from which configuration, without making it."""

import re
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT, SHIPPED, changed_config, job_counts, planned_jobs, snakemake

from soar_pipeline.config import ConfigError, load

SMOKE = ROOT / "config" / "smoke.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with stand-ins for the data and the model that a dry run only looks for."""
    (tmp_path / "data").mkdir()
    for name in ("math_test.jsonl", "math_train.jsonl", "HARP.jsonl.zip", "OE_TO_maths_en_COMP.parquet"):
        (tmp_path / "data" / name).touch()
    (tmp_path / "resources" / "models" / "digit-shuffles").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("config", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_plans_its_whole_run(config: Path, folder: Path):
    settings = load(config)
    runs = {
        name: len(settings.datasets_of(name)) * len(settings.teacher_seeds(name)) * len(settings.student_seeds(name))
        for name in settings.arms
    }
    students = sum(count for name, count in runs.items() if settings.arms[name].policy == "fresh_student")
    serl = sum(count for name, count in runs.items() if settings.arms[name].policy == "serl")

    jobs = planned_jobs(folder, "--configfile", config)

    assert jobs["train_soar"] == len(settings.soar_runs())
    assert jobs["train_fresh_student"] == jobs["write_schedule"] == students
    assert jobs["select_evaluation"] == students + serl
    assert jobs["sample_attempts"] == len(settings.datasets) * settings.filter.shards
    assert jobs["write_report"] == 1


def test_without_configfile_the_embedded_world_is_planned(folder: Path):
    assert planned_jobs(folder) == planned_jobs(folder, "--configfile", ROOT / "config" / "config.yaml")


def test_a_configfile_is_whole_and_takes_nothing_from_the_embedded_world(folder: Path):
    done = snakemake(folder, "--dry-run", "--printshellcmds", "--configfile", ROOT / "config" / "paper.yaml")

    assert "shuffles" not in done.stdout + done.stderr


def test_command_line_overrides_one_key_of_a_configfile(folder: Path):
    data = folder / "rows.jsonl"
    data.touch()
    (folder / "data" / "math_test.jsonl").unlink()
    override = f"datasets={{math: {{path: {data}}}}}"

    done = snakemake(folder, "-n", "-p", "--configfile", ROOT / "config" / "smollm.yaml", "--config", override)

    assert done.returncode == 0
    [used] = set(re.findall(r'"adapter":"math","path":"[^"]*"', done.stdout + done.stderr))
    assert used == f'"adapter":"math","path":"{data}"'
    assert '"subjects":["Prealgebra","Algebra"]' in done.stdout + done.stderr


def test_command_line_overrides_one_key_of_the_embedded_world(folder: Path):
    done = snakemake(folder, "--dry-run", "--config", "run=other", "filter={shards: 3}")

    assert done.returncode == 0
    assert "results/other/shuffles/attempts/2.parquet" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("target", "last_rule", "not_needed"),
    [
        ("results/smoke/shuffles/hard.parquet", "filter_hard", "train_soar"),
        ("results/smoke/shuffles/soar/intrinsic/t1/steps.parquet", "train_soar", "train_fresh_student"),
        ("results/smoke/shuffles/questions/soar_pq/t1.parquet", "extract_promotion_questions", "sample_questions"),
        ("results/smoke/shuffles/questions/base_t/t1.parquet", "sample_questions", "train_soar"),
        ("results/smoke/shuffles/evaluation/hard_only/t0-s1.parquet", "select_evaluation", "evaluate_policy"),
        ("results/smoke/shuffles/evaluation/soar_ps/t1-s2.parquet", "evaluate_policy", "select_evaluation"),
        ("results/smoke/tables/passk.csv", "make_tables", "draw_figure"),
        ("results/smoke/tables/table4_math.md", "shape_tables", "draw_figure"),
        ("results/smoke/figures/improvement.svg", "draw_figure", "shape_tables"),
        # A figure of SOAR runs waits for no fresh student.
        ("results/smoke/figures/teacher_reward.svg", "draw_figure", "train_fresh_student"),
    ],
)
def test_any_stage_is_made_by_naming_its_file(target: str, last_rule: str, not_needed: str, folder: Path):
    jobs = planned_jobs(folder, target, "--configfile", SMOKE)

    assert jobs[last_rule] == 1
    assert not_needed not in jobs
    assert "write_report" not in jobs


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"soar.outer_stepz": 3}, "soar.outer_stepz"),
        ({"seeds.teacher": "many"}, "seeds.teacher"),
        ({"arms.soar_ps.objective": "missing"}, "arms.soar_ps"),
        ({"prompts.teacher": "nowhere.txt"}, "prompts.teacher"),
        ({"datasets.shuffles.adapter": "math", "datasets.shuffles.path": "gone.jsonl"}, "datasets.shuffles.path"),
    ],
)
def test_a_bad_config_is_one_line_that_names_file_and_key(changes: dict[str, object], key: str, folder: Path):
    config = changed_config(folder, "smoke.yaml", changes)

    done = snakemake(folder, "--dry-run", "--configfile", config)

    [line] = [line for line in (done.stdout + done.stderr).splitlines() if key in line and "Command:" not in line]
    assert done.returncode != 0
    assert line.startswith(f"{config.name}: ")
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_elsewhere_uses_the_prompts_of_the_project(folder: Path):
    done = snakemake(folder, "--dry-run", "--printshellcmds", "--configfile", SMOKE)

    assert "<student>{question}<answer_here>" in done.stdout + done.stderr


def test_prompts_of_the_working_directory_come_first(folder: Path):
    (folder / "resources" / "prompts").mkdir()
    (folder / "resources" / "prompts" / "embedded_student.txt").write_text("mine: {question}", encoding="utf-8")

    done = snakemake(folder, "--dry-run", "--printshellcmds", "--configfile", SMOKE)

    assert "mine: {question}" in done.stdout + done.stderr


SLURM_PROFILE = ROOT / "workflow" / "profiles" / "slurm"


def resources_by_rule(output: str) -> dict[str, set[str]]:
    """What a dry run says that a job of each rule asks for: `name=value`."""
    asked = re.findall(r"^rule (\w+):$.*?^ +resources: (.*?)$", output, re.DOTALL | re.MULTILINE)
    return {rule: set(resources.split(", ")) for rule, resources in asked}


def test_the_slurm_profile_says_where_and_the_config_how_much(folder: Path):
    target = "results/single_gpu/math/soar/grounded/t1/steps.parquet"
    config = ROOT / "config" / "single_gpu.yaml"
    done = snakemake(folder, target, "--dry-run", "--profile", SLURM_PROFILE, "--configfile", config)

    assert done.returncode == 0, done.stdout + done.stderr
    asked = resources_by_rule(done.stdout + done.stderr)
    assert "slurm_partition=YOUR_CPU_PARTITION" in asked["load_problems"]
    for rule in ("sample_attempts", "train_soar"):
        assert {"slurm_partition=YOUR_GPU_PARTITION", "gpu=1", "nodes=1", "mem_mb=32000"} <= asked[rule]
    assert f"{ROOT}/profiles/default" in done.stderr


@pytest.mark.parametrize("name", ["single_gpu", "paper"])
def test_a_whole_run_on_gpus_is_planned_with_the_slurm_profile(name: str, folder: Path):
    config = ROOT / "config" / f"{name}.yaml"
    settings = load(config)

    done = snakemake(folder, "--dry-run", "--profile", SLURM_PROFILE, "--configfile", config)

    assert done.returncode == 0, done.stdout + done.stderr
    jobs = job_counts(done.stdout + done.stderr)
    assert jobs["train_soar"] == len(settings.soar_runs())
    assert jobs["write_report"] == 1
    asked = resources_by_rule(done.stdout + done.stderr)
    # Who asks for a GPU is sent to where they are, and nobody else is.
    on_gpu = {rule for rule in asked if settings.resources_of(rule).gpu}
    assert {rule for rule in asked if "slurm_partition=YOUR_GPU_PARTITION" in asked[rule]} == on_gpu
    assert {"sample_attempts", "train_soar", "train_fresh_student", "evaluate_policy"} <= on_gpu


def test_a_fresh_student_on_several_gpus_is_started_by_torchrun(folder: Path):
    config = changed_config(folder, "smoke.yaml", {"resources": {"train_fresh_student": {"gpu": 4, "threads": 8}}})
    target = "results/smoke/shuffles/students/hard_only/t0-s1/curve.parquet"
    done = snakemake(
        folder, target, "--dry-run", "--printshellcmds", "--profile", SLURM_PROFILE, "--configfile", config
    )

    assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout + done.stderr
    assert {"gpu=4", "nodes=1"} <= resources_by_rule(output)["train_fresh_student"]
    started = "python -m torch.distributed.run --standalone --nproc-per-node=4 -m -- soar_pipeline.stages."
    assert f"{started}train_fresh_student" in output


def test_a_fresh_student_on_one_gpu_is_started_by_python(folder: Path):
    config = changed_config(folder, "smoke.yaml", {"resources": {"train_fresh_student": {"gpu": 1}}})
    target = "results/smoke/shuffles/students/hard_only/t0-s1/curve.parquet"
    done = snakemake(folder, target, "--dry-run", "--printshellcmds", "--configfile", config)

    output = done.stdout + done.stderr
    assert " python -m soar_pipeline.stages.train_fresh_student" in output
    assert "torch.distributed.run" not in output


def test_the_slurm_profile_names_rules_that_exist():
    profile = yaml.safe_load((SLURM_PROFILE / "config.yaml").read_text(encoding="utf-8"))
    rules = {
        name
        for file in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"^rule (\w+):", file.read_text(), re.MULTILINE)
    }

    assert set(profile["set-resources"]) <= rules


def test_a_soar_run_over_nodes_is_one_job_that_srun_starts_ray_in(folder: Path):
    asked = {"train_soar": {"ray_nodes": 2, "gpu": 8, "workers": 16, "threads": 32}}
    config = changed_config(folder, "smoke.yaml", {"resources": asked})
    target = "results/smoke/shuffles/soar/grounded/t1/steps.parquet"
    done = snakemake(
        folder, target, "--dry-run", "--printshellcmds", "--profile", SLURM_PROFILE, "--configfile", config
    )

    assert done.returncode == 0, done.stdout + done.stderr
    resources = resources_by_rule(done.stdout + done.stderr)["train_soar"]
    expected = {"nodes=2", "tasks=2", "mpi=srun", "gres=gpu:8", "gpu=0", "cpus_per_task=32", "slurm_extra=--exclusive"}
    assert expected <= resources
    assert (
        "srun --nodes=2 --ntasks-per-node=1 --cpus-per-task=32 --kill-on-bad-exit=1 bash" in done.stdout + done.stderr
    )
    assert "--workers 16 --ray-nodes 2 --gpus 8" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        ({"train_soar": {"ray_nodes": 2, "gpu": 8, "workers": 17, "threads": 32}}, "workers: 17 do not fit"),
        ({"train_soar": {"ray_nodes": 1, "workers": 2}}, "workers: 2 do not fit"),
        ({"train_serl": {"ray_nodes": 1}}, "only train_soar uses Ray"),
        ({"train_fresh_student": {"gpu": 2, "workers": 4}}, "4, but each of the 2 GPUs has one process"),
        ({"train_fresh_student": {"workers": 2, "sharding": "full"}}, "more than one GPU can be sharded"),
        ({"train_soar": {"gpu": 2, "sharding": "full"}}, "only train_fresh_student"),
        ({"train_fresh_student": {"gpu": 3}}, "3 processes cannot have equal shares of the 8 rollouts"),
    ],
)
def test_workers_without_room_are_refused(resources, problem: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=problem):
        load(changed_config(tmp_path, "smoke.yaml", {"resources": resources}))


def test_the_default_profile_is_loaded_wherever_the_run_lives(folder: Path):
    done = snakemake(folder, "--dry-run", "--configfile", SMOKE)

    assert f"{ROOT}/profiles/default" in done.stderr
