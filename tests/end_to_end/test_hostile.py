"""Every reader refuses invalid inputs at once, in one line that names the file."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.readers import READERS

from tfcore.errors import TfcoreError

# Files that a run may lack; and readers that may accept a truncated file.
OPTIONAL = ("class names", "run's result", "run's curves", "run's log", "run's events")
TEXTS = (
    "text", "text file", "class names", "cifar names", "run's flags", "run's curves", "run's log", "run's times",
    "run's events", "tfrecord",
)  # fmt: skip
every_reader = pytest.mark.parametrize("name", READERS)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # the absolute path may be too long for a socket


NO_FILES: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": bind,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "circle": lambda path: path.symlink_to(path.name),
    "broken link": lambda path: path.symlink_to("nowhere"),
}


def refused(name: str, folder: Path) -> str:
    """Reads; returns the one-line error, which names at least the folder, or "" if the input was accepted."""
    try:
        READERS[name].read(folder)
    except TfcoreError as error:
        message = str(error)
    else:
        return ""
    assert "\n" not in message
    assert str(folder) in message or "`" in message  # an argument: of a very short cut, or where the name is not text
    return message


def assert_refused(name: str, folder: Path) -> None:
    assert Path(READERS[name].file).parts[0] in refused(name, folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.sampled(4)
@every_reader
def test_a_good_input_is_read_also_where_a_folder_is_called_by_no_text(folder: Path, name: str) -> None:
    (folder / "plain").mkdir()
    READERS[name].make(folder / "plain")
    READERS[name].read(folder / "plain")
    path = (folder / "plain").rename(folder / os.fsdecode(b"caf\xe9"))
    refusal = refused(name, path)
    assert not refusal or "UTF-8" in refusal or "codec can't encode" in refusal  # as TensorFlow writes it


@pytest.mark.sampled(6)
@every_reader
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused_at_once(folder: Path, name: str, kind: str) -> None:
    path = made(folder, name)
    path.unlink()
    NO_FILES[kind](path)
    if kind != "broken link" or name not in OPTIONAL:
        assert_refused(name, folder)


def made(folder: Path, name: str) -> Path:
    """Makes a valid input; returns its file."""
    READERS[name].make(folder)
    return folder / READERS[name].file


@pytest.mark.sampled(4)
@every_reader
def test_a_file_that_may_not_be_read_is_named(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's folders are closed to other users
        folder = Path(place)
        folder.chmod(0o777)
        path = made(folder, name)
        _import_all_of(name)
        for closed in (path,) if name == "run's log" else (path, path.parent):  # whose lock is taken first
            before = closed.stat().st_mode
            closed.chmod(0)
            with unprivileged():
                assert_refused(name, folder) if closed == path else refused(name, folder)
            closed.chmod(before)


def _import_all_of(name: str) -> None:
    """Reads a valid input, which imports what it needs: an unprivileged user may be unable to read the project."""
    with tempfile.TemporaryDirectory() as place:
        made(Path(place), name)
        READERS[name].read(Path(place))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Acts as an unprivileged user, since permissions do not apply to root."""
    own_user = os.geteuid()
    os.seteuid(own_user or 65534)
    try:
        yield
    finally:
        os.seteuid(own_user)


@pytest.mark.sampled(4)
@every_reader
def test_a_file_cut_anywhere_is_read_or_refused_in_one_line(folder: Path, name: str) -> None:
    path = made(folder, name)
    whole = path.read_bytes()
    count = 10 if name.startswith(("run", "checkpoint", "archive")) else 40
    ends = {*range(min(count, len(whole))), *np.linspace(0, len(whole) - 1, count, dtype=int).tolist()}
    refusals = []
    for end in sorted(ends):
        path.write_bytes(whole[:end])
        refusals.append(refused(name, folder))
    assert name in TEXTS or all(refusals[: count // 2])
