"""Mutates published archives: .tar.gz files with wrong headers, and with members that point outside the folder."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tfcore.data import archive
from tools.reliability.mutated_files import containers, mutate
from tools.reliability.mutated_files.reader import OUTSIDE, Files, Reader, Wrong, watched

SIZES = {"train.bin": 40, "test.bin": 20, "names.txt": 64}
FOLDER = "data-bin"
BLOCK = 512
# The fields of a header, in order: name and bytes.
_FIELDS = {"name": 100, "mode": 8, "uid": 8, "gid": 8, "size": 12, "mtime": 12, "checksum": 8, "kind": 1, "link": 100,
           "magic": 8, "user": 32, "group": 32, "major": 8, "minor": 8, "prefix": 155, "rest": 12}  # fmt: skip
_GOOD = {"mode": b"0000644\x00", "uid": b"0000000\x00", "gid": b"0000000\x00", "mtime": b"00000000000\x00",
         "kind": b"0", "magic": b"ustar\x0000", "major": b"0000000\x00", "minor": b"0000000\x00"}  # fmt: skip
_NUMBERS = ("mode", "uid", "gid", "size", "mtime", "major", "minor")
_ODD_NUMBERS = (
    b"", b"-1", b"00000000008", b"77777777777", b"777777777777", b" 1 ", b"x", b"\x00" * 11, b"\x80" + bytes(11),
    b"\xff" * 12, b"\xff" * 11 + b"\x00", b"\x80" + b"\xff" * 11, b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7,
    "²".encode(), b"1_0", b"+1", b"0x1",
)  # fmt: skip
_NAMES = (
    b"", b"/", b".", b"..", b"../x", f"{FOLDER}/../../x".encode(), f"{FOLDER}/../train.bin".encode(),
    str(OUTSIDE).encode(), f"{OUTSIDE}/x".encode(), f"./{FOLDER}/train.bin".encode(), f"{FOLDER}//train.bin".encode(),
    f"{FOLDER}/train.bin/".encode(), f"{FOLDER}/train.bin\x00/x".encode(), f"{FOLDER}\\..\\x".encode(), b"\xff\xfe/x",
    b"a\nb", b"\x1b[31m", b"x" * 100, FOLDER.encode(), f"{FOLDER}/test.bin".encode(), b"C:\\x", "²/é".encode(),
)  # fmt: skip

Tar = tuple[dict[str, bytes], bytes]  # the fields of a member that are not the usual ones, and its content


def _header(fields: dict[str, bytes]) -> bytes:
    """A header with the correct checksum, unless the fields have another."""
    values = {"checksum": b" " * 8, **_GOOD, **fields}
    header = b"".join(values.get(name, b"")[:width].ljust(width, b"\x00") for name, width in _FIELDS.items())
    if "checksum" in fields:
        return header
    return header[:148] + b"%06o\x00 " % sum(header) + header[156:]


def _tar(members: list[Tar], tail: bytes = bytes(2 * BLOCK)) -> bytes:
    """A tar file; the size of a member is that of its content, unless the fields have another."""
    text = b""
    for fields, content in members:
        text += _header({"size": b"%011o\x00" % len(content), **fields}) + content + bytes(-len(content) % BLOCK)
    return text + tail


def _good(draw: Random) -> list[Tar]:
    made: list[Tar] = [({"name": f"{FOLDER}/".encode(), "kind": b"5"}, b"")] if draw.random() < 0.5 else []
    for name, limit_bytes in SIZES.items():
        made.append(({"name": f"{FOLDER}/{name}".encode()}, draw.randbytes(draw.choice((limit_bytes, 1, 7)))))
    if draw.random() < 0.5:
        made.append(({"name": f"{FOLDER}/readme.html".encode()}, b"<p>Read me."))
    return made


def _files(draw: Random, bad: bool) -> Files:
    members = _good(draw)
    if not bad:
        return {"a.tar.gz": containers.gzipped(_tar(members))}
    match draw.randrange(8):
        case 0:
            return {"a.tar.gz": containers.odd_gzip(draw, _tar(members))}
        case 1:
            return {"a.tar.gz": containers.gzipped(mutate.damage(draw, _tar(members), draw.choice((0, BLOCK))))}
        case 2:
            tail = draw.choice((b"", bytes(BLOCK), bytes(10 * BLOCK), draw.randbytes(BLOCK), bytes(2 * 10**6)))
            return {"a.tar.gz": containers.gzipped(_tar(members, tail))}
        case 3:
            members = mutate.rearrange(draw, members, [_odd_member(draw)])
        case 4:
            chain = [_odd_extension(draw) for _ in range(draw.choice((1, 2, 40, 400)))]
            place = draw.randint(0, len(members))
            members = members[:place] + chain + members[place:]
        case _:
            members = mutate.replace(draw, members, lambda member: _odd(draw, member))
    return {"a.tar.gz": containers.gzipped(_tar(members))}


def _odd(draw: Random, member: Tar) -> Tar:
    """A member with a wrong field."""
    fields, content = member
    match draw.randrange(6):
        case 0:
            return {**fields, "kind": draw.choice((bytes([draw.randrange(256)]), b"7", b"S", b"\x00", b"5"))}, content
        case 1:
            return {**fields, draw.choice(_NUMBERS): draw.choice(_ODD_NUMBERS)}, content
        case 2:
            return {**fields, "size": b"%011o\x00" % (mutate.integer(draw, len(content), 33))}, content
        case 3:
            return {**fields, draw.choice(("name", "name", "prefix")): draw.choice(_NAMES)}, content
        case 4:
            name = draw.choice(list(_FIELDS))
            return {**fields, name: draw.randbytes(_FIELDS[name])}, content
    return fields, draw.choice((content * 2, b"", bytes(10**6), draw.randbytes(700)))


def _odd_member(draw: Random) -> Tar:
    """A member of a kind that no published archive has: a link, a device, a pipe, a sparse file."""
    kind = draw.choice((b"1", b"2", b"3", b"4", b"6", b"S", b"7", b"5", b"V", b"M"))
    link = draw.choice(
        (b"/etc/passwd", b"../..", b"train.bin", f"{FOLDER}/train.bin".encode(), str(OUTSIDE).encode(), b"")
    )
    name = draw.choice((*_NAMES, f"{FOLDER}/train.bin".encode(), f"{FOLDER}/test.bin".encode()))
    rest = draw.randbytes(12) if kind == b"S" else b""
    return {"name": name, "kind": kind, "link": link, "rest": rest}, draw.choice((b"", b"x", bytes(600)))


def _odd_extension(draw: Random) -> Tar:
    """A header that describes the next one: a long name, or a pax header."""
    kind = draw.choice((b"L", b"K", b"x", b"x", b"x", b"g", b"X"))
    if kind in b"LK":
        content = draw.choice((*_NAMES, f"{FOLDER}/train.bin\x00".encode(), b"x" * 5000))
        return {"name": b"././@LongLink", "kind": kind}, content
    pairs = [_record(draw) for _ in range(draw.choice((1, 1, 3)))]
    return {"name": b"./PaxHeaders/x", "kind": kind}, b"".join(pairs)


def _record(draw: Random) -> bytes:
    """A pax record `length key=value`, whose length may be wrong."""
    key = draw.choice((b"path", b"path", b"linkpath", b"size", b"size", b"mtime", b"uid", b"hdrcharset", b"comment",
                       b"GNU.sparse.map", b"GNU.sparse.size", b"GNU.sparse.major", b"GNU.sparse.minor", b"charset",
                       b"GNU.sparse.realsize", b"GNU.sparse.name", b"GNU.sparse.numblocks", b""))  # fmt: skip
    value = draw.choice(
        (*_NAMES, *_ODD_NUMBERS, b"1", b"20", b"BINARY", b"0,1,5,1", b"1" * 5000, b"99999999999999999999")
    )
    text = b" " + key + b"=" + value + b"\n"
    length = len(text) + 1
    while len(text) + len(b"%d" % length) != length:
        length += 1
    digits = b"%d" % length
    return draw.choice((digits, digits, digits, draw.choice((b"0", b"-5", b"1", b"9" * 30, b"x", b"")))) + text


def _read(folder: Path, draw: Random, past: Callable[[], None]) -> None:  # noqa: ARG001
    into = folder / "into"
    into.mkdir()
    try:
        with watched(archive, "_take", past):
            archive.unpack(folder / "a.tar.gz", FOLDER, SIZES, into)
    finally:
        _check(folder, into)


def _check(folder: Path, into: Path) -> None:
    """Raises Wrong if any file other than the expected ones was written."""
    if sorted(os.listdir(folder)) != ["a.tar.gz", "into"]:
        raise Wrong(f"it wrote {os.listdir(folder)}")
    for entry in os.scandir(into):
        if not entry.is_file(follow_symlinks=False) or entry.stat().st_size > SIZES.get(entry.name, -1):
            raise Wrong(f"it wrote {entry.name!r} of {entry.stat().st_size} bytes")


ARCHIVE = Reader(_files, _read)
