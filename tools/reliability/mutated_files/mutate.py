"""Mutates numbers, bytes, lists of parts, lines and JSON, without knowledge of a format."""

import json
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

EDGES = (0, 1, 2, 127, 128, 255, 256, 8000, 16384, 32767, 32768, 65535, 65536, 10**6, 2**31 - 1, 2**31, 2**32 - 1,
         2**32, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
# Texts that a program may fail on where it expects a number or a name.
TOKENS = (
    b"", b"0", b"-1", b"+1", b"00", b"0001", b"256", b"1e3", b"1.5", b"1_0", b"0x10", b"nan", b"inf", b"-inf", b"True",
    b"None", b"2147483647", b"2147483648", b"4294967296", b"9223372036854775808", b"9" * 400, b"9" * 5000,
    "²".encode(), "٣".encode(), "１".encode(), "𝟗".encode(), b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b"1\x00", b"\r",
    b"1\r2", b"\x0b", b"\x0c", b"\x1a", b"\x1b[31m", "\x85".encode(), "\u2028".encode(), "\ufeff".encode(), b"**", b"*",
    b"--", b"../../x", b"/dev/zero", b"%s%n", b"{}", b"[]", b"'", b'"', b"\\", b"a" * 300, b"a" * 70_000,
)  # fmt: skip


def integer(draw: Random, true: int, bits: int) -> int:
    """An unsigned number of `bits` bits: an edge case, or a number near the true value."""
    near = (true - 1, true + 1, 2 * true, true // 2, true + 8, true ^ 1 << draw.randrange(bits))
    return draw.choice(near if draw.random() < 0.5 else EDGES) % (1 << bits)


def overwrite(draw: Random, data: bytes, offset: int, layout: str) -> bytes:
    """The data with an odd value in the unsigned number at `offset`, of struct's `layout` such as ">I"."""
    width = struct.calcsize(layout)
    if offset + width > len(data):
        return data
    (true,) = struct.unpack_from(layout, data, offset)
    return data[:offset] + struct.pack(layout, integer(draw, true, 8 * width)) + data[offset + width :]


def flip(draw: Random, data: bytes, start: int = 0) -> bytes:
    """The data with a few bits or bytes changed from `start` on."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16)) if start < len(data) else 0):
        place = draw.randrange(start, len(data))
        changed[place] = draw.choice((changed[place] ^ 1 << draw.randrange(8), draw.randrange(256), 0, 255))
    return bytes(changed)


def cut(draw: Random, data: bytes, start: int = 0) -> bytes:
    """The data without its end, which may be all from `start` on."""
    return data[: draw.randint(min(start, len(data)), len(data))]


def damage(draw: Random, data: bytes, start: int = 0) -> bytes:
    """The data with some bytes changed, cut off, left out, doubled or inserted, all from `start` on."""
    first, last = sorted(draw.randint(min(start, len(data)), len(data)) for _ in range(2))
    last = min(last, first + draw.choice((1, 4, 64)))
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: flip(draw, data, start),
        lambda: cut(draw, data, start),
        lambda: data[:first] + data[last:],
        lambda: data[:last] + data[first:],
        lambda: data[:first] + draw.choice(TOKENS) + data[first:],
        lambda: data + draw.choice((b"\x00", b"\n", draw.randbytes(draw.randint(1, 600)))),
    )
    return draw.choice(changes)()


def splice(draw: Random, data: bytes, other: bytes) -> bytes:
    """The start of `data` and the end of `other`."""
    return data[: draw.randint(0, len(data))] + other[draw.randint(0, len(other)) :]


def rearrange(draw: Random, parts: Sequence[T], others: Sequence[T] = ()) -> list[T]:
    """The parts with one removed, doubled or moved, or one of `others` inserted; or only the first few of them."""
    changed = list(parts)
    if others and draw.random() < 0.4:
        changed.insert(draw.randint(0, len(changed)), draw.choice(others))
        return changed
    if not changed:
        return changed
    place, target = draw.randrange(len(changed)), draw.randrange(len(changed))
    match draw.randrange(4):
        case 0:
            del changed[place]
        case 1:
            changed.insert(target, changed[place])
        case 2:
            changed.insert(target, changed.pop(place))
        case 3:
            del changed[place:]
    return changed


def replace(draw: Random, parts: Sequence[T], change: Callable[[T], T]) -> list[T]:
    """The parts with one of them changed."""
    changed = list(parts)
    if changed:
        place = draw.randrange(len(changed))
        changed[place] = change(changed[place])
    return changed


def lines(draw: Random, text: bytes) -> bytes:
    """A text with some lines changed, or replaced by tokens."""
    items = text.split(b"\n")
    match draw.randrange(5):
        case 0:
            items = rearrange(draw, items, TOKENS)
        case 1:
            items = replace(draw, items, lambda line: damage(draw, line))
        case 2:
            items = replace(draw, items, lambda _: draw.choice(TOKENS))
        case 3:
            return draw.choice((b"\r", b"\r\n", b"\x0b", b" ", b"\x00", "\u2028".encode())).join(items)
        case 4:
            return damage(draw, text)
    return b"\n".join(items)


_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**63, 2**64, 10**400, "", "0", "é",
    "\ud800", "\x00", "a\nb", "a" * 5000, "/dev/zero", "../x", [], [[]], [0], {}, {"": None}, {"format": 1},
)  # fmt: skip


def json_text(draw: Random, tree: Any) -> bytes:
    """The JSON text of a tree with some nodes replaced, removed, doubled or added; or invalid JSON."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        tree = _changed(draw, tree)
    text = json.dumps(tree).encode()
    match draw.randrange(12):
        case 0:
            return damage(draw, text)
        case 1:
            return b"\xef\xbb\xbf" + text
        case 2:
            return text.replace(b": ", b": " + draw.choice((b"[", b'{"a":')) * draw.choice((10, 5000, 100_000)), 1)
        case 3:
            return text[:-1] + b"," + text[1:]  # each key twice
        case 4:
            return text.replace(b"0", b"0" * 5000, 1).replace(b"1", b"1" * 5000, 1)
        case 5:
            return text.decode().encode(draw.choice(("utf-16", "utf-32")))
    return text


def _changed(draw: Random, tree: Any) -> Any:
    """The tree with one node changed."""
    if not tree or not isinstance(tree, dict | list) or draw.random() < 0.05:
        return draw.choice(_ODD_VALUES)
    items = dict(tree) if isinstance(tree, dict) else dict(enumerate(tree))
    key = draw.choice(list(items))
    match draw.randrange(6):
        case 0:
            del items[key]
        case 1:
            items[draw.choice(("", "step", "x" * 300, "\n")) if isinstance(tree, dict) else len(items)] = items[key]
        case 2:
            items[key] = draw.choice(list(items.values()))
        case _:
            items[key] = _changed(draw, items[key])
    return items if isinstance(tree, dict) else list(items.values())
