"""The workflow's plan: what would be made, from which configuration, without making it."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT, SHIPPED, changed_config, job_counts, planned_jobs, snakemake

from soar_pipeline.config import ConfigError, Plan, load

SMOKE = ROOT / "config" / "smoke.yaml"


def settings_of(run: Path, rule: str, job: str) -> dict:
    """The keys that decide the results of a job, which was planned once."""
    files = [path for path in (run / "settings" / rule).glob(f"{job}.*.json") if ".speed." not in path.name]
    [file] = files
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with stand-ins for the data and the model that a dry run only looks for."""
    (tmp_path / "data").mkdir()
    for name in ("math_test.jsonl", "math_train.jsonl", "HARP.jsonl.zip", "OE_TO_maths_en_COMP.parquet"):
        (tmp_path / "data" / name).touch()
    model = tmp_path / "resources" / "models" / "digit-shuffles"
    model.mkdir(parents=True)
    (model / "config.json").touch()
    return tmp_path


# Planned with the profile of a cluster, below.
ON_A_CLUSTER = ("single_gpu", "paper")


@pytest.mark.parametrize(
    "config", [path for path in SHIPPED if path.stem not in ON_A_CLUSTER], ids=lambda path: path.stem
)
def test_every_shipped_config_plans_its_whole_run(config: Path, folder: Path):
    settings = load(config)

    assert planned_jobs(folder, "--configfile", config) == Counter(job.rule for job in Plan(settings).jobs)


def test_shared_stages_pools_transfer_and_own_seeds_are_counted_as_snakemake_does(folder: Path):
    shuffles = {"adapter": "digit_shuffles", "difficulties": [6, 7], "size": 12}
    config = changed_config(
        folder,
        "smoke.yaml",
        {
            "filter.shards": 3,
            "models.second": {"source": "folder", "path": "resources/models/digit-shuffles", "dtype": "float32"},
            "datasets.others": shuffles,
            "datasets.alone": shuffles | {"model": "second"},
            "pools.real": shuffles,
            "pools.unused": shuffles,
            "objectives.grounded.teacher_seeds": 2,
            "arms.real": {"label": "Real", "datasets": ["others"], "questions": {"source": "pool", "pool": "real"}},
            "arms.more": {"label": "More", "datasets": ["alone"], "questions": {"source": "pool", "pool": "shuffles"}},
            "arms.moved": {
                "label": "Moved",
                "datasets": ["others"],
                "questions": {"source": "teacher", "objective": "grounded", "size": 4},
                "transfer_from": "shuffles",
                "teacher_seeds": 3,
            },
        },
    )

    settings = load(config)

    planned = planned_jobs(folder, "--configfile", config)

    assert Counter(job.rule for job in Plan(settings).jobs) == planned
    assert planned["prepare_base_model"] == 2
    # No arm asks for one of the pools.
    assert planned["load_problems"] == len(settings.datasets) + len(settings.pools) - 1
    assert planned["sample_attempts"] == 3 * len(settings.datasets)


def test_without_configfile_the_embedded_world_is_planned(folder: Path):
    assert planned_jobs(folder) == planned_jobs(folder, "--configfile", ROOT / "config" / "config.yaml")


def test_command_line_overrides_one_key_of_a_configfile(folder: Path):
    data = folder / "rows.jsonl"
    data.touch()
    (folder / "data" / "math_test.jsonl").unlink()
    override = f"datasets={{math: {{path: {data}}}}}"

    done = snakemake(folder, "-n", "--configfile", ROOT / "config" / "smollm.yaml", "--config", override)

    assert done.returncode == 0
    pool = settings_of(folder / "results" / "smollm", "load_problems", "math")["pool"]
    # Where the file lies decides nothing.
    [elsewhere] = (folder / "results" / "smollm" / "settings" / "load_problems").glob("math.*.speed.json")
    assert json.loads(elsewhere.read_text(encoding="utf-8"))["pool"]["path"] == str(data)
    assert pool["adapter"] == "math"
    assert pool["subjects"] == ["Prealgebra", "Algebra"]


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
        ("results/smoke/tables/passk.csv", "make_tables", "plot_figure"),
        ("results/smoke/tables/table4_math.md", "make_tables", "plot_figure"),
        ("results/smoke/figures/improvement.svg", "plot_figure", "write_report"),
        # A figure of SOAR runs waits for no fresh student.
        ("results/smoke/figures/teacher_reward.svg", "plot_figure", "train_fresh_student"),
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
        ({"arms.hard_only.paper": "Hard-Onyl"}, "arms.hard_only.paper"),
        ({"resources.train_sour": {"gpu": 1}}, "resources.train_sour"),
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


