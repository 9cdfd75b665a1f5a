"""Mutates picture files in the supported formats chunk by chunk: PNG, JPEG, GIF and BMP."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from tools.reliability.mutated_files import containers, mutate

SIZE = (5, 4)  # H, W
GOOD = 8  # pictures of each kind
LARGE = (8000, 7999)  # W, H; just below the limit of pixels
LARGE_SHARE = 0.0005  # of the mutated PNG and GIF files, since one takes seconds
# Modes and options that each format is saved with: grey, colour, transparency and palette where it supports them.
SETTINGS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "png": (("L", {}), ("RGB", {}), ("RGBA", {}), ("P", {}), ("LA", {}), ("1", {}), ("I;16", {}),
            ("P", {"transparency": 1})),
    "jpg": (("L", {}), ("RGB", {}), ("RGB", {"progressive": True}), ("CMYK", {}), ("RGB", {"subsampling": 0}),
            ("L", {"progressive": True}), ("RGB", {"optimize": True}), ("RGB", {"restart_marker_blocks": 1})),
    "gif": (("L", {}), ("P", {}), ("1", {}), ("P", {"interlace": 0}), ("P", {"transparency": 1}), ("L", {"loop": 0}),
            ("P", {"comment": b"x"}), ("RGB", {})),
    "bmp": (("L", {}), ("RGB", {}), ("1", {}), ("P", {}), ("RGBA", {}), ("L", {}), ("RGB", {}), ("P", {})),
}  # fmt: skip
_OTHERS = ("tiff", "webp", "ico", "ppm", "pcx", "tga", "dds", "sgi")  # unsupported formats


@cache
def good(kind: str, number: int) -> bytes:
    """A valid picture file, number 0 .. GOOD-1."""
    mode, options = SETTINGS.get(kind, (("RGB", {}),) * GOOD)[number]
    pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) << 8)
    elif mode != "RGB":
        image = image.quantize(16) if mode == "P" else image.convert(mode)
    file = io.BytesIO()
    image.save(file, {"jpg": "jpeg"}.get(kind, kind), **options)
    return file.getvalue()


def odd(draw: Random, kind: str, number: int) -> bytes:
    """A mutated picture file."""
    data = good(kind, number)
    match draw.randrange(10):
        case 0:
            return mutate.damage(draw, data, draw.choice((0, 8, 40)))
        case 1:
            return mutate.splice(draw, data, good(draw.choice(list(SETTINGS)), draw.randrange(GOOD)))
        case 2:
            return draw.choice((b"", data[: draw.randint(1, 40)], good(draw.choice(_OTHERS), 0)))
    return _ODD[kind](draw, data)


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The type and content of each chunk."""
    chunks, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of these chunks, with correct lengths and checksums."""
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _odd_png(draw: Random, data: bytes) -> bytes:
    chunks = _png_chunks(data)
    if draw.random() < LARGE_SHARE:
        return _png([(b"IHDR", struct.pack(">2I", *LARGE) + chunks[0][1][8:]), *chunks[1:]])
    match draw.randrange(6):
        case 0:
            place, layout = draw.choice(((0, ">I"), (4, ">I"), (8, "B"), (9, "B"), (10, "B"), (11, "B"), (12, "B")))
            chunks[0] = (b"IHDR", mutate.overwrite(draw, chunks[0][1], place, layout))
        case 1:
            chunks = [chunks[0], *mutate.rearrange(draw, chunks[1:], [_png_extra(draw), _png_extra(draw)])]
        case 2:
            chunks.insert(draw.randint(1, len(chunks) - 1), _png_extra(draw))
        case 3:
            raw = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
            raw = draw.choice((mutate.damage(draw, raw), raw + bytes(10**5), raw[: len(raw) // 2], b""))
            chunks = [(kind, zlib.compress(raw) if kind == b"IDAT" else content) for kind, content in chunks]
        case 4:
            chunks = [chunks[0], *mutate.replace(draw, chunks[1:], lambda c: (c[0], mutate.damage(draw, c[1])))]
        case 5:  # wrong lengths and checksums
            place = len(_png(chunks[: draw.randint(1, len(chunks) - 1)]))
            return mutate.overwrite(draw, data, place - draw.choice((0, 0, 4)), ">I")
    return _png(chunks)


def _png_extra(draw: Random) -> tuple[bytes, bytes]:
    """An additional chunk that a decoder may parse."""
    text = draw.choice(mutate.TOKENS)[:3000]
    squeezed = draw.choice(
        (zlib.compress(text), zlib.compress(bytes(10**6)), b"\x78\x9c" + containers.bomb(2 * 10**7), text)
    )
    contents = {
        b"tEXt": b"Comment\x00" + text, b"zTXt": b"Comment\x00\x00" + squeezed, b"iCCP": b"name\x00\x00" + squeezed,
        b"iTXt": b"Comment\x00\x01\x00\x00\x00" + squeezed, b"eXIf": _exif(draw),
        b"tRNS": draw.randbytes(draw.choice((0, 1, 2, 6, 300))),
        b"acTL": struct.pack(">2I", mutate.integer(draw, 1, 32), 0), b"fdAT": struct.pack(">I", 0) + squeezed,
        b"fcTL": struct.pack(">5I2H2B", 0, *(mutate.integer(draw, 4, 32) for _ in range(4)), 1, 1, 0, 0),
        b"PLTE": draw.randbytes(draw.choice((0, 1, 3, 48, 768, 3000))), b"gAMA": draw.randbytes(draw.choice((0, 4))),
        b"cHRM": draw.randbytes(draw.choice((0, 31, 32))), b"sRGB": draw.randbytes(draw.randrange(2)),
        b"pHYs": draw.randbytes(draw.choice((0, 8, 9))), b"IDAT": squeezed, b"IHDR": draw.randbytes(13), b"IEND": b"",
        draw.randbytes(4): text, b"CgBI": b"\x00" * 4,
    }  # fmt: skip
    return draw.choice(list(contents.items()))


def _exif(draw: Random) -> bytes:
    """An EXIF directory with wrong numbers."""
    order = draw.choice("<>")
    tags = b"".join(
        struct.pack(f"{order}HHII", draw.choice((274, 34665, 34853, 40965, 282)), draw.randrange(14),
                    mutate.integer(draw, 1, 32), mutate.integer(draw, 8, 32))
        for _ in range(draw.randrange(4))
    )  # fmt: skip
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(f"{order}I", mutate.integer(draw, 8, 32))
    return head + struct.pack(f"{order}H", mutate.integer(draw, len(tags) // 12, 16)) + tags


def _jpeg_segments(data: bytes) -> list[bytes]:
    """The markers with their segments; the last one contains the compressed image."""
    segments, place = [data[:2]], 2
    while place < len(data) and data[place + 1] != 0xDA:
        end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
        segments.append(data[place:end])
        place = end
    return [*segments, data[place:]]


def _odd_jpeg(draw: Random, data: bytes) -> bytes:
    segments = _jpeg_segments(data)
    frames = [place for place, segment in enumerate(segments) if segment[1] in (0xC0, 0xC1, 0xC2)]
    match draw.randrange(6):
        case 0:
            place, layout = draw.choice(((4, "B"), (5, ">H"), (7, ">H"), (9, "B"), (10, "B"), (11, "B"), (1, "B")))
            segments[frames[0]] = mutate.overwrite(draw, segments[frames[0]], place, layout)
        case 1:
            segments = [segments[0], *mutate.rearrange(draw, segments[1:], [_jpeg_extra(draw), _jpeg_extra(draw)])]
        case 2:
            segments.insert(draw.randint(1, len(segments) - 1), _jpeg_extra(draw))
        case 3:
            segments[-1] = mutate.damage(draw, segments[-1], draw.choice((2, 14)))
        case 4:
            segments[1:-1] = mutate.replace(draw, segments[1:-1], lambda s: mutate.flip(draw, s, 4))
        case 5:
            segments[1:-1] = mutate.replace(draw, segments[1:-1], lambda s: mutate.overwrite(draw, s, 2, ">H"))
    return b"".join(segments)


def _jpeg_extra(draw: Random) -> bytes:
    """An additional segment that a decoder may parse."""
    exif = b"Exif\x00\x00" + _exif(draw)
    rest = draw.choice((
        (0xE1, exif), (0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + draw.choice(mutate.TOKENS)[:3000]),
        (0xE2, b"ICC_PROFILE\x00" + draw.randbytes(draw.choice((0, 1, 2, 200)))), (0xE2, b"MPF\x00" + _exif(draw)),
        (0xED, b"Photoshop 3.0\x008BIM" + draw.randbytes(30)), (0xEE, b"Adobe" + draw.randbytes(draw.choice((2, 7)))),
        (0xE0, b"JFIF\x00" + draw.randbytes(draw.choice((0, 5, 9)))), (0xFE, draw.randbytes(20)),
        (0xDD, struct.pack(">H", draw.choice((0, 1, 65535)))), (0xDB, draw.randbytes(65)), (0xDC, draw.randbytes(2)),
        (0xC4, draw.randbytes(40)), (0xC8, b""), (0xC9, draw.randbytes(9)), (draw.randrange(256), draw.randbytes(9)),
    ))  # fmt: skip
    return bytes([255, rest[0]]) + struct.pack(">H", len(rest[1]) + 2) + rest[1]


def _odd_gif(draw: Random, data: bytes) -> bytes:
    if draw.random() < LARGE_SHARE:
        return data[:6] + struct.pack("<2H", *LARGE) + data[10:]
    palette_bytes = 3 << (data[10] & 7) + 1 if data[10] & 128 else 0
    body = 13 + palette_bytes
    frame = data.index(b",", body)  # the comma begins a frame
    blocks = (
        b"!\xf9\x04" + draw.randbytes(4) + b"\x00", b"!\xff\x0bNETSCAPE2.0\x03\x01" + draw.randbytes(2) + b"\x00",
        b"!\xfe\x05hello\x00", b"!\xfe" + b"\xff" * draw.choice((1, 300)), b"!\x01\x0c" + draw.randbytes(12) + b"\x00",
        b"," + struct.pack("<4HB", *(mutate.integer(draw, 4, 16) for _ in range(4)), draw.randrange(256)), b";",
        b"\x00", data[frame:-1], b"!\xff\x0bXMP DataXMP" + draw.randbytes(30) + b"\x00",
    )  # fmt: skip
    match draw.randrange(6):
        case 0:
            place, layout = draw.choice(((6, "<H"), (8, "<H"), (10, "B"), (11, "B"), (12, "B")))
            return mutate.overwrite(draw, data, place, layout)
        case 1:
            place, layout = draw.choice(((1, "<H"), (3, "<H"), (5, "<H"), (7, "<H"), (9, "B"), (10, "B"), (11, "B")))
            return mutate.overwrite(draw, data, frame + place, layout)
        case 2:
            place = draw.choice((body, frame, len(data) - 1))
            return data[:place] + draw.choice(blocks) + data[place:]
        case 3:
            return mutate.damage(draw, data, frame + 10)
        case 4:
            return mutate.flip(draw, data, frame + 11)
    return data[:body] + b"".join(draw.choice(blocks) for _ in range(3)) + data[body:]


def _odd_bmp(draw: Random, data: bytes) -> bytes:
    fields = ((2, "<I"), (10, "<I"), (14, "<I"), (18, "<I"), (22, "<I"), (26, "<H"), (28, "<H"), (30, "<I"), (34, "<I"),
              (46, "<I"), (50, "<I"))  # fmt: skip
    match draw.randrange(5):
        case 0 | 1:
            place, layout = draw.choice(fields)
            return mutate.overwrite(draw, data, place, layout)
        case 2:
            header = draw.choice((12, 40, 52, 56, 64, 108, 124))
            return data[:14] + struct.pack("<I", header) + data[18:] + bytes(draw.choice((0, 100)))
        case 3:  # run-length encoding, of 8 or 4 bits a pixel
            (start,) = struct.unpack_from("<I", data, 10)
            bits, packing = draw.choice(((8, 1), (4, 2), (16, 3), (32, 3), (32, 6), (24, 4), (24, 5)))
            runs = b"".join(draw.choice((b"\x00\x00", b"\x00\x01", b"\x00\x02" + draw.randbytes(2), draw.randbytes(2)))
                            for _ in range(draw.randint(1, 30)))  # fmt: skip
            return data[:28] + struct.pack("<HI", bits, packing) + data[34:start] + runs
    return mutate.damage(draw, data, 54)


_ODD: dict[str, Callable[[Random, bytes], bytes]] = {
    "png": _odd_png, "jpg": _odd_jpeg, "gif": _odd_gif, "bmp": _odd_bmp,
}  # fmt: skip
