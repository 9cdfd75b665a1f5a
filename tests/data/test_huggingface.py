"""Data sets of Hugging Face: columns, names of classes, row groups, damaged files. Shards: see test_shards.py."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support.shard_files import png, some, table, write_arrow, write_parquet

from tfcore.data import parquet
from tfcore.data.dataset import Dataset
from tfcore.data.sources.huggingface import huggingface
from tfcore.errors import DataError

PAIRS = some(8)
PICTURES, LABELS = [picture for picture, _ in PAIRS], [label for _, label in PAIRS]
WRITERS = {".parquet": write_parquet, ".arrow": write_arrow}
every_format = pytest.mark.parametrize("suffix", WRITERS)


def read(path: Path, **settings: Any) -> Dataset:
    defaults = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
    return huggingface(path, **{**defaults, **settings})


@every_format
@pytest.mark.parametrize(
    ("image", "label"), [("image", "label"), ("img", "fine_label"), ("image", "labels")], ids=lambda name: name
)
def test_the_usual_columns_are_found(tmp_path: Path, suffix: str, image: str, label: str) -> None:
    rows = table(PAIRS, image=image, label=label).append_column("coarse_label", [[0] * 8])
    WRITERS[suffix](tmp_path / f"a{suffix}", rows)
    data = read(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.train.store.read(np.arange(8)) == PICTURES
    assert data.train._stored.labels.tolist() == LABELS


@every_format
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
@pytest.mark.parametrize("number", [pa.int8(), pa.uint64()], ids=str)
def test_plain_bytes_and_any_whole_numbers(tmp_path: Path, suffix: str, kind: pa.DataType, number: pa.DataType) -> None:
    rows = pa.table({"image": pa.array(PICTURES, kind), "label": pa.array(LABELS, number)})
    WRITERS[suffix](tmp_path / f"a{suffix}", rows)
    data = read(tmp_path)
    assert data.class_names == ("0", "1")
    assert data.train.store.read(np.array([7, 0, 3])) == [PICTURES[index] for index in (7, 0, 3)]


def test_the_file_format_of_arrow_is_read_too(tmp_path: Path) -> None:
    rows = table(PAIRS)
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=3)
    assert read(tmp_path).train.store.read(np.arange(8)) == PICTURES


def test_what_the_library_caches_is_not_read(tmp_path: Path) -> None:
    write_arrow(tmp_path / "a.arrow", table(PAIRS))
    write_arrow(tmp_path / "cache-0123.arrow", table(PAIRS))
    assert len(read(tmp_path).train.store) == 8


@every_format
@pytest.mark.parametrize(
    "metadata", [None, b"{", b"[]", b"null", json.dumps({"info": {"features": {"label": {"names": 3}}}}).encode()]
)
def test_odd_descriptions_name_nothing(tmp_path: Path, suffix: str, metadata: bytes | None) -> None:
    rows = table(PAIRS).replace_schema_metadata({"huggingface": metadata} if metadata else None)
    WRITERS[suffix](tmp_path / f"a{suffix}", rows)
    assert read(tmp_path).class_names == ("0", "1")


COLUMNS: dict[str, Any] = {"image": PICTURES, "label": LABELS}


@every_format
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": PICTURES, "caption": LABELS}, "must have a column of pictures .* Its columns are image, caption"),
        ({"label": LABELS}, "must have a column of pictures"),
        ({**COLUMNS, "image": LABELS}, "The column image of .* must hold encoded pictures: .* It holds int64"),
        ({**COLUMNS, "image": [{"path": "a.png"}] * 8}, "The column image of .* must hold encoded pictures"),
        ({**COLUMNS, "label": ["cat"] * 8}, "The column label of .* must hold whole numbers. It holds string"),
        ({**COLUMNS, "label": [None, *LABELS[1:]]}, "record 0, has no label|1 rows have none"),
        ({**COLUMNS, "image": [*PICTURES[:3], None, *PICTURES[4:]]}, "record 3, has no picture in the file itself"),
        ({**COLUMNS, "label": [-1, *LABELS[1:]]}, "Labels must be whole numbers from 0"),
        ({**COLUMNS, "label": pa.array([2**64 - 1, *LABELS[1:]], pa.uint64())}, "is damaged or"),
    ],
)  # fmt: skip
def test_bad_columns_are_named(tmp_path: Path, suffix: str, columns: dict[str, Any], message: str) -> None:
    WRITERS[suffix](tmp_path / f"a{suffix}", pa.table(columns))
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_compressed_arrow_files_are_refused(tmp_path: Path) -> None:
    pairs = [(png(number, (40, 40)), number % 2) for number in range(4)]
    write_arrow(tmp_path / "a.arrow", table(pairs), options=pa.ipc.IpcWriteOptions(compression="lz4"))
    with pytest.raises(DataError, match=r"a\.arrow .*: it is compressed, and is not read by index\. Save it without"):
        read(tmp_path)


def test_one_kind_of_files_at_a_time(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", table(PAIRS))
    write_arrow(tmp_path / "test.arrow", table(PAIRS))
    with pytest.raises(DataError, match=r"must hold \.parquet or \.arrow files, not both"):
        read(tmp_path)


def test_row_groups_stay_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reads: list[int] = []
    real = parquet._pictures
    monkeypatch.setattr(parquet, "_pictures", lambda group, column: reads.append(group.number) or real(group, column))
    write_parquet(tmp_path / "a.parquet", table(PAIRS), row_group_size=2)
    store = read(tmp_path, image_size=(5, 4)).train.store
    assert caplog.records == []
    reads.clear()
    assert store.read(np.array([7, 0, 7, 1, 6])) == [PICTURES[index] for index in (7, 0, 7, 1, 6)]
    assert reads == []  # all were kept when the headers were looked at

    monkeypatch.setattr(parquet, "CACHE_BYTES", 2 * store._groups[0].size)
    store = read(tmp_path).train.store
    (record,) = caplog.records
    assert "Convert the data set once with `tfcore convert --format=records`" in record.getMessage()
    for _ in range(2):
        reads.clear()
        assert store.read(np.array([7, 0, 4, 1, 6])) == [PICTURES[index] for index in (7, 0, 4, 1, 6)]
        assert len(reads) <= 3
        assert len(store._cached) <= 2


def test_a_row_group_larger_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "a.parquet", table(PAIRS))
    monkeypatch.setattr(parquet, "MEMORY_BYTES", 1000)
    with pytest.raises(DataError, match=r"Row group 0 of .* must have at most 250 bytes, a quarter of this machine"):
        read(tmp_path)


@pytest.mark.parametrize("image", ["img", "picture of another name"])
def test_all_files_have_the_same_columns(tmp_path: Path, image: str) -> None:
    write_parquet(tmp_path / "train-1.parquet", table(PAIRS))
    write_parquet(tmp_path / "train-2.parquet", table(PAIRS, image=image))
    with pytest.raises(DataError, match=r"must have the same columns|train-2\.parquet must have a column of pictures"):
        read(tmp_path)


def test_a_file_that_is_replaced_during_a_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "CACHE_BYTES", 0)
    write_parquet(tmp_path / "a.parquet", table(PAIRS))
    store = read(tmp_path).train.store
    write_parquet(tmp_path / "a.parquet", table(PAIRS[:4]))
    with pytest.raises(DataError, match=r"a\.parquet has changed since it was indexed"):
        store.read(np.array([0]))


def test_without_pyarrow_the_user_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"needs pyarrow .*Install it with `pip install tfcore\[parquet\]`"):
        read(tmp_path)
