"""Untrusted logs: read in lines and records of bounded size, or refused with a one-line error."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tfcore.errors import RunError
from tfcore.training import log_files
from tfcore.training.run_log import trim


def record(length: int, data: bytes = b"") -> bytes:
    """The start of a record with a claimed length and its valid checksum."""
    header = struct.pack("<Q", length)
    return header + struct.pack("<I", masked_crc32c(header)) + data


def events(folder: Path, content: bytes) -> Path:
    (folder / "train").mkdir()
    path = folder / "train" / "events.out.tfevents.1"
    path.write_bytes(content)
    return path


def written(path: Path, *records: bytes) -> bytes:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in records:
            writer.write(data)
    return path.read_bytes()


@pytest.mark.parametrize("claimed", [2**24 + 1, 3 * 10**9, 2**62, 2**64 - 1])
def test_a_record_that_claims_too_much_is_refused(tmp_path: Path, claimed: int) -> None:
    """TensorFlow's own reader would allocate the memory or crash."""
    good = written(tmp_path / "good", b"one", b"two")
    path = events(tmp_path, good + record(claimed, b"rest"))
    with pytest.raises(RunError, match=rf"tfevents\.1 is damaged: at byte {len(good)} it claims {claimed} bytes"):
        trim(tmp_path, 10)
    assert path.read_bytes() == good + record(claimed, b"rest")


@pytest.mark.parametrize("end", [b"", b"\1\2\3", b"\xff" * 40, record(100, b"cut short")])
def test_a_damaged_end_is_no_obstacle(tmp_path: Path, end: bytes) -> None:
    log_files.check_records(events(tmp_path, written(tmp_path / "good", b"one", b"two") + end))


def test_a_record_that_is_no_event_goes(tmp_path: Path) -> None:
    path = events(tmp_path, written(tmp_path / "good", b"\xff\xff\xff"))
    trim(tmp_path, 10)
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "line", ["[" * 10**5, "[1]", "3", '{"step": 1}', '{"step": "a", "split": "train"}', "\udcff", "9" * 5000]
)
def test_a_line_that_is_none_of_ours_goes(tmp_path: Path, line: str) -> None:
    good = '{"step": 1, "split": "train"}\n'
    (tmp_path / "metrics.jsonl").write_text(f"{good}{line}\n{good}", encoding="utf-8", errors="surrogateescape")
    trim(tmp_path, 10)
    assert (tmp_path / "metrics.jsonl").read_text() == good + good


def test_a_line_without_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_LARGEST_BYTES", 100)
    (tmp_path / "metrics.jsonl").write_bytes(b"{}\n" + bytes(1000))
    with pytest.raises(RunError, match=r"Line 2 of .*metrics\.jsonl has 100 bytes or more\. Delete the file\."):
        trim(tmp_path, 10)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
@pytest.mark.parametrize("name", ["metrics.jsonl", "train/events.out.tfevents.1"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    (tmp_path / "train").mkdir()
    make(tmp_path / name)
    with pytest.raises(RunError, match=rf"{name} cannot be read: it is no regular file\."):
        trim(tmp_path, 10)
