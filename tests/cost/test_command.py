"""The command that estimates: its output for every shipped configuration, and its messages."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from forks import run_python
from steady_machine import STEADY
from workflow_runs import SHIPPED, changed_config, snakemake

from soar_pipeline.config import load
from soar_pipeline.cost.__main__ import main
from soar_pipeline.cost.estimate import long_jobs


def run_cost(capsys, *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("config", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_has_a_cost_within_its_bound(config: Path, capsys):
    code, out, _ = run_cost(capsys, "--configfile", config, "--json")
    values = json.loads(out)
    assert code == 0
    for row in [*values["stages"], values["total"]]:
        for name, bound in row.items():
            if name.endswith("_upper"):
                assert row[name.removesuffix("_upper")] <= bound * (1 + 1e-9), (row["stage"], name)
    assert values["total"]["generated"] == pytest.approx(sum(row["generated"] for row in values["stages"]))
    assert values["total"]["trained"] > 0


@pytest.mark.parametrize("device", ["h100", "h200", "a100", "rtx4090", "cpu"])
def test_every_device_gives_hours_of_its_kind(device: str, capsys, project: Path):
    config = project / "config" / "single_gpu.yaml"
    _, out, _ = run_cost(capsys, "--configfile", config, "--device", device, "--json")
    total = json.loads(out)["total"]
    stages = {row["stage"]: row for row in json.loads(out)["stages"]}
    used, unused = ("core_hours", "gpu_hours") if device == "cpu" else ("gpu_hours", "core_hours")
    assert stages["train_soar"][used] > 0
    assert stages["train_soar"][unused] == 0
    assert total["wall_hours"] > 0


def test_more_gpus_shorten_a_run_and_cost_the_same(capsys, tmp_path: Path):
    one_gpu_a_job = {"resources": {"default": {"gpu": 1, "threads": 8}}}
    config = changed_config(tmp_path, "paper.yaml", one_gpu_a_job)
    one, eight = (
        json.loads(run_cost(capsys, "--configfile", config, "--gpus", n, "--json")[1])["total"] for n in ("1", "8")
    )
    assert one["gpu_hours"] == pytest.approx(eight["gpu_hours"])
    assert one["wall_hours"] / 8 <= eight["wall_hours"] < one["wall_hours"] / 4


def test_a_machine_has_the_gpus_of_its_largest_job(capsys, project: Path):
    paper = ("--configfile", project / "config" / "paper.yaml")
    assert run_cost(capsys, *paper, "--json")[1] == run_cost(capsys, *paper, "--gpus", "16", "--json")[1]
    status, _, error = run_cost(capsys, *paper, "--gpus", "4")
    assert (status, error) == (1, "error: --gpus 4: a job of train_soar holds 16 (resources.train_soar)\n")


def test_the_processes_of_a_fresh_student_share_its_time(capsys, tmp_path: Path):
    def seconds(gpus: int) -> dict[str, float]:
        changes = {"resources.train_fresh_student": {"gpu": gpus, "threads": 8}}
        # Starts and checkpoints, which are not shared, hardly count.
        changes |= {"fresh_student.steps": 4000, "fresh_student.evaluate_every": 2000}
        config = changed_config(tmp_path, "single_gpu.yaml", changes)
        values = json.loads(run_cost(capsys, "--configfile", config, "--json")[1])
        [row] = [row for row in values["stages"] if row["stage"] == "train_fresh_student"]
        return row

    one, four = seconds(1), seconds(4)
    assert four["generated"] == one["generated"]
    assert four["gpu_hours"] == pytest.approx(one["gpu_hours"], rel=0.1)
    assert four["wall_hours"] == pytest.approx(one["wall_hours"] / 4, rel=0.1)


def test_the_table_shows_the_assumptions_and_where_figures_come_from(capsys, project: Path):
    code, out, _ = run_cost(
        capsys, "--configfile", project / "config" / "paper.yaml", "--acceptance", "0.3", "--gpus", "32"
    )
    assert code == 0
    assert "NVIDIA H100" in out and "32 GPU(s)" in out
    assert re.search(r"--acceptance +0\.3 +given", out)
    assert "stated and not measured" in out
    assert re.search(r"math/grounded +\d+ +\d", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configfile", "nowhere.yaml"], "nowhere.yaml"),
        (["--acceptance", "1.5"], "options: acceptance"),
        (["--solve-rate", "0.5", "--hard-share", "0.9"], "exclude each other"),
        (["--throughput", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], message: str, capsys):
    code, out, err = run_cost(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


def test_a_broken_throughput_file_names_its_key(tmp_path: Path, capsys):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(STEADY | {"disk_bandwidth": 0}), encoding="utf-8")
    code, _, err = run_cost(capsys, "--throughput", tmp_path / "t.yaml")
    assert code == 1
    assert "t.yaml: disk_bandwidth" in err


def test_problems_of_a_file_that_is_here_are_counted(tmp_path: Path, capsys):
    rows = [{"problem": f"{i}?", "answer": "1", "level": f"Level {i % 5 + 1}"} for i in range(50)]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    changes = {"datasets.math": {"adapter": "math", "path": str(data), "levels": ["1", "2"]}}
    config = changed_config(tmp_path, "smollm.yaml", changes)
    _, out, _ = run_cost(capsys, "--configfile", config, "--json")
    assert json.loads(out)["pools"]["math"]["problems"] == 20


def test_it_is_quick_and_needs_no_torch(project: Path):
    program = (
        "import sys; from soar_pipeline.cost.__main__ import main; "
        "code = main(['--configfile', 'config/paper.yaml']); assert not {'torch', 'transformers'} & set(sys.modules); "
        "sys.exit(code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    # CPU time: a busy machine does not fail it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_the_benchmark_measures_what_the_command_reads(tmp_path: Path, capsys, project: Path):
    output, smoke = tmp_path / "throughput.yaml", project / "config" / "smoke.yaml"
    options = ["--configfile", smoke, "--output", output, "--batches", "1", "--cpu-time"]
    done = run_python("benchmarks/throughput.py", *options, cwd=project)
    assert done.returncode == 0, done.stderr

    code, out, err = run_cost(capsys, "--configfile", smoke, "--throughput", output, "--json")

    assert code == 0, err
    values = json.loads(out)
    assert values["assumptions"]["base_length"]["source"] == "measured"
    assert all(value > 0 for value in yaml.safe_load(output.read_text())["decoding"][1].values())
    assert 0 < values["total"]["core_hours"] < 1


def test_a_job_that_exceeds_its_runtime_is_told_in_a_line(tmp_path: Path, project: Path):
    short = {"resources.train_soar.runtime": 60, "resources.train_fresh_student.runtime": 10080}
    [line] = long_jobs(load(changed_config(tmp_path, "single_gpu.yaml", short)), project)
    assert re.fullmatch(
        r"train_soar of \w+: a job takes [\d.]+ hours by the estimate .*runtime allows 1\.0; raise.*", line
    )
    assert long_jobs(load(project / "config" / "single_gpu.yaml"), project) == []


def test_a_model_of_unknown_size_leaves_runtimes_unchecked(tmp_path: Path, project: Path):
    config = load(changed_config(tmp_path, "single_gpu.yaml", {"models.base.path": "nobody/unheard-of"}))
    [line] = long_jobs(config, project)
    assert line.startswith("runtimes are not checked: models.base: the size of nobody/unheard-of is not known")


def test_a_dry_run_warns_of_jobs_that_exceed_their_runtime(tmp_path: Path):
    changes = {"resources": {"train_soar": {"runtime": 1}}, "soar.outer_steps": 5000}
    done = snakemake(tmp_path, "--dry-run", "--configfile", changed_config(tmp_path, "smoke.yaml", changes))
    assert done.returncode == 0
    assert "train_soar of shuffles: a job takes" in done.stdout + done.stderr
