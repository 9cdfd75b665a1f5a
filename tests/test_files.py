"""Sources are read without waiting; targets appear whole or not at all, and nothing else is overwritten."""

import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfcore import files
from tfcore.errors import DiskError, RunError
from tfcore.files import appearing, open_file, read_text, reason, replacing, unfinished


def test_a_file_appears_with_the_folders_above_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "model.npz"
    with appearing(path) as scratch:
        scratch.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_appears(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with appearing(path) as scratch:
        (scratch / "variables").mkdir(parents=True)
        (scratch / "program").write_text("12345")
        (scratch / "variables" / "data").write_text("123")
    assert {part.name for part in path.rglob("*")} == {"program", "variables", "data"}
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with appearing(tmp_path / "model.npz") as scratch:
            scratch.write_text("half")
            raise KeyError("a mistake")

    with pytest.raises(KeyError):
        write_half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.npz"
    {"file": path.touch, "folder": path.mkdir, "dangling link": lambda: path.symlink_to("nowhere")}[kind]()
    with pytest.raises(RunError, match=r"model\.npz is there already"), appearing(path):
        pytest.fail("the block must not run")


def test_a_place_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "model.npz"
    with pytest.raises(RunError, match=r"model\.npz cannot be written: File exists"), appearing(path):
        pytest.fail("the block must not run")


def test_what_came_in_the_meantime_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"

    def write_late() -> None:
        with appearing(path) as scratch:
            scratch.write_text("late")
            path.write_text("another's")

    with pytest.raises(RunError, match=r"model\.npz is there already"):
        write_late()
    assert path.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [path]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (pipe, "it is no regular file"),
        (Path.mkdir, "it is no regular file"),
        (socket_at, "it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is no regular file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    ],
    ids=["pipe", "folder", "socket", "device", "loop", "broken link"],
)
@pytest.mark.parametrize("read", [open_file, read_text])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], told: str, read: Callable[[Path], object]
) -> None:
    make(tmp_path / "x")
    with pytest.raises(OSError, match=told):
        read(tmp_path / "x")


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    regular = os.stat(__file__)
    monkeypatch.setattr(files.os, "stat", lambda _: regular)
    with open_file(tmp_path / "pipe") as file:
        assert file.read() == b""


def test_a_text_is_read_whole_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("größe\r\n".encode())
    assert read_text(path) == "größe\r\n"
    monkeypatch.setattr(files, "TEXT_BYTES", 9)
    assert read_text(path) == "größe\r\n"
    monkeypatch.setattr(files, "TEXT_BYTES", 8)
    with pytest.raises(OSError, match="it has more than 8 bytes"):
        read_text(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(path)


@contextmanager
def full_disk() -> Iterator[None]:
    """Lets no file grow over 1,000 bytes, which meets what a full disk gives."""
    own_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, own_limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own_limits)


@pytest.mark.parametrize("before", [None, "before"])
def test_a_file_takes_the_place_of_what_was_there(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "result.json"
    if before:
        path.write_text(before)
    with replacing(path) as scratch:
        scratch.write_text("after")
        assert path.exists() == bool(before)
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_where_a_file_is_prepared_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    unfinished(tmp_path / "result.json").symlink_to(tmp_path / "mine")
    with replacing(tmp_path / "result.json") as scratch:
        scratch.write_text("after")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "result.json").is_symlink()


def test_what_cannot_be_replaced_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("before")
    with full_disk(), pytest.raises(DiskError, match=r"result\.json cannot be written: File too large\.$"):
        with replacing(path) as scratch:
            scratch.write_text("after" * 1000)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_another_kind_is_let_through(tmp_path: Path) -> None:
    def write_half() -> None:
        with replacing(tmp_path / "result.json") as scratch:
            scratch.write_text("half")
            raise KeyError("a mistake")

    with pytest.raises(KeyError):
        write_half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("odd"), "odd"),
        (OSError(), "OSError"),
        (RuntimeError("{{node Save}} run/state_temp/part-0; No space left [Op:SaveV2]\nmore"), "No space left"),
        (RuntimeError("run/events; Read-only file system"), "Read-only file system"),
        (RuntimeError("Writer not initialized."), "Writer not initialized"),
    ],
)
def test_the_reason_is_what_the_system_said(error: Exception, told: str) -> None:
    assert reason(error) == told
