"""Mutates exported weights in HDF5 and safetensors files; numpy_files.py has those in .npz."""

import io
import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from tfcore.export import files as shared
from tfcore.export import h5, plain_hdf5, safetensors
from tools.reliability.mutated_files import mutate
from tools.reliability.mutated_files.numpy_files import METADATA, weights
from tools.reliability.mutated_files.reader import Files, Reader, check_weights, watched

Past = Callable[[], None]
_SIGNATURES = (b"\x89HDF", b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"BTHD", b"FRHP", b"OCHK", b"EADB")
_SAFE_TYPES = ("F32", "F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "F4", "X9", "", "f32")


def _h5_file(fill: Callable[[h5py.File], None], version: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=version) as file:
        fill(file)
    return buffer.getvalue()


@cache
def _good_h5(number: int) -> bytes:
    """A file like those of `h5.write`."""
    arrays = shared.with_metadata(weights(Random(number)), METADATA)

    def fill(file: h5py.File) -> None:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)

    return _h5_file(fill, "earliest")


def _linked(file: h5py.File) -> None:
    group = file.create_group("a/b/c")
    group["up"] = file["a"]
    group["soft"] = h5py.SoftLink("/a/b/c/soft")
    group["far"] = h5py.ExternalLink("/dev/zero", "/")
    file["type"] = np.dtype("f4")
    file.attrs["x"] = np.arange(100)


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/dev/zero", "a", shape=(4,))
    file.create_virtual_dataset("a", layout)


# Contents that no export has, each put into a separate file.
_ODD_H5: tuple[Callable[[h5py.File], Any], ...] = (
    lambda file: file.create_dataset("a", data=np.zeros(1000), compression="gzip"),
    lambda file: file.create_dataset("a", data=np.zeros((8, 8)), chunks=(2, 2)),
    lambda file: file.create_dataset("a", shape=(2**40,), dtype="f4"),
    lambda file: file.create_dataset("a", shape=(2**20,), maxshape=(None,), dtype="f4", fletcher32=True),
    lambda file: file.create_dataset("a", shape=(4,), dtype="u1", external=[("/dev/zero", 0, 4)]),
    lambda file: file.create_dataset("a", data="text"),
    lambda file: file.create_dataset("a", data=np.zeros(2, [("x", "f4"), ("y", "i4")])),
    lambda file: file.create_dataset("a", data=np.zeros(2, "f4,(2,)i4")),
    lambda file: file.create_dataset("a", data=h5py.Empty("f4")),
    lambda file: file.create_dataset("a", data=np.zeros((0, 3))),
    lambda file: file.create_dataset("a", shape=(3,), dtype=h5py.vlen_dtype("i4")),
    lambda file: file.create_dataset("a", shape=(3,), dtype=h5py.ref_dtype),
    lambda file: file.create_dataset("a", data=np.zeros(2, "c8")),
    lambda file: file.create_dataset("__metadata__", data=np.frombuffer(b"[1]", "u1")),
    lambda file: file.create_dataset("__metadata__/x", data=1),
    lambda file: file.create_dataset("\udce9".encode("utf-8", "surrogateescape"), data=1.0),
    lambda file: file.create_dataset("x" * 60_000, data=1.0),
    lambda file: file.create_group("/".join("abc" * 60)),
    _linked,
    _virtual,
)


@cache
def _odd_h5_file(number: int) -> bytes:
    return _h5_file(_ODD_H5[number], "latest" if number % 2 else "earliest")


def _h5_files(draw: Random, bad: bool) -> Files:
    data = _good_h5(draw.randrange(16))
    if not bad:
        return {"a.h5": data}
    match draw.randrange(10):
        case 0:
            data = _odd_h5_file(draw.randrange(len(_ODD_H5)))
            data = data if draw.random() < 0.3 else _odd_structure(draw, data)
        case 1:
            data = mutate.damage(draw, data, draw.choice((0, 96, 96)))
        case 2:
            data = draw.choice((b"\x00" * 512, b"\x00" * 511, b"x" * 1024)) + data
        case _:
            for _ in range(draw.choice((1, 1, 1, 2, 4))):
                data = _odd_structure(draw, data)
    return {"a.h5": data}