def test_a_key_that_stands_twice_in_the_configfile_is_refused_by_line(folder: Path):
    text = SMOKE.read_text(encoding="utf-8")
    (folder / "twice.yaml").write_text(f"{text}\nrun: twice\n", encoding="utf-8")
    done = snakemake(folder, "--dry-run", "--configfile", "twice.yaml")
    assert done.returncode != 0
    last = text.count("\n") + 2
    assert f"twice.yaml, line {last}: cannot be read as YAML: the key `run` stands in line" in done.stdout + done.stderr


def test_two_configfiles_are_refused(folder: Path):
    other = changed_config(folder, "smoke.yaml", {"seed": 3})
    done = snakemake(folder, "--dry-run", "--configfile", SMOKE, other)
    assert done.returncode != 0
    assert f"{other.name}: one file describes one run, so give one of them" in done.stdout + done.stderr


def test_files_beside_the_configfile_are_used(folder: Path):
    (folder / "configs").mkdir()
    (folder / "configs" / "mine.txt").write_text("Solve this of mine: {question}")
    config = changed_config(folder / "configs", "smoke.yaml", {"prompts.student": "mine.txt"})
    done = snakemake(folder, "--dry-run", "--printshellcmds", "--configfile", config)
    assert done.returncode == 0, done.stderr
    settings = [path.read_text() for path in folder.glob("results/*/settings/sample_attempts/*.json")]
    assert any("Solve this of mine" in text for text in settings)


def test_a_package_that_is_not_installed_is_missed_before_the_first_job(folder: Path):
    model = {"source": "gguf_package", "path": "no-such-model"}
    config = changed_config(folder, "smoke.yaml", {"models.base": model})
    planned = snakemake(folder, "--dry-run", "--configfile", config)
    assert planned.returncode == 0
    assert "not installed here: models.base.path needs the package no-such-model" in planned.stdout + planned.stderr
    done = snakemake(folder, "--configfile", config)
    assert done.returncode != 0
    assert f"{config.name}: not installed here: models.base.path needs the package no-such-model" in done.stderr
    # The settings of jobs are written as they are planned; no job has made anything.
    assert [path.name for path in folder.glob("results/smoke/*")] == ["settings"]


def test_a_run_elsewhere_uses_the_prompts_of_the_project(folder: Path):
    assert snakemake(folder, "--dry-run", "--configfile", SMOKE).returncode == 0

    settings = settings_of(folder / "results" / "smoke", "sample_attempts", "shuffles-0")
    assert settings["prompts"] == {"student": "<student>{question}<answer_here>"}


def test_prompts_of_the_working_directory_come_first(folder: Path):
    (folder / "resources" / "prompts").mkdir()
    (folder / "resources" / "prompts" / "toy_student.txt").write_text("mine: {question}", encoding="utf-8")

    assert snakemake(folder, "--dry-run", "--configfile", SMOKE).returncode == 0

    settings = settings_of(folder / "results" / "smoke", "sample_attempts", "shuffles-0")
    assert settings["prompts"] == {"student": "mine: {question}"}


def test_a_dry_run_with_another_configuration_leaves_the_settings_of_a_planned_job_alone(folder: Path):
    assert snakemake(folder, "--dry-run", "--configfile", SMOKE).returncode == 0
    planned = {path: path.read_bytes() for path in (folder / "results").rglob("*.json")}
    changed = changed_config(folder, "smoke.yaml", {"filter.rounds": [1, 1], "grading.workers": 3})

    assert snakemake(folder, "--dry-run", "--configfile", changed).returncode == 0

    assert planned
    assert {path: path.read_bytes() for path in planned} == planned


def test_a_command_is_one_line_of_a_few_hundred_characters(folder: Path):
    done = snakemake(folder, "--dry-run", "--printshellcmds", "--configfile", SMOKE)

    commands = [line for line in (done.stdout + done.stderr).splitlines() if " soar_pipeline.stages." in line]
    assert len(commands) == len(Plan(load(SMOKE)).jobs) - 1
    assert max(map(len, commands)) < 400


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
    for rule, memory in (("sample_attempts", 32000), ("train_soar", 64000)):
        assert {"slurm_partition=YOUR_GPU_PARTITION", "gpu=1", "nodes=1", f"mem_mb={memory}"} <= asked[rule]
    assert f"{ROOT}/profiles/default" in done.stderr


