"""Builds gzip, zip and .npy files with control over every field, checksums included, and mutates them.

A mutation sets a field before the checksums are computed, so that most mutations pass them.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

from tools.reliability.mutated_files import mutate

# The flags of a gzip member, and the bytes after the header for each: extra field, name, comment, header checksum.
_GZIP_FIELDS = ((4, b"\x04\x00abcd"), (8, b"name\x00"), (16, b"comment\x00"), (2, b"\x00\x00"))
_LOCAL = {"version": "H", "flags": "H", "method": "H", "time": "H", "date": "H", "crc": "L", "packed": "L", "size": "L",
          "name_length": "H", "extra_length": "H"}  # fmt: skip
_CENTRAL = {"made_by": "H", **_LOCAL, "comment_length": "H", "disk": "H", "internal": "H", "external": "L",
            "offset": "L"}  # fmt: skip
_END = {"disk": "H", "first_disk": "H", "here": "H", "entries": "H", "directory": "L", "start": "L",
        "comment_length": "H"}  # fmt: skip
STORED, DEFLATED = 0, 8


def deflated(data: bytes, level: int = 6) -> bytes:
    """Compresses to a raw deflate stream."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@cache
def bomb(size_bytes: int) -> bytes:
    """A deflate stream of `size_bytes` zeros, a thousandth as long."""
    return deflated(bytes(size_bytes))


def gzipped(data: bytes) -> bytes:
    """A gzip file of one member."""
    return _gzip_member(deflated(data), zlib.crc32(data), len(data))


def _gzip_member(stream: bytes, checksum: int, size: int, *, flags: int = 0, method: int = 8) -> bytes:
    extra = b"".join(text for flag, text in _GZIP_FIELDS if flags & flag)
    header = struct.pack("<2sBBLBB", b"\x1f\x8b", method, flags, 0, 0, 255)
    return header + extra + stream + struct.pack("<LL", checksum, size % 2**32)


def odd_gzip(draw: Random, data: bytes) -> bytes:
    """A mutated gzip file of the data."""
    stream, checksum = deflated(data, draw.choice((0, 1, 9))), zlib.crc32(data)
    good = gzipped(data)
    match draw.randrange(10):
        case 0:
            return _gzip_member(stream, checksum, mutate.integer(draw, len(data), 32))
        case 1:
            return _gzip_member(stream, mutate.integer(draw, checksum, 32), len(data))
        case 2:
            return _gzip_member(
                stream, checksum, len(data), flags=draw.randrange(256), method=draw.choice((8, 8, 7, 0))
            )
        case 3:
            return good + gzipped(draw.choice((b"", data, data[:1])))
        case 4:
            return good + draw.choice((bytes(draw.randint(1, 40)), b"\x1f", b"\x1f\x8b", draw.randbytes(20)))
        case 5:
            size_bytes = draw.choice((10**5, 10**6, 2 * 10**7))
            return good + _gzip_member(bomb(size_bytes), 0, size_bytes)
        case 6:
            return _gzip_member(mutate.damage(draw, stream), checksum, len(data))
        case 7:
            half = len(data) // 2
            return gzipped(data[:half]) + gzipped(data[half:])
        case 8:
            return mutate.cut(draw, good, 10)
    return mutate.damage(draw, good, 10)


@dataclass
class Member:
    """A file in a zip.

    Args:
        name: in both headers.
        data: uncompressed.
        method: of compression.
        local, central: wrong fields, in the local header and in the central directory.
        stream: the compressed data; None for that of `data`.
        extra: field after the name, in both headers.
    """

    name: bytes
    data: bytes
    method: int = STORED
    local: dict[str, int] = field(default_factory=dict)
    central: dict[str, int] = field(default_factory=dict)
    stream: bytes | None = None
    extra: bytes = b""


