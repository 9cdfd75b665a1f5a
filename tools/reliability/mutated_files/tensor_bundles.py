"""Parses and rebuilds the index of TensorFlow's tensor bundles, with correct checksums.

The index is a sorted table in the format of LevelDB: blocks of keys and values, each with a checksum, and a footer. The
values are protocol buffers: a header, and one entry for each tensor, with the checksum of its bytes.
"""

import struct

from google.protobuf.message import DecodeError
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto

GRAPH, ABOUT = (
    b"_CHECKPOINTABLE_OBJECT_GRAPH",
    b"variables/about/.ATTRIBUTES/VARIABLE_VALUE",
)  # tensors of text
_MAGIC = 0xDB4775248B80FB57

Entries = list[tuple[bytes, bytes]]  # keys and values of the index, in order


def _varint(number: int) -> bytes:
    text = b""
    while number > 127:
        text, number = text + bytes([number & 127 | 128]), number >> 7
    return text + bytes([number])


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Parses a varint; returns it and the position after it."""
    number = shift = 0
    while True:
        byte, place = data[place], place + 1
        number, shift = number | (byte & 127) << shift, shift + 7
        if byte < 128:
            return number, place


def entries(index: bytes) -> Entries:
    """The keys and values in the only block of a small index."""
    entries: Entries = []
    key, place = b"", 0
    end = index.index(b"\x00\x00\x00\x00\x01\x00\x00\x00")  # the block's list of restart points
    while place < end:
        shared, place = _number(index, place)
        own, place = _number(index, place)
        size, place = _number(index, place)
        key = key[:shared] + index[place : place + own]
        place += own + size
        entries.append((key, index[place - size : place]))
    return entries


def _block(entries: Entries) -> bytes:
    text = b"".join(b"\x00" + _varint(len(key)) + _varint(len(value)) + key + value for key, value in entries)
    text += struct.pack("<II", 0, 1) + b"\x00"  # not compressed
    return text + struct.pack("<I", masked_crc32c(text))


def index(entries: Entries) -> bytes:
    """Builds an index with correct checksums and addresses."""
    body, none = _block(entries), _block([])
    directory = _block([(b"\xff", _varint(0) + _varint(len(body) - 5))])
    footer = b"".join(
        _varint(place) + _varint(size - 5)
        for place, size in ((len(body), len(none)), (len(body) + len(none), len(directory)))
    )
    return body + none + directory + footer.ljust(40, b"\x00") + struct.pack("<Q", _MAGIC)


def summed(item: tuple[bytes, bytes], data: bytes) -> tuple[bytes, bytes]:
    """An entry with the checksum of the bytes that it refers to."""
    key, value = item
    try:
        entry = BundleEntryProto.FromString(value)
    except DecodeError:  # the mutated value is not an entry
        return item
    if not key or key in (GRAPH, ABOUT) or entry.offset < 0 or not 0 <= entry.size <= len(data):
        return item
    entry.crc32c = masked_crc32c(data[entry.offset : entry.offset + entry.size])
    return key, entry.SerializeToString()


def text(entries: Entries, data: bytes, key: bytes) -> bytes:
    """Reads a tensor of one text, which is stored as its length, a checksum of the length, and the text."""
    entry = BundleEntryProto.FromString(dict(entries)[key])
    stored = data[entry.offset : entry.offset + entry.size]
    length, start = _number(stored, 0)
    return stored[start + 4 : start + 4 + length]


def with_text(entries: Entries, data: bytes, key: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Index and data with another text in that tensor."""
    length_bytes = struct.pack("<I", len(text))
    check = struct.pack("<I", masked_crc32c(length_bytes))
    stored = _varint(len(text)) + check + text
    entry = BundleEntryProto.FromString(dict(entries)[key])
    entry.offset, entry.size, entry.crc32c = len(data), len(stored), masked_crc32c(length_bytes + check + text)
    changed = [(name, entry.SerializeToString() if name == key else value) for name, value in entries]
    return index(changed), data + stored