def test_a_job_that_is_asked_for_more_keeps_its_partition(folder: Path):
    """By the configuration (docs/cluster.md). Snakemake's own options would take the place of the profile's."""
    target = "results/single_gpu/math/soar/grounded/t1/steps.parquet"
    plan = [target, "--dry-run", "--profile", SLURM_PROFILE, "--configfile", ROOT / "config" / "single_gpu.yaml"]

    done = snakemake(folder, *plan, "--config", "resources={train_soar: {runtime: 4320}}")
    assert done.returncode == 0, done.stdout + done.stderr
    asked = resources_by_rule(done.stdout + done.stderr)
    assert {"runtime=4320", "slurm_partition=YOUR_GPU_PARTITION", "gpu=1"} <= asked["train_soar"]
    assert "slurm_partition=YOUR_GPU_PARTITION" in asked["sample_attempts"]
    assert "slurm_partition=YOUR_CPU_PARTITION" in asked["load_problems"]

    done = snakemake(folder, *plan, "--set-resources", "train_soar:runtime=4320")
    asked = resources_by_rule(done.stdout + done.stderr)
    assert "slurm_partition=YOUR_GPU_PARTITION" not in asked["train_soar"] | asked["sample_attempts"]


def test_a_soar_run_without_students_can_have_one_gpu(folder: Path):
    """By the documented command, after which the usual layout repeats nothing (tests/config/test_reruns.py)."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    [resources] = re.findall(r"soar/intrinsic/.*\n    --config '(.*)'", page)
    target = "results/paper/harp/soar/intrinsic/t1/steps.parquet"
    plan = [target, "--dry-run", "--profile", SLURM_PROFILE, "--configfile", ROOT / "config" / "paper.yaml"]

    done = snakemake(folder, *plan, "--config", resources)

    assert done.returncode == 0, done.stdout + done.stderr
    asked = resources_by_rule(done.stdout + done.stderr)["train_soar"]
    assert {"nodes=1", "gpu=1", "gpus_per_node=1", "slurm_partition=YOUR_GPU_PARTITION"} <= asked
    # What several nodes would need.
    assert not any(one.startswith(("mpi=", "gres=")) for one in asked)


@pytest.mark.parametrize("name", ON_A_CLUSTER)
def test_a_whole_run_on_gpus_is_planned_with_the_slurm_profile(name: str, folder: Path):
    config = ROOT / "config" / f"{name}.yaml"
    settings = load(config)

    done = snakemake(folder, "--dry-run", "--printshellcmds", "--profile", SLURM_PROFILE, "--configfile", config)

    assert done.returncode == 0, done.stdout + done.stderr
    # A configfile is whole and takes nothing from the toy task of the default one.
    assert "shuffles" not in done.stdout + done.stderr
    assert job_counts(done.stdout + done.stderr) == Counter(job.rule for job in Plan(settings).jobs)
    asked = resources_by_rule(done.stdout + done.stderr)
    # Who asks for a GPU is sent to where they are, and nobody else is.
    on_gpu = {rule for rule in asked if settings.resources_of(rule).gpu}
    assert {rule for rule in asked if "slurm_partition=YOUR_GPU_PARTITION" in asked[rule]} == on_gpu
    assert {"sample_attempts", "train_soar", "train_fresh_student", "evaluate_policy"} <= on_gpu


def test_a_fresh_student_on_several_gpus_is_started_by_torchrun(folder: Path):
    config = changed_config(folder, "smoke.yaml", {"resources": {"train_fresh_student": {"gpu": 4, "threads": 8}}})
    target = "results/smoke/shuffles/students/hard_only/t0-s1/model"
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
    target = "results/smoke/shuffles/students/hard_only/t0-s1/model"
    done = snakemake(folder, target, "--dry-run", "--printshellcmds", "--configfile", config)

    output = done.stdout + done.stderr
    assert " python -m soar_pipeline.stages.train_fresh_student" in output
    assert "torch.distributed.run" not in output


def test_the_slurm_profile_names_rules_that_exist():
    profile = yaml.safe_load((SLURM_PROFILE / "config.yaml").read_text(encoding="utf-8"))
    rules = {
        name
        for file in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"^(?:use rule stage as|rule) (\w+)\b", file.read_text(), re.MULTILINE)
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
    [speed] = folder.glob("results/smoke/settings/train_soar/shuffles-grounded-t1.*.speed.json")
    given = json.loads(speed.read_text())["resources"]
    assert {name: given[name] for name in ("workers", "ray_nodes", "gpu")} == {"workers": 16, "ray_nodes": 2, "gpu": 8}


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