def zipped(members: Sequence[Member], end: dict[str, int] | None = None, before: bytes = b"") -> bytes:
    """A zip file with the given fields of its end record, and `before` as its first bytes."""
    body, directory = before, b""
    for member in members:
        stream = member.stream
        if stream is None:
            stream = deflated(member.data) if member.method == DEFLATED else member.data
        fields = {"made_by": 20, "version": 20, "method": member.method, "date": 33, "offset": len(body)}
        fields |= {"crc": zlib.crc32(member.data), "packed": len(stream), "size": len(member.data)}
        fields |= {"name_length": len(member.name), "extra_length": len(member.extra)}
        directory += _record(b"PK\x01\x02", _CENTRAL, fields | member.central) + member.name + member.extra
        body += _record(b"PK\x03\x04", _LOCAL, fields | member.local) + member.name + member.extra + stream
    fields = {"here": len(members), "entries": len(members), "directory": len(directory), "start": len(body)}
    return body + directory + _record(b"PK\x05\x06", _END, fields | (end or {}))


def _record(signature: bytes, layout: dict[str, str], fields: dict[str, int]) -> bytes:
    return signature + struct.pack("<" + "".join(layout.values()), *(fields.get(name, 0) for name in layout))


def odd_zip(draw: Random, members: Sequence[Member], others: Sequence[Member]) -> bytes:
    """A mutated zip file of these members; `others` are those of another file."""
    match draw.randrange(8):
        case 0:
            return zipped(mutate.rearrange(draw, members, others))
        case 1:
            name, kind = draw.choice(list(_END.items()))
            return zipped(members, {name: mutate.integer(draw, len(members), 16 if kind == "H" else 32)})
        case 2:
            return zipped(members, before=draw.randbytes(draw.randint(1, 50)))
        case 3:
            return mutate.damage(draw, zipped(members), 30)
        case 4:
            return mutate.splice(draw, zipped(members), zipped(others))
    for _ in range(draw.choice((1, 1, 2))):
        members = mutate.replace(draw, members, lambda member: _odd_member(draw, member))
    return zipped(members)


def _odd_member(draw: Random, member: Member) -> Member:
    match draw.randrange(8):
        case 0 | 1:
            name, kind = draw.choice(list(_CENTRAL.items()))
            value = mutate.integer(draw, len(member.data), 16 if kind == "H" else 32)
            lies = draw.choice((("local",), ("central",), ("local", "central")))
            return _changed(member, **{part: {name: value} for part in lies})
        case 2:
            size = mutate.integer(draw, len(member.data), 32)
            return _changed(member, local={"size": size, "packed": size}, central={"size": size, "packed": size})
        case 3:
            stream = mutate.damage(draw, deflated(member.data))
            return _changed(member, method=DEFLATED, stream=stream)
        case 4:
            data = member.data + bytes(draw.choice((1, 10**4, 10**6)))
            return _changed(member, method=DEFLATED, data=data)
        case 5:
            before, after = draw.choice((("", ""), ("/", ""), ("../", ""), ("", "\x00x"), ("x" * 60_000, "")))
            name = draw.choice((before.encode() + member.name + after.encode(), b"", b"\xff.npy", b"y_train.npy"))
            return _changed(member, name=name)
        case 6:
            sizes = (mutate.integer(draw, len(member.data), 64) for _ in range(3))
            extra = struct.pack("<HH3Q", draw.choice((1, 1, 0x7075, 9)), draw.choice((24, 16, 8, 0, 65535)), *sizes)
            large = {"size": 2**32 - 1, "packed": 2**32 - 1}
            return _changed(member, extra=extra, central=draw.choice((large, {})), local=draw.choice((large, {})))
    return _changed(member, data=mutate.damage(draw, member.data, draw.choice((0, 10, 128))))


def _changed(member: Member, **fields: object) -> Member:
    return Member(**{**vars(member), **fields})  # type: ignore[arg-type]


def npy(literal: bytes, payload: bytes, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """An .npy file: a header with NumPy's padding, and the bytes of the array.

    Args:
        literal: the header, a Python literal.
        payload: the array.
        version: of the format.
        length: the length of the header in the file; None for the true one.
    """
    kind = "<H" if version == (1, 0) else "<I"
    header = literal + b" " * (-(len(literal) + 9 + struct.calcsize(kind)) % 64) + b"\n"
    top = 1 << 8 * struct.calcsize(kind)
    length_field = struct.pack(kind, (len(header) if length is None else length) % top)
    return b"\x93NUMPY" + bytes(version) + length_field + header + payload
