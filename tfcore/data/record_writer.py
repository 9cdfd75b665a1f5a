"""Writes a data set in records: shards in parallel, each verified before it gets its name, and resumable."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import array_record_module
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data.dataset import Dataset
from tfcore.data.encoded import EncodedSplit
from tfcore.data.fingerprint import fingerprint
from tfcore.data.record_manifest import MANIFEST, Images, Manifest, Piece, SplitFiles, shard_names
from tfcore.data.record_state import State, begun
from tfcore.data.records import open_shard, sha256_of
from tfcore.data.shrinking import shrunk
from tfcore.data.source import Source
from tfcore.data.store import THREADS
from tfcore.errors import ConfigError, DiskError
from tfcore.files import replacing, sync

SHARD_BYTES = 1 << 28  # of a shard, about, where no number of shards is given
MOST_SHARDS = 99_999
_OPTIONS = "group_size:1,uncompressed"  # a record is read without its neighbours; pictures do not compress
_CHUNK, _CHUNK_BYTES = 256, 1 << 23  # pictures read at a time, at most
_SAMPLE = 64  # pictures by which the size of all is estimated
Advance = Callable[[int], None]


@dataclass(frozen=True)
class _Pictures:
    """The pictures of a split as records: `read` returns those at some places, each with what it is."""

    count: int
    chunk: int  # pictures to read at a time
    read: Callable[[NDArray[np.int64]], Iterable[tuple[bytes, Images]]]


def write(
    dataset: Dataset,
    out: Path,
    *,
    shards: int | None = None,
    shorter_side: int | None = None,
    advance: Advance = lambda _: None,
) -> Manifest:
    """Writes a data set in records; goes on with an unfinished conversion of the same.

    Pictures of files are written as these files' bytes, all others as their pixels. The manifest comes last. What is
    in the folder when the conversion ends early is used by the next one with the same arguments, also after SIGKILL.

    Args:
        dataset: the data set; a few pictures a thread are in memory.
        out: the folder to create; or that of an unfinished conversion.
        shards: of each split, at most one for each example; None for as many as have about 256 MB.
        shorter_side: shrink picture files whose shorter side is longer, in pixels; see `shrunk`.
        advance: is called with a number of examples that are in the records, from several threads.

    Raises:
        ConfigError: a number out of range, or `shorter_side` for pictures that are no files.
        RunError: `out` is something else, in use by another process, or has been begun with other arguments.
        DiskError: it cannot be written.
        DataError: a picture cannot be read.
    """
    _check(dataset, shards, shorter_side)
    settings = {
        "shards": shards,
        "size": shorter_side,
        "data": [fingerprint(split) for split in (dataset.train, dataset.test)],
    }
    with begun(out, settings) as state, _telling_how_to_go_on():
        splits = {"train": dataset.train, "test": dataset.test}
        pictures = {name: _pictures(split, shorter_side) for name, split in splits.items()}
        names = {name: shard_names(name, _shard_count(of, shards)) for name, of in pictures.items()}
        _write_shards(out, state, [(names[name], of) for name, of in pictures.items()], advance)
        found = {name: [state.finished[file] for file in files] for name, files in names.items()}
        files = {name: _split_files(out, name, dataset, [piece for piece, _ in found[name]]) for name in splits}
        images = _common(images for split in found.values() for _, images in split)
        manifest = Manifest(checks.escaped(dataset.name), dataset.class_names, images, files)
        sync(out)
        with replacing(out / MANIFEST) as scratch:
            scratch.write_text(manifest.to_json(), encoding="utf-8")
        sync(out)
    return manifest


def _check(dataset: Dataset, shards: int | None, shorter_side: int | None) -> None:
    """Raises ConfigError on an argument out of range, or that has no effect."""
    if shards is not None:
        checks.positive_integer("shards", shards)
        if shards > MOST_SHARDS:
            raise ConfigError(f"`shards` must be at most {MOST_SHARDS}. Received {shards}.")
    if shorter_side is not None:
        checks.positive_integer("size", shorter_side)
        if not isinstance(dataset.train, EncodedSplit):
            raise ConfigError(
                f"`size` shrinks picture files, and {dataset.name} holds pixels of one size. Leave it out."
            )


@contextmanager
def _telling_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except DiskError as error:
        raise DiskError(f"{error} Once it can be written, the same command goes on from there.") from error


def _pictures(split: Source, shorter_side: int | None) -> _Pictures:
    """The records of a split."""
    if isinstance(split, EncodedSplit):
        store = split.store

        def read_files(indices: NDArray[np.int64]) -> Iterator[tuple[bytes, Images]]:
            rows = split.in_store(indices)
            for row, file in zip(rows.tolist(), store.read(rows), strict=True):
                data, header = shrunk(file, store.name(row), shorter_side)
                yield data, Images(False, header.size, 1 if header.grey else 3)

        return _Pictures(len(split), 1, read_files)
    height, width, channels = split.image_shape
    images = Images(True, (height, width), channels)

    def read_pixels(indices: NDArray[np.int64]) -> Iterator[tuple[bytes, Images]]:
        return ((picture.tobytes(), images) for picture in split.read(indices))

    picture_bytes = split.nbytes // len(split)
    return _Pictures(len(split), max(1, min(_CHUNK, _CHUNK_BYTES // picture_bytes)), read_pixels)


def _shard_count(pictures: _Pictures, shards: int | None) -> int:
    """The number of shards of a split: the given one, or by the mean size of some evenly spaced pictures."""
    if shards is not None:
        return min(shards, pictures.count)
    sample = np.unique(np.linspace(0, pictures.count - 1, _SAMPLE).astype(np.int64))
    sampled_bytes = sum(len(data) for index in sample for data, _ in pictures.read(index[np.newaxis]))
    return min(MOST_SHARDS, -(-sampled_bytes * pictures.count // (len(sample) * SHARD_BYTES)))


def _write_shards(out: Path, state: State, splits: list[tuple[list[str], _Pictures]], advance: Advance) -> None:
    """Writes the shards that are not finished, several at a time; after an error the others end at once."""
    stop = threading.Event()

    def write_one(file: str, pictures: _Pictures, rows: range) -> None:
        if file in state.finished and _is_intact(out, state.finished[file][0]):
            advance(len(rows))
        elif not stop.is_set():
            state.add(*_write_shard(out / file, pictures, rows, advance, stop))

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            tasks = [
                pool.submit(write_one, file, pictures, range(start, end))
                for files, pictures in splits
                for file, start, end in zip(files, *_edges(pictures.count, len(files)), strict=True)
            ]
            for task in as_completed(tasks):
                task.result()
        except BaseException:  # such as Ctrl-C
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _edges(count: int, parts: int) -> tuple[list[int], list[int]]:
    """The first examples of parts of nearly the same size, and the ends of the parts."""
    edges = [count * part // parts for part in range(parts + 1)]
    return edges[:-1], edges[1:]


def _is_intact(out: Path, piece: Piece) -> bool:
    """Whether a finished shard of an earlier process is still as it was."""
    try:
        return sha256_of(out / piece.file) == piece.sha256
    except OSError:
        return False


class _StoppedError(Exception):
    """Ends the writing of a shard after an error of another."""


def _write_shard(
    path: Path, pictures: _Pictures, rows: range, advance: Advance, stop: threading.Event
) -> tuple[Piece, Images]:
    """Writes one shard and reads it back, before it gets its name."""
    kinds: list[Images] = []
    written = hashlib.sha256()
    with replacing(path) as scratch:
        with _writer(scratch, path) as add:
            for start in range(rows.start, rows.stop, pictures.chunk):
                if stop.is_set():
                    raise _StoppedError
                indices = np.arange(start, min(start + pictures.chunk, rows.stop))
                for data, images in pictures.read(indices):
                    add(data)
                    written.update(_framed(data))
                    kinds = [_common([images, *kinds])]
                advance(len(indices))
        _check_written(scratch, path, len(rows), pictures.chunk, written.digest())
        piece = Piece(path.name, len(rows), scratch.stat().st_size, sha256_of(scratch))
    return piece, kinds[0]


@contextmanager
def _writer(scratch: Path, path: Path) -> Iterator[Callable[[bytes], Any]]:
    """Yields a function that adds a record to a new shard; turns errors of writing into a DiskError about `path`."""
    writer = array_record_module.ArrayRecordWriter(bytes(scratch), _OPTIONS)

    def checked(write: Callable[..., Any], *arguments: bytes) -> None:
        try:
            write(*arguments)
        except RuntimeError as error:  # such as `write() failed: No space left on device; writing PATH; at byte 0`
            reason = str(error).partition("; ")[0].rpartition("failed: ")[2]
            raise DiskError(f"{path} cannot be written: {reason}.") from error

    try:
        yield lambda data: checked(writer.write, data)
        checked(writer.close)
    finally:
        with suppress(RuntimeError):  # an error here would hide the one being raised
            writer.close()


def _check_written(scratch: Path, path: Path, records: int, chunk: int, written: bytes) -> None:
    """Raises DiskError unless a shard holds the records that were written."""
    reader, found = open_shard(scratch), hashlib.sha256()
    with suppress(RuntimeError):
        for start in range(0, min(records, reader.num_records()), chunk):
            for data in reader.read(start, min(start + chunk, records)):
                found.update(_framed(data))
    if reader.num_records() != records or found.digest() != written:
        raise DiskError(f"{path} cannot be written: reading it back gives other bytes, by a fault of disk or memory.")


def _framed(data: bytes) -> bytes:
    """A record with its length, so that no two lists of records have the same bytes."""
    return len(data).to_bytes(8, "little") + data


def _common(kinds: Iterable[Images]) -> Images:
    """What pictures have in common: their size or None, and 1 channel only if all have."""
    every = list(kinds)
    sizes = {kind.size for kind in every}
    return Images(every[0].pixels, sizes.pop() if len(sizes) == 1 else None, max(kind.channels for kind in every))


def _split_files(out: Path, split: str, dataset: Dataset, shards: list[Piece]) -> SplitFiles:
    """Writes labels and weights of a split, and returns all its files."""
    labels = (dataset.train if split == "train" else dataset.test).labels
    weights = dataset.train_weights if split == "train" else None
    counts = np.bincount(labels, minlength=dataset.classes).tolist()
    return SplitFiles(
        tuple(shards),
        _write_array(out / f"{split}-labels.npy", labels),
        tuple(counts),
        None if weights is None else _write_array(out / f"{split}-weights.npy", weights),
    )


def _write_array(path: Path, array: NDArray[Any]) -> Piece:
    with replacing(path) as scratch:
        np.save(scratch, np.ascontiguousarray(array), allow_pickle=False)
        return Piece(path.name, len(array), scratch.stat().st_size, sha256_of(scratch))
