"""Reads untrusted HDF5 files without the HDF5 library: groups, and contiguous uncompressed datasets of numbers.

`h5py` writes such files by default: version 0 of the superblock, version 1 of all object headers. The HDF5 library is
safe for trusted files only: a file of 3 kB whose header refers to itself makes it use all memory; other files make it
loop forever or crash with an invalid memory access.

No byte of a valid file is read twice. All reads together are therefore limited to the size of the file, which bounds
time and memory for every file.

Source: The HDF Group, HDF5 File Format Specification Version 2.0: II.A superblock, III groups, IV objects.
"""

import io
import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUPERBLOCK = struct.Struct(
    "<8sB4xBBx4xIQ8x8x8x8xQ"
)  # signature, version, sizes of numbers, flags, base, root's header
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Types of messages in an object's header.
_SPACE, _LINKS, _TYPE, _LINK, _OUTSIDE, _LAYOUT, _FILTERS, _CONTINUED, _GROUP = 1, 2, 3, 6, 7, 8, 11, 16, 17
_SHARED = 2  # flag of a message that is stored elsewhere
_CONTIGUOUS = b"\x03\x01"  # version and class of a layout
_ENTRY_BYTES = 40  # of a name in a group
_NOWHERE = 2**64 - 1  # the address of data that were never written
_PATH_CHARACTERS = 4096


def _types() -> dict[bytes, np.dtype[Any]]:
    """The encoding of each supported dtype in a file."""
    found = {}
    for order, sign in ((0, "<"), (1, ">")):
        for size in (1, 2, 4, 8):
            for signed, kind in ((0, "u"), (8, "i")):
                text = struct.pack("<BBxxIHH", 0x10, order | signed, size, 0, 8 * size)
                found[text] = np.dtype(f"{sign}{kind}{size}")
        for size, exponent_bits in ((2, 5), (4, 8), (8, 11)):
            mantissa_bits, bias = 8 * size - 1 - exponent_bits, 2 ** (exponent_bits - 1) - 1
            text = struct.pack("<BBBxI", 0x11, order | 0x20, 8 * size - 1, size)
            text += struct.pack("<HHBBBBI", 0, 8 * size, mantissa_bits, exponent_bits, 0, mantissa_bits, bias)
            found[text] = np.dtype(f"{sign}f{size}")
    # h5py stores booleans as an enumeration over a signed byte.
    base = struct.pack("<BBxxIHH", 0x10, 8, 1, 0, 8)
    found[struct.pack("<BHxI", 0x18, 2, 1) + base + b"FALSE\0\0\0TRUE\0\0\0\0\0\1"] = np.dtype(bool)
    return found


_TYPES = _types()


def read(file: io.BufferedReader, size_bytes: int) -> dict[str, NDArray[Any]]:
    """Reads all datasets by path, such as `group/name`; a dataset of several names is read under one of them.

    Raises:
        ValueError: the file holds anything but groups and contiguous, uncompressed numbers, or is damaged.
    """
    try:
        return dict(_Reader(file, size_bytes).datasets())
    except struct.error as error:
        raise ValueError(f"a part of it is too short: {error}") from error


