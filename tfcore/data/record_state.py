"""The state of a conversion to records: a hidden file with a line for each finished shard, which one process may use.

The first line has the settings that decide what is written. The file is in the folder until the manifest is there, so a
conversion that ended early, in whatever way, goes on with what it lacks.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from tfcore.data.record_manifest import MANIFEST, STATE, Images, Piece
from tfcore.errors import RunError
from tfcore.files import TEXT_BYTES, appearing, refuse_existing, writing

Settings = Mapping[str, Any]  # by flag; `data` for what tells the examples from others


class State:
    """The finished shards of a conversion, by the names of their files.

    Args:
        file: the state file, open for reading and writing, positioned after its last whole line.
        finished: the shards of its lines.
    """

    def __init__(self, file: IO[bytes], finished: dict[str, tuple[Piece, Images]]) -> None:
        self._file, self.finished = file, finished
        self._lock = threading.Lock()

    def add(self, piece: Piece, images: Images) -> None:
        """Records that a shard is in its place; for several threads.

        Raises:
            DiskError: the line cannot be written.
        """
        line = json.dumps({"piece": asdict(piece), "images": asdict(images)}) + "\n"
        with self._lock, writing(Path(self._file.name)):
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
            self.finished[piece.file] = piece, images


def is_unfinished(out: Path) -> bool:
    """Whether a folder holds a conversion that has begun and not ended."""
    return (out / STATE).is_file() and not os.path.lexists(out / MANIFEST)


@contextmanager
def begun(out: Path, settings: Settings) -> Iterator[State]:
    """Begins a conversion, or goes on with one; at the end of the block, the manifest has to be there.

    Args:
        out: the folder, which is created, or that of an unfinished conversion.
        settings: what decides the bytes of the shards: numbers, text, booleans or None.

    Raises:
        RunError: the folder is something else, in use, or its conversion has other settings.
        DiskError: it cannot be written.
    """
    if not is_unfinished(out):
        with appearing(out) as scratch:
            scratch.mkdir()
            (scratch / STATE).write_text(json.dumps(settings) + "\n")
    with writing(out):
        file = (out / STATE).open("r+b")
    with file:
        _lock(file, out)
        if not is_unfinished(out):  # another process has finished it meanwhile
            refuse_existing(out)
        yield State(file, _finished(file, out, settings))
        with writing(out):
            (out / STATE).unlink()


def _lock(file: IO[bytes], out: Path) -> None:
    """Locks the state file for this process, until it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"{out} is in use by another process. Wait for it, or name another --out.") from None


def _finished(file: IO[bytes], out: Path, settings: Settings) -> dict[str, tuple[Piece, Images]]:
    """Reads the shards of the whole lines, and positions the file after them."""
    try:
        _check_settings(json.loads(file.readline(TEXT_BYTES)), out, settings)
    except (ValueError, AttributeError, RecursionError):
        raise RunError(f"{out / STATE} is damaged. Delete {out}, or name another --out.") from None
    found: dict[str, tuple[Piece, Images]] = {}
    end = file.tell()
    for line in iter(lambda: file.readline(TEXT_BYTES), b""):
        try:
            entry = json.loads(line)
            piece, images = Piece(**entry["piece"]), Images(**entry["images"])
            size = images.size and (images.size[0], images.size[1])  # JSON has lists
        except (ValueError, KeyError, TypeError, RecursionError):
            break  # a line that was being written when the process ended
        found[piece.file] = piece, replace(images, size=size)
        end = file.tell()
    file.seek(end)
    file.truncate()
    return found


def _check_settings(there: dict[str, Any], out: Path, settings: Settings) -> None:
    """Raises RunError where an unfinished conversion has other settings."""
    other = [name for name in settings if there.get(name) != settings[name]]
    if other:
        flags = [f"--{name}={settings[name]} (there: {there.get(name)})" for name in other if name != "data"]
        what = ", ".join(flags) or "other pictures or labels"
        raise RunError(
            f"{out} is an unfinished conversion, and this one has {what}. Give the same flags, name another --out, or "
            "delete it."
        )
