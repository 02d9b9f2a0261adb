"""Files that are not what they should be: refused with one clear line, and never run."""

import json
import os
import pickle
import shutil
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from soar_pipeline.artifacts.files import ArtifactError, read_parquet
from soar_pipeline.artifacts.provenance import digest, read_provenance
from soar_pipeline.artifacts.schemas import HARD, PROBLEMS
from soar_pipeline.config import ConfigError, DatasetConfig, ModelConfig, load
from soar_pipeline.policy.base_models import write_base_model
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.policy.weights import load_weights
from soar_pipeline.problems import files, sources
from soar_pipeline.rl.checkpoints import Checkpoint, CheckpointFolder


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "pwned"
    pickle.loads(pickle.dumps(Touch(path)))
    assert path.exists(), "the pickle is a live one"
    path.rmdir()
    yield path
    assert not path.exists()


def pool(path):
    return sources.load_problems("pool", DatasetConfig(adapter="plain", path=str(path)))


def one_line(told: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.json", "pool.zip", "pool.parquet"])
def test_a_pickle_in_place_of_problems_is_refused_and_not_run(name, canary, tmp_path):
    (tmp_path / name).write_bytes(pickle.dumps(Touch(canary)))
    with pytest.raises(ArtifactError, match=name) as told:
        pool(tmp_path / name)
    one_line(told)


def test_a_pickle_in_place_of_a_checkpoint_is_left_out_and_not_run(canary, tmp_path, caplog):
    folder = CheckpointFolder(tmp_path / "state", "run")
    folder.save(Checkpoint(1, {}, {"model": {"weight": torch.ones(2)}}))
    pickled = tmp_path / "state" / "step-000001" / "model.safetensors"
    torch.save(Touch(canary), pickled)
    with pytest.raises(ArtifactError, match="is not readable safetensors"):
        load_weights(pickled)
    assert CheckpointFolder(tmp_path / "state", "run").load() is None
    assert "model.safetensors" in caplog.text


def test_a_model_folder_with_pickles_beside_its_weights_is_copied_without_them(base_model, canary, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(base_model, source)
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.py"):
        torch.save(Touch(canary), source / name)
    write_base_model(ModelConfig(source="folder", path=str(source)), 0, tmp_path / "model")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}
    load_policy(tmp_path / "model", "float32")


def test_a_pickle_in_place_of_a_models_weights_is_refused_and_not_run(base_model, canary, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(base_model, folder)
    torch.save(Touch(canary), folder / "model.safetensors")
    with pytest.raises(ArtifactError, match="cannot be loaded as a model folder") as told:
        load_policy(folder, "float32")
    one_line(told)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="cannot be loaded as a model folder"):
        load_policy(folder, "float32")


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**62),
        struct.pack("<Q", 8) + b"{" * 8,
        struct.pack("<Q", 100) + json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}).encode(),
        b"",
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
    ids=["huge header", "no JSON", "shape that lies", "empty", "pointer"],
)
def test_a_safetensors_file_that_lies_is_refused(header, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(header.ljust(108, b" ") if header else b"")
    with pytest.raises(ArtifactError, match="is not readable safetensors") as told:
        load_weights(path)
    one_line(told)


def test_a_folder_of_a_model_with_a_link_inside_a_folder_is_not_followed(base_model, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(base_model, source)
    (source / "tokenizer.json").unlink()
    (source / "tokenizer.json").symlink_to("/etc/hostname")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: this link leads out of the model folder"):
        write_base_model(ModelConfig(source="folder", path=str(source)), 0, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def evil_extension(canary) -> pa.Schema:
    """The field as pyarrow once wrote its Python extension types, a pickle in its metadata."""
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Touch(canary)),
    }
    return pa.schema([pa.field("question", pa.string(), metadata=metadata), pa.field("answer", pa.string())])


def test_a_parquet_that_carries_a_pickle_does_not_run_it(canary, tmp_path):
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"question": ["1+1?"], "answer": ["2"]}).cast(evil_extension(canary)), path)
    assert [problem.answer for problem in pool(path).problems] == ["2"]
    with pytest.raises(ArtifactError, match="column 'problem_id' is missing"):
        read_parquet(path, PROBLEMS)


EVIL_COLUMNS = {
    "other type": {"problem_id": pa.array([1])},
    "list": {"problem_id": pa.array([["a"]])},
    "binary": {"problem_id": pa.array([b"\xff"])},
    "null": {"problem_id": pa.array([None], pa.string())},
    "dictionary": {"problem_id": pa.array(["a"]).dictionary_encode()},
    "large": {"problem_id": pa.array(["a"], pa.large_string())},
}


@pytest.mark.parametrize("kind", EVIL_COLUMNS)
def test_an_artifact_of_another_schema_is_refused_by_file_and_column(kind, tmp_path):
    text = pa.array(["a"])
    columns = dict.fromkeys(HARD.names, text) | {"attempts_drawn": pa.array([1], pa.int32())} | EVIL_COLUMNS[kind]
    path = tmp_path / "hard.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ArtifactError, match=r"hard\.parquet: column 'problem_id'") as told:
        read_parquet(path, HARD)
    one_line(told)


def test_a_parquet_bomb_is_refused_before_it_unpacks(tmp_path):
    path = tmp_path / "pool.parquet"
    # 18 GB of questions in 5 kB.
    question = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 90_000]))
    pq.write_table(pa.table({"question": question, "answer": question}), path, store_schema=False)
    assert path.stat().st_size * files.UNPACKED_RATIO < files.MIB
    with pytest.raises(ArtifactError, match=r"pool\.parquet: unpacks to more than 1,048,576 bytes") as told:
        pool(path)
    one_line(told)


def test_a_parquet_of_millions_of_empty_rows_is_refused(tmp_path):
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"question": pa.nulls(3_000_000, pa.string())}), path)
    with pytest.raises(ArtifactError, match="unpacks to more than"):
        pool(path)


def test_a_long_honest_parquet_file_is_no_bomb(tmp_path):
    path = tmp_path / "pool.parquet"
    rows = 20_000
    columns = {
        "id": map(str, range(rows)),
        "question": (f"{i}+1?" for i in range(rows)),
        "answer": map(str, range(rows)),
    }
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)
    assert len(pool(path).problems) == rows


def test_provenance_that_is_none_of_ours_is_only_text(tmp_path):
    path = tmp_path / "a.parquet"
    deep = b"[" * 100_000
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({b"soar_provenance": deep}), path)
    assert digest(path)
    with pytest.raises((ValueError, RecursionError)):
        read_provenance(path)


YAML = {
    "python object": "run: !!python/object/apply:os.mkdir [pwned]\n",
    "python name": "run: !!python/name:os.system\n",
    "unknown tag": "run: !evil {a: 1}\n",
    "binary": "run: !!binary //8=\n",
    "laughs": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)),
    "itself": "run: &a [*a]\n",
    "deep": "run: " + "[" * 2000 + "\n",
    "no date": "run: 2026-99-99\n",
    "no text": "\x00\x01\x02",
}


@pytest.mark.parametrize("kind", YAML)
def test_yaml_with_tags_or_bombs_is_one_line_and_runs_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(YAML[kind], encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.yaml") as told:
        load(tmp_path / "config.yaml")
    one_line(told)
    assert len(str(told.value)) < 5000
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert "pwned" not in sys.modules