class _Reader:
    """A file, and the number of bytes that may still be read."""

    def __init__(self, file: io.BufferedReader, size_bytes: int) -> None:
        self._file, self._size, self._left = file, size_bytes, size_bytes

    def datasets(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yields every dataset with its path."""
        signature, version, offset_bytes, length_bytes, _, base, root = self._numbers(_SUPERBLOCK.format, 0)
        if signature != _SIGNATURE:
            raise ValueError("it has no HDF5 signature")
        if (version, offset_bytes, length_bytes, base) != (0, 8, 8, 0):
            raise ValueError("its superblock is not of version 0. Write it with h5py.File(…, libver='earliest')")
        waiting, seen = [("", root)], set()
        while waiting:
            path, place = waiting.pop()
            if place in seen:  # a second name for the same object
                continue
            if len(path) > _PATH_CHARACTERS:
                raise ValueError(f"'{path[:100]}…' is not a variable path")
            seen.add(place)
            messages = self._messages(place, path)
            if _GROUP in messages:
                tree, heap = struct.unpack_from("<QQ", messages[_GROUP])
                waiting += [(f"{path}/{name}".lstrip("/"), header) for name, header in self._entries(tree, heap)]
            else:
                yield path, self._array(messages, path)

    def _bytes(self, place: int, count: int) -> bytearray:
        """Reads `count` bytes at an address."""
        if count > self._left:
            raise ValueError("its parts claim more bytes than the file has")
        if place > self._size - count:
            raise ValueError("a part of it lies beyond its end")
        self._left -= count
        data = bytearray(count)
        self._file.seek(place)
        if self._file.readinto(data) != count:
            raise ValueError("it became shorter while it was read")
        return data

    def _numbers(self, layout: str, place: int) -> tuple[Any, ...]:
        return struct.unpack(layout, self._bytes(place, struct.calcsize(layout)))

    def _messages(self, place: int, path: str) -> dict[int, bytes]:
        """Reads the messages in an object's header by type."""
        version, _, header_bytes = self._numbers("<BxHxxxxIxxxx", place)
        if version != 1:
            raise ValueError(f"'{path}' has no header of version 1")
        messages: dict[int, bytes] = {}
        parts = [(place + 16, header_bytes)]
        for part in parts:  # grows inside the loop
            data = self._bytes(*part)
            while len(data) >= 8:
                kind, length, flags = struct.unpack_from("<HHB", data)
                content, data = bytes(data[8 : 8 + length]), data[8 + length :]
                if kind == _CONTINUED:
                    parts.append(struct.unpack_from("<QQ", content))
                elif kind in (_LINKS, _LINK) or (flags & _SHARED and kind in (_SPACE, _TYPE, _LAYOUT)):
                    raise ValueError(f"'{path}' holds links, or is of a named type")
                else:
                    messages[kind] = content
        return messages

    def _entries(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """Yields the names in a group with the addresses of their headers."""
        signature, names_bytes, names_place = self._numbers("<4s4xQ8xQ", heap)
        if signature != b"HEAP":
            raise ValueError("a group has no names")
        names = self._bytes(names_place, names_bytes)
        nodes = [tree]
        for place in nodes:  # grows inside the loop
            signature, kind, level, count = self._numbers("<4sBBH16x", place)
            if signature != b"TREE" or kind:
                raise ValueError("a group has no tree of its entries")
            children = self._numbers(f"<{2 * count + 1}Q", place + 24)[1::2]  # between keys
            if level:
                nodes += children
                continue
            for child in children:
                yield from self._leaf(child, names)

    def _leaf(self, place: int, names: bytearray) -> Iterator[tuple[str, int]]:
        signature, count = self._numbers("<4s2xH", place)
        if signature != b"SNOD":
            raise ValueError("a group has no entries")
        entries = self._bytes(place + 8, count * _ENTRY_BYTES)
        for name_start, header, is_link in struct.iter_unpack("<QQI20x", entries):
            name = names[name_start : names.index(0, name_start)].decode()
            if is_link == 2:
                raise ValueError(f"'{name}' is a link")
            yield name, header

    def _array(self, messages: dict[int, bytes], path: str) -> NDArray[Any]:
        """Reads the numbers of a dataset."""
        layout, kind = messages.get(_LAYOUT, b""), messages.get(_TYPE, b"")
        shape = _shape(messages.get(_SPACE, b""))
        dtype = next((dtype for text, dtype in _TYPES.items() if kind.startswith(text)), None)
        place, size_bytes = struct.unpack_from("<QQ", layout, 2) if layout.startswith(_CONTIGUOUS) else (_NOWHERE, 1)
        unfit = messages.keys() & {_FILTERS, _OUTSIDE} or (place == _NOWHERE and size_bytes)
        if unfit or shape is None or dtype is None:
            raise ValueError(f"'{path}' is not contiguous, uncompressed numbers in the file")
        if size_bytes != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"'{path}' does not have the size that its shape claims")
        return np.frombuffer(self._bytes(place if size_bytes else 0, size_bytes), dtype).reshape(shape)


def _shape(message: bytes) -> tuple[int, ...] | None:
    """Parses the shape in a message; None where it has none."""
    if len(message) < 8 or message[0] != 1 or len(message) < 8 + 8 * message[1]:
        return None
    return struct.unpack_from(f"<{message[1]}Q", message, 8)
