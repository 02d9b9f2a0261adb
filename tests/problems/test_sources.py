"""HARP and OlympiadBench in their published forms, files and their checks, the hub; made rows, real readers."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from stage_commands import options as settings_options

from soar_pipeline.artifacts.files import ArtifactError, read_rows
from soar_pipeline.artifacts.provenance import read_provenance
from soar_pipeline.artifacts.schemas import PROBLEMS
from soar_pipeline.config import DatasetConfig, DatasetGrading, Settings
from soar_pipeline.problems import files, sources
from soar_pipeline.problems.rows import LONGEST_TEXT, Pool

HARP_ROW = {
    "problem": "What is $1+1$?",
    "answer": "$2$",
    "solution_1": r"It is $\boxed{2}$.",
    "year": "2011",
    "contest": "AMC_10B",
    "number": 7,
    "level": 2,
    "subject": "counting_and_probability",
}
OLYMPIADBENCH_ROW = {
    "id": 1606,
    "subfield": "Algebra",
    "context": None,
    "question": "Find all $x$ with $x^2=1$.",
    "solution": ["Clear."],
    "final_answer": ["$1,-1$"],
    "is_multiple_answer": True,
    "unit": None,
    "answer_type": "Numerical",
    "error": None,
    "modality": "Text-only",
    "difficulty": "Competition",
    "is_proof": False,
    "language": "English",
    "subject": "Math",
}
ROWS = {"harp": HARP_ROW, "olympiadbench": OLYMPIADBENCH_ROW}
# A problem of the JSON files, which say by their name what the other fields say.
BARE_OLYMPIADBENCH_ROW = {
    key: OLYMPIADBENCH_ROW[key] for key in ("id", "subfield", "question", "final_answer", "is_multiple_answer")
}


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def zipped(path: Path, members: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def load(path: Path, adapter: str = "plain", **options: object) -> Pool:
    return sources.load_problems("pool", DatasetConfig(adapter=adapter, path=str(path), **options))


def plain_rows(count: int) -> list[dict]:
    return [{"id": str(i), "question": f"{i}+1?", "answer": str(i + 1)} for i in range(count)]


def test_harp_as_published_is_zipped_jsonl(tmp_path):
    text = "".join(json.dumps(HARP_ROW | {"number": number}) + "\n" for number in (7, 8))
    # Stored, and below a folder, as its own script writes it.
    path = zipped(tmp_path / "HARP.jsonl.zip", {"data/HARP.jsonl": text}, zipfile.ZIP_STORED)
    problems = load(path, "harp", subjects=("Counting & Probability",), levels=("2",)).problems
    assert [problem.problem_id for problem in problems] == ["2011/AMC_10B/7", "2011/AMC_10B/8"]
    assert (problems[0].question, problems[0].answer) == ("What is $1+1$?", "2")
    assert (problems[0].subject, problems[0].level) == ("counting_and_probability", "2")


def test_harp_row_without_contest_is_named_by_its_place(tmp_path):
    row = {key: value for key, value in HARP_ROW.items() if key != "contest"}
    path = zipped(tmp_path / "HARP.jsonl.zip", {"HARP.jsonl": json.dumps(row)})
    assert [problem.problem_id for problem in load(path, "harp").problems] == ["HARP-00001"]


@pytest.mark.parametrize("row", [OLYMPIADBENCH_ROW, BARE_OLYMPIADBENCH_ROW])
def test_olympiadbench_as_published_is_a_json_list_or_parquet(tmp_path, row):
    listed, parquet = tmp_path / "OE_TO_maths_en_COMP.json", tmp_path / "OE_TO_maths_en_COMP.parquet"
    listed.write_text(json.dumps([row]), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([row]), parquet)
    assert load(listed, "olympiadbench") == load(parquet, "olympiadbench")
    [problem] = load(listed, "olympiadbench").problems
    assert (problem.problem_id, problem.answer, problem.subject) == ("1606", "1, -1", "Algebra")
    assert problem.question == "Find all $x$ with $x^2=1$."


def test_olympiadbench_takes_its_english_textual_checkable_mathematics_from_a_mixed_file(tmp_path):
    other = {
        "zh": {"language": "Chinese"},
        "zh-unsaid": {"language": None, "question": "求 $x$。"},
        "physics": {"subject": "Physics"},
        "picture": {"modality": "Multimodal"},
        "picture-unsaid": {"modality": None, "question": "Which? <img_3362>"},
        "proof": {"is_proof": True, "final_answer": None},
        "theorem": {"question_type": "Theorem proof"},
        "judged": {"answer_type": "Need_human_evaluate"},
        "none": {"final_answer": None},
        "nothing": {"final_answer": []},
        "blank": {"final_answer": ["", None]},
        "unclear": {"final_answer": ["1", "2"], "is_multiple_answer": False},
    }
    rows = [OLYMPIADBENCH_ROW, *(OLYMPIADBENCH_ROW | {"id": key} | changes for key, changes in other.items())]
    pool = load(jsonl(tmp_path / "mixed.jsonl", *rows), "olympiadbench", rows=13)
    assert [problem.problem_id for problem in pool.problems] == ["1606"]
    assert pool.left_out == {
        "'language' is 'Chinese'": ["zh"],
        "the question is Chinese": ["zh-unsaid"],
        "'subject' is 'Physics'": ["physics"],
        "'modality' is 'Multimodal'": ["picture"],
        "the question refers to an image": ["picture-unsaid"],
        "'is_proof' is true": ["proof"],
        "'question_type' is 'Theorem proof'": ["theorem"],
        "'answer_type' says that a human must judge the answer": ["judged"],
        "'final_answer' is empty": ["none", "nothing", "blank"],
        "'final_answer' holds several answers, but 'is_multiple_answer' is not true": ["unclear"],
    }


def test_olympiadbench_context_unit_and_tolerance(tmp_path):
    changes = {"context": "Let $n=3$.", "unit": "cm", "error": "1e-1", "final_answer": ["$3.1$"]}
    row = OLYMPIADBENCH_ROW | changes | {"is_multiple_answer": False}
    pool = load(jsonl(tmp_path / "pool.jsonl", row), "olympiadbench")
    [problem] = pool.problems
    assert problem.question == "Let $n=3$.\nFind all $x$ with $x^2=1$."
    assert problem.answer == "3.1"
    [(remark, ids)] = pool.remarks.items()
    assert "tolerance" in remark and ids == ["1606"]


@pytest.mark.parametrize(
    ("adapter", "changes", "message"),
    [
        ("harp", {"problem": None}, "'problem' is null; fill it or drop the row"),
        ("harp", {"problem": " "}, "'problem' is empty"),
        ("harp", {"problem": ["1+1?"]}, "'problem' is list, expected text"),
        ("harp", {"answer": ["2"]}, "'answer' is list, expected text"),
        ("harp", {"answer": True}, "'answer' is bool, expected text"),
        ("harp", {"answer": float("inf")}, "'answer' is inf, expected text or a finite number"),
        ("harp", {"problem": "\ud83d"}, "'problem' holds half a surrogate pair"),
        ("harp", {"level": {"a": 1}}, "'level' is dict, expected text"),
        ("harp", {}, "its id '2011/AMC_10B/7' is that of row 1 too"),
        ("olympiadbench", {"question": None}, "'question' is null; fill it or drop the row"),
        ("olympiadbench", {"final_answer": [["1"]]}, "'final_answer' is list, expected text"),
        ("olympiadbench", {"final_answer": [{"a": 1}]}, "'final_answer' is dict, expected text"),
        ("olympiadbench", {"final_answer": {"a": 1}}, "'final_answer' is dict, expected text"),
        ("olympiadbench", {"final_answer": ["\udc00"]}, "'final_answer' holds half a surrogate pair"),
        ("olympiadbench", {"is_multiple_answer": "yes"}, "'is_multiple_answer' is str, expected true or false"),
        ("olympiadbench", {"is_proof": 0}, "'is_proof' is int, expected true or false"),
        ("olympiadbench", {"unit": None}, "its id '1606' is that of row 1 too"),
    ],
)
def test_malformed_row_is_one_error_that_names_file_and_row(tmp_path, adapter, changes, message):
    path = jsonl(tmp_path / "pool.jsonl", ROWS[adapter], ROWS[adapter] | changes)
    with pytest.raises(ArtifactError) as caught:
        load(path, adapter)
    assert str(caught.value).startswith(f"{path}: row 2: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("adapter", "changes", "reason"),
    [
        ("harp", {"answer": None}, "'answer' is empty"),
        ("harp", {"answer": float("nan")}, "'answer' is empty"),
        ("harp", {"answer": ""}, "'answer' is empty"),
        ("harp", {"answer": "\x0crac{1}{2}"}, "'answer' holds the control character U+000C"),
        ("harp", {"problem": "a\x00b"}, "'problem' holds the control character U+0000"),
        ("harp", {"problem": "x" * (LONGEST_TEXT + 1)}, "'problem' has more than 100,000 characters"),
        ("olympiadbench", {"final_answer": [float("nan")]}, "'final_answer' is empty"),
        ("olympiadbench", {"final_answer": ["\x08eta"]}, "'final_answer' holds the control character U+0008"),
        ("olympiadbench", {"context": "x" * 10**6}, "'context' has more than 100,000 characters"),
    ],
)
def test_unusable_row_is_left_out_and_named(tmp_path, adapter, changes, reason):
    bad = ROWS[adapter] | {"id": "bad", "number": "bad"} | changes
    pool = load(jsonl(tmp_path / "pool.jsonl", ROWS[adapter], bad), adapter)
    [ids] = pool.left_out.values()
    assert list(pool.left_out) == [reason]
    assert len(pool.problems) == 1 and ids[0].endswith("bad")


def test_id_that_cannot_be_one_is_replaced_by_the_place(tmp_path):
    pool = load(jsonl(tmp_path / "pool.jsonl", *plain_rows(1), {"id": "\x00", "question": "1+1?", "answer": "2"}))
    assert pool.left_out == {"'id' holds the control character U+0000": ["pool-00002"]}


def test_source_of_which_all_is_left_out_is_one_error_with_the_reasons(tmp_path):
    path = jsonl(tmp_path / "pool.jsonl", HARP_ROW | {"answer": ""}, HARP_ROW | {"answer": None})
    with pytest.raises(ArtifactError, match=r"holds no problem \(2 left out: 'answer' is empty\)"):
        load(path, "harp")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds 0 files, expected one .jsonl"),
        ({"a.jsonl": "{}", "b.jsonl": "{}"}, r"holds 2 files \(the first is 'a.jsonl'\), expected one .jsonl"),
        ({"HARP.csv": "a,b"}, r"holds 1 files \(the first is 'HARP.csv'\)"),
        ({"../\n.jsonl/x": "{}"}, r"holds 1 files \(the first is '../\\n.jsonl/x'\)"),
        ({"a.jsonl": "{"}, "row 1: is not JSON"),
        ({"a.jsonl": b"\xff"}, "row 1: is not UTF-8 text"),
        ({"a.jsonl": ""}, "holds no problem"),
    ],
)
def test_archive_that_is_not_one_jsonl_is_refused(tmp_path, members, message):
    path = zipped(tmp_path / "pool.jsonl.zip", members)
    with pytest.raises(ArtifactError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_notes_of_macos_in_an_archive_are_no_files(tmp_path):
    text = json.dumps(plain_rows(1)[0])
    path = zipped(tmp_path / "pool.zip", {"pool/": "", "pool/pool.jsonl": text, "__MACOSX/pool/._pool.jsonl": "?"})
    assert len(load(path).problems) == 1


@pytest.mark.parametrize("filler", [b" ", b"\n"])
def test_zip_bomb_is_refused_before_it_unpacks(tmp_path, filler):
    path = zipped(tmp_path / "pool.jsonl.zip", {"pool.jsonl": filler * (8 * files.MIB)})
    assert path.stat().st_size * files.UNPACKED_RATIO < files.MIB
    with pytest.raises(ArtifactError, match=r"unpacks to more than 1,048,576 bytes \(at most 1,073,741,824, and 100"):
        load(path)


def test_well_packed_small_archive_is_no_bomb(tmp_path):
    line = json.dumps({"question": "1+1?", "answer": "2"}) + "\n"
    path = zipped(tmp_path / "pool.jsonl.zip", {"pool.jsonl": line * 5000})
    assert path.stat().st_size * files.UNPACKED_RATIO < len(line) * 5000 < files.MIB
    assert len(load(path).problems) == 5000


def test_size_limit_holds_whatever_the_ratio(tmp_path, monkeypatch):
    rows = plain_rows(100)
    path = zipped(tmp_path / "pool.zip", {"pool.jsonl": "\n".join(map(json.dumps, rows))}, zipfile.ZIP_STORED)
    monkeypatch.setattr(files, "UNPACKED_LIMIT", 1000)
    with pytest.raises(ArtifactError, match="unpacks to more than 1,000 bytes"):
        load(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_archive_is_one_error_wherever_it_is_cut_or_changed(tmp_path, compression):
    path = zipped(tmp_path / "pool.zip", {"pool.jsonl": "\n".join(map(json.dumps, plain_rows(4)))}, compression)
    whole = path.read_bytes()
    for at in range(0, len(whole), 5):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            try:
                # Some bytes, such as the time of the file, mean nothing here.
                assert len(load(path).problems) == 4
            except ArtifactError as error:
                assert str(error).startswith(str(path)) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"question": "1+1?"}', "is dict, not a list"),
        (b'[{"question": "1+1?", "answer": "2"}, 3]', "row 2: is int, not a JSON object"),
        (b"[" * 100_000, "is not JSON"),
        (b"[{", "is not JSON"),
        (b"\xff", "is not UTF-8 text"),
        (b"[]", "holds no problem"),
    ],
)
def test_unusable_json_list_is_one_error(tmp_path, content, message):
    path = tmp_path / "pool.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_checksum_and_number_of_rows_are_checked_and_a_mismatch_names_both(tmp_path):
    path = jsonl(tmp_path / "pool.jsonl", *plain_rows(3))
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    wrong = "0" * 64
    assert len(load(path, sha256=right.upper(), rows=3).problems) == 3
    with pytest.raises(ArtifactError, match=f"its SHA-256 is {right}, but `sha256` of the data set is {wrong}"):
        load(path, sha256=wrong, rows=3)
    with pytest.raises(ArtifactError, match="holds 3 rows, but `rows` of the data set is 4"):
        load(path, sha256=right, rows=4)


def test_checksum_comes_before_the_content(tmp_path):
    path = tmp_path / "pool.parquet"
    path.write_bytes(b"cut off")
    with pytest.raises(ArtifactError, match="its SHA-256 is"):
        load(path, sha256="0" * 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapter": "harp"}, "needs `path` or `hub`"),
        ({"adapter": "harp", "path": "a.jsonl", "hub": "a/b", "split": "test"}, "needs `path` or `hub`, one of them"),
        ({"adapter": "harp", "hub": "a/b"}, "`hub` needs `split`"),
        ({"adapter": "harp", "path": "a.jsonl", "split": "test"}, "belong to `hub`"),
        ({"adapter": "harp", "hub": "a/b", "split": "test", "sha256": "0" * 64}, "`sha256` is that of the file"),
        ({"adapter": "harp", "path": "a.jsonl", "sha256": "0" * 63}, "sha256"),
        ({"adapter": "harp", "path": "a.jsonl", "rows": 0}, "rows"),
        ({"adapter": "digit_shuffles", "difficulties": (1,), "size": 1, "path": "a.jsonl"}, "reads nothing"),
        ({"adapter": "gsm8k", "path": "a.jsonl"}, "adapter"),
    ],
)
def test_impossible_data_set_is_refused_by_the_configuration(options, message):
    with pytest.raises(ValidationError, match=message):
        DatasetConfig(**options)


@pytest.fixture
def hub_data_set(tmp_path) -> Path:
    """What `datasets` finds behind an id: here a folder laid out as a repository of the hub with two subsets."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for subset in ("one", "two"):
        rows = [OLYMPIADBENCH_ROW | {"id": i, "subfield": subset} for i in range(3)]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{subset}.parquet")
    subsets = "".join(f"- config_name: {name}\n  data_files: {name}.parquet\n" for name in ("one", "two"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{subsets}---\n", encoding="utf-8")
    return folder


def run_stage(dataset: DatasetConfig, problems: Path, home: Path) -> subprocess.CompletedProcess:
    """The stage as the workflow runs it, with a cache of its own and no network."""
    settings = settings_options(problems.parent, Settings(pool=dataset.pool, grading=DatasetGrading()))
    module = "soar_pipeline.stages.load_problems"
    return subprocess.run(
        [sys.executable, "-m", module, *settings, "--pool", "pool", "--source", "--problems", str(problems)],
        # Read as the library is imported.
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_data_set_of_the_hub_is_read_by_subset_and_split(hub_data_set, tmp_path):
    options = {"adapter": "olympiadbench", "hub": str(hub_data_set), "split": "train", "rows": 3}
    problems = tmp_path / "problems.parquet"
    done = run_stage(DatasetConfig(**options, subset="two"), problems, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert [row["subject"] for row in read_rows(problems, PROBLEMS)] == ["two"] * 3
    assert read_provenance(problems)["inputs"] == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subset": "three"}, "could not be downloaded from the Hub (BuilderConfig 'three' not found"),
        ({"subset": "one", "split": "test"}, 'could not be downloaded from the Hub (Unknown split "test"'),
        ({"hub": "nobody/nothing"}, "could not be downloaded from the Hub (Couldn't reach 'nobody/nothing' on the Hub"),
        ({"subset": "one", "rows": 4}, "holds 3 rows, but `rows` of the data set is 4"),
    ],
)
def test_data_set_that_cannot_be_had_is_one_line_that_says_what_to_do(hub_data_set, tmp_path, changes, message):
    options = {"adapter": "olympiadbench", "hub": str(hub_data_set), "split": "train"} | changes
    done = run_stage(DatasetConfig(**options), tmp_path / "problems.parquet", tmp_path / "home")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if "error: " in line]
    assert message in line and "Traceback" not in done.stderr
    assert ("download the file elsewhere and give `path`" in line) == ("rows" not in changes)
