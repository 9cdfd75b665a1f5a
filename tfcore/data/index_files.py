"""Files that keep what was found out about a data set, beside it or in the cache folder, for later starts."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfcore.data.download import data_dir
from tfcore.files import UNFINISHED, open_file, sync

FOLDER = ".tfcore-index"
HOMELESS = "The index of %s can be written neither there nor in %s, and is made anew at every start."
_DIGEST_BYTES = 16


def kept(path: Path, kind: str) -> Iterator[tuple[Any, memoryview]]:
    """Yields the head, as JSON gave it, and the body of each intact file that is kept of `path`.

    Args:
        path: a file or folder of the data set.
        kind: a word for what is kept.
    """
    for place in _places(path, kind):
        try:
            with open_file(place) as file:
                data = file.read()
            content = memoryview(data)[_DIGEST_BYTES:]  # which copies nothing
            if hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() != data[:_DIGEST_BYTES]:
                continue
            end = data.index(b"\n", _DIGEST_BYTES)
            head = json.loads(data[_DIGEST_BYTES:end])
        except (OSError, ValueError, RecursionError, MemoryError):
            continue
        yield head, memoryview(data)[end + 1 :]


def keep(path: Path, kind: str, head: Any, body: bytes) -> bool:
    """Writes a file at the first place that can be written, under another name and then renamed.

    Returns:
        Whether there is such a place.
    """
    first = json.dumps(head).encode() + b"\n"
    digest = hashlib.blake2b(first, digest_size=_DIGEST_BYTES)
    digest.update(body)
    for place in _places(path, kind):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=place.parent) as scratch:
                written = Path(scratch, place.name)
                with written.open("wb") as file:
                    file.writelines((digest.digest(), first, body))
                sync(written)
                os.replace(written, place)
            return True
        except OSError:
            continue
    return False


def _places(path: Path, kind: str) -> tuple[Path, Path]:
    """The files that may be kept of `path`: beside it, and in the cache folder."""
    folder = path.parent.absolute()
    name = f"{path.name}.{kind}"
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=_DIGEST_BYTES).hexdigest()
    return folder / FOLDER / name, data_dir("") / "indexes" / digest / name
