"""The part of HDF5 that is read without its library: what h5py writes comes back, and what lies ends in an error."""

import contextlib
import io
import struct
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

from tfcore.export import plain_hdf5

KINDS = [
    f"{order}{kind}{size}" for order in "<>" for kind in "uif" for size in (1, 2, 4, 8) if (kind, size) != ("f", 1)
]


def made(fill: Callable[[h5py.File], Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def read(data: bytes) -> dict[str, np.ndarray]:
    return plain_hdf5.read(io.BufferedReader(io.BytesIO(data)), len(data))  # type: ignore[type-var]


@pytest.mark.parametrize("options", [{}, {"libver": "earliest"}], ids=["by default", "earliest"])
def test_what_h5py_writes_comes_back(options: dict[str, Any]) -> None:
    arrays = {f"group_{len(kind)}/{kind}": np.arange(-3, 3).astype(kind).reshape(3, 2) for kind in KINDS}
    arrays |= {"truths": np.array([True, False]), "one": np.array(1.5), "none": np.zeros((0, 3), "f4")}
    arrays |= {f"many/{number}": np.array([number]) for number in range(1000)}  # a tree of some levels

    def fill(file: h5py.File) -> None:
        for name, array in arrays.items():
            file[name] = array

    found = read(made(fill, **options))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def replaced(data: bytes, place: int, number: int) -> bytes:
    return data[:place] + struct.pack("<Q", number) + data[place + 8 :]


SMALL = made(lambda file: file.create_dataset("name", data=np.arange(5)))
TREE, NAMES, ENTRIES = (SMALL.index(signature) for signature in (b"TREE", b"HEAP", b"SNOD"))
HEADER = struct.unpack_from("<Q", SMALL, ENTRIES + 16)[0]  # of the dataset


def test_a_header_that_goes_on_in_itself_takes_no_memory() -> None:
    message = struct.pack("<HHIQQ", 16, 16, 0, HEADER + 16, 24)
    data = SMALL[: HEADER + 16] + message + SMALL[HEADER + 16 + len(message) :]
    with pytest.raises(ValueError, match="claim more bytes than the file has"):
        read(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SMALL[:50], "claim more bytes than the file has"),
        (b"x" + SMALL[1:], "has no HDF5 signature"),
        (made(lambda file: file.create_dataset("a", data=1), libver="latest"), "not of version 0"),
        (replaced(SMALL, 64, 2**64 - 1), "lies beyond its end"),
        (replaced(SMALL, 64, TREE), "no header of version 1"),
        (SMALL[: TREE + 5] + b"\x01" + SMALL[TREE + 6 :], "has no tree"),
        (replaced(SMALL, TREE + 32, TREE), "has no entries"),
        (SMALL[: TREE + 5] + b"\x01" + replaced(SMALL, TREE + 32, TREE)[TREE + 6 :], "claim more bytes|has no tree"),
        (replaced(SMALL, NAMES + 8, 2**40), "claim more bytes than the file has"),
        (replaced(SMALL, ENTRIES + 8, 2**32), "is too short|not found|subsection"),
        (SMALL.replace(b"name\0", b"n\xffme\0"), "can't decode"),
        (replaced(SMALL, ENTRIES + 24, 2), "is a link"),
        (made(lambda file: file.create_group("/".join(["a" * 900] * 5))), "is not a variable path"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_lies_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(data)


def test_every_cut_and_every_number_ends_in_time() -> None:
    for place in range(len(SMALL)):
        for data in (SMALL[:place], replaced(SMALL, place, 2**63), replaced(SMALL, place, ENTRIES)):
            with contextlib.suppress(ValueError):
                assert sum(array.nbytes for array in read(data).values()) <= len(data)
