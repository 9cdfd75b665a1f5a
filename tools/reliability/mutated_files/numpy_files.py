"""Mutates NumPy files: data sets and exported weights in .npz, pictures in .npy."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from tfcore.architecture import Architecture
from tfcore.data import npy as checked_npy
from tfcore.data import pictures
from tfcore.data.sources.npz import npz
from tfcore.export import npz as exported
from tools.reliability.mutated_files import mutate
from tools.reliability.mutated_files.containers import DEFLATED, STORED, Member, npy, odd_zip, zipped
from tools.reliability.mutated_files.reader import Files, Reader, Wrong, check_dataset, check_weights, watched

Past = Callable[[], None]
METADATA = {"architecture": Architecture("softmax", (2, 2, 1), ("cat", "dog")).to_json()}
_DESCRIPTIONS = (
    "|O", "O", "<f8", "<f2", ">f4", "|u1", "u1", "<u2", ">i8", "<i4", "|b1", "|V4", "|V0", "<U0", "<U7", ">U2", "|S3",
    "|S0", "a5", "<U1000000000", "<V9999999999", "<M8[ns]", "<m8", "<c16", ",u1", "u1,u1", "(2,)u1", "(1000000000,)u1",
    "p", "g", "", "\x00", "²", "x" * 5000, "<u16", "|u1 ", "?", "b", "L", "T", "U-1", "U9999999999999999999",
)  # fmt: skip
_LITERAL_ODDITIES = (
    b"", b"{}", b"[]", b"None", b"{" * 200, b"(" * 5000, b"-" * 9000 + b"1", b"{'descr': '|u1'}", b"\xff", b"\x00",
    b"__import__('os')", b"{'shape': (1L,), 'fortran_order': False, 'descr': '|u1'}", b"1if 1else 2", b"'\\d'",
    b"{'descr': [('a', '<i4'), ('a', '<i4')], 'fortran_order': False, 'shape': (1,)}",
    b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}",
    b"{'descr': {}, 'fortran_order': 0, 'shape': 1}",
    b"{'descr': ('|u1', (2, 2)), 'fortran_order': False, 'shape': (1,)}", b"{**{}, 'shape': ()}", b"{[]: 1}", b"{{}}",
)  # fmt: skip


def literal(array: np.ndarray) -> bytes:
    """The header of an array as NumPy writes it."""
    return repr({"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}).encode()


def good_npy(array: np.ndarray) -> bytes:
    """A valid file of an array."""
    return npy(literal(array), array.tobytes())


def odd_npy(draw: Random, array: np.ndarray) -> bytes:
    """A mutated file of an array; its sizes may be consistent with each other and with the file size."""
    payload, good = array.tobytes(), good_npy(array)
    match draw.randrange(9):
        case 0:
            return npy(_odd_literal(draw, array), payload)
        case 1:
            return npy(literal(array), payload, length=mutate.integer(draw, 118, 32))
        case 2:
            version = draw.choice(((2, 0), (2, 0), (3, 0), (0, 0), (1, 1), (255, 255)))
            return npy(literal(array), payload, version)
        case 3:
            return npy(literal(array), mutate.damage(draw, payload))
        case 4:
            return mutate.damage(draw, good)
        case 5:  # another shape of the same size
            other = array.reshape(draw.choice(((-1,), (1, *array.shape), (*array.shape, 1), array.shape[::-1])))
            return good_npy(other)
        case 6:
            kind = draw.choice(("<i8", "|u1", "<u8", "|i1", "<f4", "|b1", ">u2", "<U2", "|S3"))
            return good_npy(array if array.dtype.kind == "U" else array.astype(kind))
        case 7:
            edges = [value for value in mutate.EDGES if value < 2**63]
            values = np.array([draw.choice((*edges, -1, -(2**31), -(2**63))) for _ in range(array.size)])
            return good_npy(values.reshape(array.shape))
    units = np.frombuffer(draw.randbytes(8 * array.size), "<u4") >> draw.choice((0, 8, 11, 16, 25))
    return good_npy(units.view("<U2").reshape(array.shape))  # some are invalid characters


def _odd_literal(draw: Random, array: np.ndarray) -> bytes:
    fields = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    match draw.randrange(6):
        case 0:
            return draw.choice(_LITERAL_ODDITIES)
        case 1:
            fields["descr"] = draw.choice(_DESCRIPTIONS)
        case 2:
            fields["fortran_order"] = draw.choice((True, True, 0, 1, None, "False"))
        case 3:
            lengths = [mutate.integer(draw, length, 64) - draw.choice((0, 0, 2**64)) for length in array.shape or (1,)]
            fields["shape"] = draw.choice((tuple(lengths), lengths, (), lengths[0], (True,) * len(lengths), (0.5,),
                                           ("1",), (*array.shape, 0), (*array.shape, 2**62, 4), (1,) * 70))  # fmt: skip
        case 4:
            return mutate.damage(draw, literal(array))
        case 5:
            return mutate.lines(draw, literal(array).replace(b" ", b"\n")).replace(b"\n", b" ")
    return repr(fields).encode()


def _zip_files(
    name: str, arrays: Callable[[Random], dict[str, np.ndarray]], deflate: bool
) -> Callable[[Random, bool], Files]:
    """Returns the function that draws an .npz file of the arrays that `arrays` draws."""

    def members(draw: Random) -> list[Member]:
        method = DEFLATED if deflate and draw.random() < 0.5 else STORED
        return [Member(f"{key}.npy".encode(), good_npy(array), method) for key, array in arrays(draw).items()]

    def files(draw: Random, bad: bool) -> Files:
        made = members(draw)
        if not bad:
            return {name: zipped(made)}
        if draw.random() < 0.4:
            return {name: odd_zip(draw, made, members(draw))}
        drawn = arrays(draw)
        chosen = draw.choice(list(drawn))
        odd = [odd_npy(draw, array) if key == chosen else good_npy(array) for key, array in drawn.items()]
        return {
            name: zipped(
                [Member(f"{key}.npy".encode(), data, made[0].method) for key, data in zip(drawn, odd, strict=True)]
            )
        }

    return files


def _data_arrays(draw: Random) -> dict[str, np.ndarray]:
    shape = draw.choice(((2, 2), (1, 1, 1), (2, 3, 3), (1, 2, 4)))
    parts = draw.choice((("train", "test"), ("train", "test"), ("train",)))
    made = {}
    for part in parts:
        count = draw.randint(4, 6)
        made[f"x_{part}"] = np.frombuffer(draw.randbytes(count * int(np.prod(shape))), np.uint8).reshape(count, *shape)
        labels = np.array(
            [0, 1, 0, 1, *(draw.randrange(2) for _ in range(count - 4))], draw.choice(("u1", "<i4", "<i8"))
        )
        made[f"y_{part}"] = labels.reshape(draw.choice(((-1,), (-1, 1))))
    return made | ({"class_names": np.array(["cat", "dög"])} if draw.random() < 0.3 else {})


def _read_data(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    with watched(checked_npy, "read_bytes", past):
        check_dataset(npz(folder / "a.npz", test_share=0.5, seed=0))


def weights(draw: Random) -> dict[str, np.ndarray]:
    """A few small variables by path."""
    kinds = draw.choice((("<f4", "<f4"), ("<f8", "<f2"), ("<f4", "<i8"), ("|u1", "|b1")))
    shapes = draw.choice((((2, 3), (3,)), ((1, 1, 2, 2), ()), ((4,), (1, 4))))
    values = [np.array([draw.randrange(2) for _ in range(int(np.prod(shape)))]) for shape in shapes]
    names = draw.choice((("linear.weights", "linear.biases"), ("a", "b"), ("blocks/0/w", "blocks/1/w")))
    return {n: v.astype(k).reshape(s) for n, v, k, s in zip(names, values, kinds, shapes, strict=True)}


def _export_arrays(draw: Random) -> dict[str, np.ndarray]:
    return {"__metadata__": np.frombuffer(json.dumps(METADATA).encode(), np.uint8), **weights(draw)}


def _read_export(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    path = folder / "a.npz"
    with watched(exported, "read_header", past):
        found, metadata = exported.read(path)
    check_weights(found, metadata, path.stat().st_size)


def _picture_files(draw: Random, bad: bool) -> Files:
    array = np.frombuffer(draw.randbytes(12), np.uint8).reshape(draw.choice(((3, 2, 2), (3, 2, 2, 1))))
    return {"a.npy": odd_npy(draw, array) if bad else good_npy(array)}


def _read_pictures(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    with watched(checked_npy, "read_bytes", past):
        found = pictures.read_pictures(folder / "a.npy", (2, 2, 1))
    if found.dtype != np.uint8 or found.shape[1:] != (2, 2, 1) or not len(found):
        raise Wrong(f"pictures are {found.dtype} of shape {found.shape}")


NPZ = Reader(_zip_files("a.npz", _data_arrays, deflate=True), _read_data)
NPY = Reader(_picture_files, _read_pictures)
EXPORT_NPZ = Reader(_zip_files("a.npz", _export_arrays, deflate=False), _read_export)
