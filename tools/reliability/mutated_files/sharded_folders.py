"""Mutates data sets of encoded pictures in shards: their records, headers and footers, and the indexes kept of them."""

import functools
import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tests.support import shard_files
from tfcore.data import index_files
from tfcore.data.sources import folder, huggingface, listing, tfds, tfrecord, webdataset
from tools.reliability.mutated_files import archives, mutate, picture_folders
from tools.reliability.mutated_files.reader import MIB, Files, Reader, check_dataset, mutated, watched

_SETTINGS = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
_READ: dict[str, tuple[Any, Callable[..., Any]]] = {
    "tfrecord": (tfrecord, tfrecord.tfrecord),
    "webdataset": (webdataset, webdataset.webdataset),
    "huggingface": (huggingface, huggingface.huggingface),
    "tfds": (tfds, tfds.tfds),
}
_MEMORY_BYTES = 1280 * MIB  # as of folders: a picture may have 64 million pixels
_FOOTER_BYTES = 4000  # of a Parquet file, at most
_HEADER_BYTES = 2000  # of an Arrow or ArrayRecord file, with the first pictures
_DIGEST_BYTES = 16  # of an index
_ODD_INDEX = ".odd-index"  # a file that tells `read` to mutate what is kept; hidden from the readers


@functools.cache
def _written(form: str, first: int) -> dict[str, bytes]:
    """The files of a small data set, with pictures that are numbered from `first`."""
    with tempfile.TemporaryDirectory() as place:
        splits = {"train": shard_files.some(6, first), "test": shard_files.some(4, first + 50)}
        shard_files.write(form, Path(place), splits)
        files = [path for path in Path(place).rglob("*") if path.is_file()]
        return {str(path.relative_to(place)): path.read_bytes() for path in files}


def _files(form: str, draw: Random, bad: bool) -> Files:
    good = _written(form, draw.choice((0, 100)))
    if not bad:
        return {**good}
    if draw.random() < 0.2:
        return {**good, _ODD_INDEX: b""}
    if draw.random() < 0.1:  # a shard of another data set, or under the name of another split
        name, other = draw.choice(list(good)), _written(form, 7)
        return {**good, name: other[draw.choice(list(other))]}
    return mutated(draw, {**good}, lambda name, content: _odd(form, name, draw, content))


def _odd(form: str, name: str, draw: Random, content: bytes) -> bytes:
    """Mutates a file of a data set."""
    if name.endswith(".json"):
        return mutate.json_text(draw, json.loads(content))
    if name.endswith(".txt"):
        return mutate.lines(draw, content)
    if draw.random() < 0.1:
        return mutate.damage(draw, content[:_FOOTER_BYTES]) + content[_FOOTER_BYTES:]
    if form in ("tfrecord", "tfds"):
        return b"".join(_odd_records(draw, list(_records(content))))
    if form == "webdataset":
        return _odd_tar(draw, content)
    if form == "parquet":
        return mutate.flip(draw, content, max(0, len(content) - _FOOTER_BYTES))
    end = draw.choice((200, _HEADER_BYTES))  # an ArrayRecord ends with zeros, and has some in its header
    while (changed := mutate.flip(draw, content[:end])) == content[:end]:
        pass
    return changed + content[end:]


def _records(content: bytes) -> Iterator[bytes]:
    """The payloads of a file of TFRecords."""
    while content:
        (length,) = struct.unpack_from("<Q", content)
        yield content[12 : 12 + length]
        content = content[16 + length :]


def _odd_records(draw: Random, payloads: list[bytes]) -> Iterator[bytes]:
    """TFRecords with right checksums of wrong payloads, or with a wrong length that has a right checksum."""
    if draw.random() < 0.3:
        payloads = mutate.rearrange(draw, payloads, [b"", b"\n\x00", bytes(1000)])
    odd = draw.randrange(max(1, len(payloads)))
    for number, payload in enumerate(payloads):
        length = len(payload)
        if number == odd and draw.random() < 0.3:
            length = mutate.integer(draw, length, 64)
        elif number == odd:
            is_picture = draw.random() < 0.7  # from its 60th byte on
            payload = mutate.flip(draw, payload, 60) if is_picture else mutate.damage(draw, payload)
            length = len(payload)
        header = struct.pack("<Q", length)
        yield header + struct.pack("<I", masked_crc32c(header)) + payload + struct.pack("<I", masked_crc32c(payload))


def _odd_tar(draw: Random, content: bytes) -> bytes:
    """A tar with one field of a header changed, and the header's checksum corrected."""
    block = archives.BLOCK * draw.randrange(len(content) // archives.BLOCK)
    header = mutate.damage(draw, content[block : block + archives.BLOCK])[: archives.BLOCK].ljust(archives.BLOCK, b"\0")
    blank = header[:148] + b" " * 8 + header[156:]
    return content[:block] + blank[:148] + b"%06o\x00 " % sum(blank) + blank[156:] + content[block + archives.BLOCK :]


def _read(form: str, folder: Path, draw: Random, past: Callable[[], None]) -> None:
    module, read = _READ[shard_files.READERS[form]]
    with watched(module, "encoded_dataset", past):
        check_dataset(read(folder, **_SETTINGS))
        if (folder / _ODD_INDEX).exists():
            for kept in sorted(folder.rglob(f"{index_files.FOLDER}/*")):
                _lie(draw, kept)
        check_dataset(read(folder, **_SETTINGS))


def _lie(draw: Random, kept: Path) -> None:
    """Mutates an index, mostly with a right checksum, so that its head or its rows are wrong."""
    data = kept.read_bytes()
    first, _, body = data[_DIGEST_BYTES:].partition(b"\n")
    if draw.random() < 0.5:
        first = mutate.json_text(draw, json.loads(first))
    else:
        body = mutate.damage(draw, body) if draw.random() < 0.5 else mutate.overwrite(draw, body, 8, "<Q")
    content = first + b"\n" + body
    digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
    kept.write_bytes((digest if draw.random() < 0.9 else data[:_DIGEST_BYTES]) + content)


def _listing_files(draw: Random, bad: bool) -> Files:
    return {**picture_folders.FOLDER.files(draw, False), **({_ODD_INDEX: b""} if bad else {})}


def _read_listing(place: Path, draw: Random, past: Callable[[], None]) -> None:
    """Reads a folder of pictures whose list was kept and then mutated, or whose files have changed since."""
    listing.KEPT_FROM, listing._SETTLED_SECS = 0, -3600.0
    data = place / "data"
    data.mkdir()
    for entry in list(place.iterdir()):
        if entry != data:
            entry.rename(data / entry.name)
    folder.folder(data, **_SETTINGS)
    (kept,) = (place / index_files.FOLDER).iterdir()
    is_odd = (data / _ODD_INDEX).exists()
    if is_odd and draw.random() < 0.8:
        _lie(draw, kept)
    elif is_odd:
        chosen = draw.choice(sorted(path for path in data.rglob("*") if path.is_file()))
        os.truncate(chosen, draw.choice((0, chosen.stat().st_size // 2, chosen.stat().st_size + 100)))
    past()
    check_dataset(folder.folder(data, **_SETTINGS))


def _reader(form: str) -> Reader:
    return Reader(functools.partial(_files, form), functools.partial(_read, form), memory_bytes=_MEMORY_BYTES)


TFRECORD, WEBDATASET, PARQUET, ARROW, TFDS, ARRAY_RECORD = map(_reader, shard_files.READERS)
LISTING = Reader(_listing_files, _read_listing, memory_bytes=_MEMORY_BYTES)
