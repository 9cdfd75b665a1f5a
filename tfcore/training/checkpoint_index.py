"""Checks the index of a checkpoint before TensorFlow reads it, since a malformed entry would crash the process.

The index is a LevelDB table: blocks of sorted keys and values, an index block of those, and a footer. The first value
is a header; each other one describes a tensor: its type, its shape, and the position of its bytes.

Source: tensorflow/core/util/tensor_bundle, and LevelDB's table_format.md.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from tfcore.files import open_file

_LARGEST_BYTES = 1 << 26  # larger than the index of any model
_FOOTER = struct.Struct("<40sQ")  # the positions of two blocks, padded; the magic number
_MAGIC = 0xDB4775248B80FB57
_LAST_VALUE = 100  # of TensorFlow's types; those above are references to variables
_MOST_AXES = 254  # in TensorFlow's shapes


def check(prefix: Path) -> None:
    """Checks every entry of the index.

    Args:
        prefix: path and first part of the names of the checkpoint's files.

    Raises:
        ValueError: an entry is no tensor stored whole in the single data file, or all together claim more bytes than
            that has.
        OSError: a file cannot be read.
    """
    data_bytes = prefix.with_name(f"{prefix.name}.data-00000-of-00001").stat().st_size
    with open_file(prefix.with_name(f"{prefix.name}.index")) as file:
        index = file.read(_LARGEST_BYTES + 1)
    if not _FOOTER.size <= len(index) <= _LARGEST_BYTES:
        raise ValueError(f"its index has {len(index)} bytes, outside the valid range")
    tensors = dict(_tensors(index))
    claimed_bytes = sum(max(0, entry.size) for entry in tensors.values())
    if claimed_bytes > data_bytes:
        raise ValueError(f"its variables claim {claimed_bytes} bytes, more than it has")
    for key, entry in tensors.items():
        _check_tensor(key, entry, data_bytes)


def _tensors(index: bytes) -> Iterator[tuple[bytes, BundleEntryProto]]:
    """Yields the key and entry of each tensor."""
    for key, value in _entries(index):
        try:
            if key:
                yield key, BundleEntryProto.FromString(value)
            elif BundleHeaderProto.FromString(value).num_shards != 1:
                raise ValueError("its data are not in one file")
        except DecodeError as error:
            raise ValueError(f"its index has no readable entry {key!r}") from error


def _check_tensor(key: bytes, entry: BundleEntryProto, data_bytes: int) -> None:
    """Raises ValueError unless the entry is of a whole tensor whose bytes are in the data file."""
    axes = [axis.size for axis in entry.shape.dim]
    whole = not (entry.shape.unknown_rank or entry.slices or entry.shard_id) and len(axes) <= _MOST_AXES
    if not whole or min(axes, default=0) < 0 or math.prod(max(1, axis) for axis in axes) >= 2**62:
        raise ValueError(f"its index has no sound shape for {key!r}")
    if not 0 <= entry.offset <= entry.offset + entry.size <= data_bytes:
        raise ValueError(f"its index claims bytes for {key!r} that are not there")
    try:
        dtype = tf.as_dtype(entry.dtype)
    except TypeError:
        dtype = None
    if dtype is None or entry.dtype > _LAST_VALUE:
        raise ValueError(f"its index has no valid type for {key!r}")
    count = math.prod(axes)
    fits = count <= entry.size if dtype == tf.string else dtype.size and count * dtype.size == entry.size
    if not fits:
        raise ValueError(f"its index claims {count} times {dtype.name} for {key!r}, in {entry.size} bytes")


def _entries(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields all keys and values."""
    places, magic = _FOOTER.unpack(index[-_FOOTER.size :])
    if magic != _MAGIC:
        raise ValueError("its index has no valid footer")
    _, _, at = _place(places, 0)
    start, size, _ = _place(places, at)
    for _, value in _block(index, start, size):
        yield from _block(index, *_place(value, 0)[:2])


def _block(index: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of one uncompressed block; its restart points must be starts of entries."""
    block = index[start : start + size]
    if len(block) < max(size, 8) or index[start + size : start + size + 1] != b"\x00":
        raise ValueError("a block of its index is cut short or packed")
    (count,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 - 4 * count
    if end < 0:
        raise ValueError("a block of its index is damaged")
    restarts = set(struct.unpack_from(f"<{count}I", block, end))
    place, key = 0, b""
    while place < end:
        begin = place
        shared, place = _number(block, place)
        own, place = _number(block, place)
        length, place = _number(block, place)
        if shared > len(key) or place + own + length > end:
            raise ValueError("a block of its index is damaged")
        if not shared:
            restarts.discard(begin)
        key, place = key[:shared] + block[place : place + own], place + own + length
        yield key, block[place - length : place]
    if restarts - {0}:
        raise ValueError("a restart point in its index is not the start of an entry")


def _place(data: bytes, at: int) -> tuple[int, int, int]:
    """Start and size of a block, and the position behind them."""
    start, at = _number(data, at)
    size, at = _number(data, at)
    return start, size, at


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A varint (seven bits a byte), and the position behind it."""
    number = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            break
        byte, place = data[place], place + 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise ValueError("a varint in its index does not end")
