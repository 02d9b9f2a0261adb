"""Artifacts in parts: what is read and written piece by piece is what it would be whole."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soar_pipeline.artifacts.files import (
    ArtifactError,
    read_artifact,
    read_parquet,
    read_parts,
    table,
    write_parquet,
    write_parts,
)
from soar_pipeline.artifacts.provenance import Provenance, digest, read_provenance
from soar_pipeline.artifacts.schemas import ATTEMPTS, ROWS_AT_ONCE

MADE = Provenance("made", {"a": 1})


def attempts(rows: range) -> pa.Table:
    fields = {"extracted_answer": None, "verdict": "no_box", "tokens": 3, "truncated": False}
    return table(
        ({"problem_id": f"p{i}", "sample": i, "completion": "x" * (i % 7), **fields} for i in rows),
        ATTEMPTS,
        dataset="made",
    )


def test_parts_make_the_file_that_the_whole_makes(tmp_path):
    size = 2 * ROWS_AT_ONCE + 5
    write_parquet(tmp_path / "whole.parquet", attempts(range(size)), MADE)
    write_parts(
        tmp_path / "parts.parquet",
        ATTEMPTS,
        (attempts(range(i, min(i + 999, size))) for i in range(0, size, 999)),
        MADE,
    )
    assert read_parquet(tmp_path / "parts.parquet", ATTEMPTS).equals(read_parquet(tmp_path / "whole.parquet", ATTEMPTS))
    assert pa.concat_tables(read_parts(tmp_path / "parts.parquet", ATTEMPTS)).equals(attempts(range(size)))
    assert digest(tmp_path / "parts.parquet") == digest(tmp_path / "whole.parquet")
    assert read_provenance(tmp_path / "parts.parquet") == read_provenance(tmp_path / "whole.parquet")
    # Two parts are put together before they are written, so no row group is tiny but the last.
    groups = pq.ParquetFile(tmp_path / "parts.parquet").metadata
    assert groups.num_row_groups < 2 * size / ROWS_AT_ONCE + 1


@pytest.mark.parametrize("size", [0, 1, ROWS_AT_ONCE, 3 * ROWS_AT_ONCE + 1])
def test_a_digest_is_of_the_rows_and_not_of_the_row_groups(size, tmp_path):
    digests = set()
    for group in (3, 1000, ROWS_AT_ONCE, 10**6):
        pq.write_table(attempts(range(size)), tmp_path / "file.parquet", row_group_size=group)
        digests.add(digest(tmp_path / "file.parquet"))
    assert len(digests) == 1
    pq.write_table(attempts(range(1, size + 2)), tmp_path / "file.parquet")
    assert digest(tmp_path / "file.parquet") not in digests


def test_no_parts_make_an_empty_file(tmp_path):
    write_parts(tmp_path / "file.parquet", ATTEMPTS, [], MADE)
    assert read_parquet(tmp_path / "file.parquet", ATTEMPTS).equals(ATTEMPTS.empty_table())
    write_parquet(tmp_path / "other.parquet", ATTEMPTS.empty_table(), MADE)
    assert digest(tmp_path / "file.parquet") == digest(tmp_path / "other.parquet")


def test_only_the_wanted_columns_are_read_and_checked(tmp_path):
    whole = attempts(range(3))
    pq.write_table(whole.drop_columns(["tokens"]), tmp_path / "file.parquet")
    read = read_parquet(tmp_path / "file.parquet", ATTEMPTS, columns=["problem_id", "verdict"])
    assert read.equals(whole.select(["problem_id", "verdict"]))
    with pytest.raises(ArtifactError, match=r"column 'tokens' is missing; it has \['dataset'"):
        read_parquet(tmp_path / "file.parquet", ATTEMPTS, columns=["tokens"])
    with pytest.raises(ArtifactError, match="column 'tokens' is missing"):
        list(read_parts(tmp_path / "file.parquet", ATTEMPTS))


def test_a_required_value_that_is_missing_is_refused_in_parts_too(tmp_path):
    holes = attempts(range(3)).set_column(1, "problem_id", pa.array(["a", None, "b"]))
    pq.write_table(holes, tmp_path / "file.parquet")
    with pytest.raises(ArtifactError, match="column 'problem_id' has empty values"):
        list(read_parts(tmp_path / "file.parquet", ATTEMPTS))


def test_any_artifact_is_read_as_a_frame(tmp_path):
    write_parquet(tmp_path / "file.parquet", attempts(range(3)), MADE)
    frame = read_artifact(str(tmp_path / "file.parquet"))
    assert list(frame.columns) == ATTEMPTS.names
    assert list(frame.problem_id) == ["p0", "p1", "p2"]


def test_a_file_that_is_no_artifact_is_not_read_as_one(tmp_path):
    pq.write_table(attempts(range(3)).drop_columns(["tokens"]), tmp_path / "file.parquet")
    with pytest.raises(ArtifactError, match=r"file.parquet: no artifact has the columns \['dataset'"):
        read_artifact(tmp_path / "file.parquet")
    holes = attempts(range(3)).set_column(1, "problem_id", pa.array(["a", None, "b"]))
    pq.write_table(holes, tmp_path / "holes.parquet")
    with pytest.raises(ArtifactError, match="column 'problem_id' has empty values"):
        read_artifact(tmp_path / "holes.parquet")
    with pytest.raises(ArtifactError, match=r"absent.parquet: does not exist"):
        read_artifact(tmp_path / "absent.parquet")