def _odd_structure(draw: Random, data: bytes) -> bytes:
    """The file with one number of a structure changed, possibly to the address of another structure."""
    places = [place for signature in _SIGNATURES for place in _found(data, signature)]
    base = draw.choice(places) if draw.random() < 0.5 else draw.randrange(96, max(97, min(len(data), 2500)), 8)
    place, layout = base + draw.randrange(0, 96, draw.choice((1, 8, 8))), draw.choice(("<Q", "<Q", "<I", "<H", "B"))
    if layout == "<Q" and draw.random() < 0.4 and place + 8 <= len(data):
        return data[:place] + struct.pack("<Q", draw.choice(places)) + data[place + 8 :]
    return mutate.overwrite(draw, data, place, layout)


def _found(data: bytes, signature: bytes) -> list[int]:
    places, place = [], data.find(signature)
    while place >= 0:
        places.append(place)
        place = data.find(signature, place + 1)
    return places


def _read_h5(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001 (all readers are called alike)
    path = folder / "a.h5"
    with watched(plain_hdf5, "_shape", past):
        found, metadata = h5.read(path)
    check_weights(found, metadata, path.stat().st_size)


def _safetensors_parts(draw: Random) -> tuple[dict[str, Any], bytes]:
    """The header as a tree, and the bytes of the tensors."""
    header: dict[str, Any] = {"__metadata__": dict(METADATA)} if draw.random() < 0.7 else {}
    numbers = b""
    for name, array in weights(draw).items():
        kind = {"f": "F", "i": "I", "u": "U", "b": "BOOL"}[array.dtype.kind]
        kind += "" if kind == "BOOL" else str(8 * array.dtype.itemsize)
        offsets = [len(numbers), len(numbers) + array.nbytes]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        numbers += array.tobytes()
    return header, numbers


def _safetensors_files(draw: Random, bad: bool) -> Files:
    header, numbers = _safetensors_parts(draw)
    if not bad:
        text = json.dumps(header).encode()
        return {"a.safetensors": struct.pack("<Q", len(text)) + text + numbers}
    data = _odd_safetensors(draw, header, numbers)
    return {"a.safetensors": mutate.damage(draw, data) if draw.random() < 0.1 else data}


def _odd_safetensors(draw: Random, header: dict[str, Any], numbers: bytes) -> bytes:
    name = draw.choice([name for name in header if name != "__metadata__"])
    tensor = header[name]
    length = text = None
    match draw.randrange(9):
        case 0:
            length = mutate.integer(draw, len(json.dumps(header)), 64)
        case 1:
            text = mutate.json_text(draw, header)
        case 2:
            tensor["dtype"] = draw.choice(_SAFE_TYPES)
        case 3:
            sides = [mutate.integer(draw, side, 64) for side in tensor["shape"]]
            tensor["shape"] = draw.choice((sides, tensor["shape"][::-1], [*tensor["shape"], 1], [0], [2**62, 4]))
        case 4:
            tensor["data_offsets"][draw.randrange(2)] = mutate.integer(draw, tensor["data_offsets"][1], 64)
        case 5:
            header[draw.choice(("a\x00", "\udc80", "", "x" * 60_000, "__metadata__"))] = header.pop(name)
        case 6:
            numbers = mutate.flip(draw, numbers)
        case 7:  # every bit pattern is a number, but some are no valid bool
            numbers = draw.randbytes(len(numbers))
        case 8:
            numbers = mutate.damage(draw, numbers)
    text = json.dumps(header).encode() if text is None else text
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def _read_safetensors(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    path = folder / "a.safetensors"
    with watched(safetensors, "safe_open", past, after=True):
        found, metadata = safetensors.read(path)
    check_weights(found, metadata, path.stat().st_size)


H5 = Reader(_h5_files, _read_h5)
SAFETENSORS = Reader(_safetensors_files, _read_safetensors)
