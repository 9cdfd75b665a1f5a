"""Index files of TensorFlow checkpoints with arbitrary entries and correct checksums."""

import struct

from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

_MAGIC = 0xDB4775248B80FB57
_FLOAT = 1


def index(shapes: dict[str, tuple[int, ...]], size_bytes: dict[str, int]) -> bytes:
    """Returns the index of a checkpoint of one shard whose float32 variables all start at byte 0."""
    header = BundleHeaderProto(num_shards=1)
    header.version.producer = 1
    items = [(b"", header.SerializeToString())]
    for name in sorted(shapes):
        entry = BundleEntryProto(dtype=_FLOAT, size=size_bytes[name])
        for side in shapes[name]:
            entry.shape.dim.add().size = side
        key = f"variables/{name.replace('.', '..')}/.ATTRIBUTES/VARIABLE_VALUE"
        items.append((key.encode(), entry.SerializeToString()))
    return _table(items)


def _table(items: list[tuple[bytes, bytes]]) -> bytes:
    """Returns an uncompressed sorted table in LevelDB's format."""
    file = b""

    def put(block: bytes) -> bytes:
        nonlocal file
        place = _varint(len(file)) + _varint(len(block))
        file += block + b"\0" + struct.pack("<I", masked_crc32c(block + b"\0"))
        return place

    data, rest = put(_block(items)), put(_block([]))
    footer = rest + put(_block([(items[-1][0] + b"\xff", data)]))
    return file + footer.ljust(40, b"\0") + struct.pack("<Q", _MAGIC)


def _block(items: list[tuple[bytes, bytes]]) -> bytes:
    found, starts = b"", []
    for key, value in items:
        starts.append(len(found))
        found += _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
    starts = starts or [0]
    return found + b"".join(struct.pack("<I", start) for start in [*starts, len(starts)])


def _varint(number: int) -> bytes:
    """Encodes a varint: seven bits a byte, lowest first, the eighth set on all but the last."""
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])
