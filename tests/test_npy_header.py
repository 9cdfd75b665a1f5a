"""The header of an .npy file: what NumPy writes is read, and what anyone else writes is a header or a ValueError."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore.npy_header import Header, read_header


def stream(text: str | bytes, version: bytes = b"\1\0", length: int | None = None) -> io.BytesIO:
    content = text.encode() if isinstance(text, str) else text
    packing = "<H" if version == b"\1\0" else "<I"
    return io.BytesIO(
        b"\x93NUMPY" + version + struct.pack(packing, len(content) if length is None else length) + content
    )


def literal(descr: str = "'<f4'", order: str = "False", shape: str = "(2, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 3), np.float32), np.asfortranarray(np.ones((4, 5))), np.array("größe"), np.zeros((0, 3), ">i2")],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_what_numpy_writes_is_read(array: np.ndarray, version: tuple[int, int]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    file.seek(0)
    header = read_header(file)
    assert header == Header(array.shape, array.flags.fnc, array.dtype)
    assert header.array_bytes == array.nbytes == len(file.read())


def test_what_python_2_wrote_is_read_without_a_word() -> None:
    assert read_header(stream(literal(shape="(2L, 3L)"))).shape == (2, 3)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (io.BytesIO(b""), "it has no header of an array"),
        (io.BytesIO(b"\x93NUMPY"), "it has no header of an array"),
        (io.BytesIO(b"\x93NUMPY\1\0"), "no header of an array"),
        (io.BytesIO(b"cos\nsystem\n"), "it has no header of an array"),
        (stream(literal(), b"\3\0"), "it has no header of an array"),
        (stream(literal(), length=200), "no header of an array .ValueError"),
        (stream(literal(), length=20), "no header of an array"),
        (stream(literal(shape="(2, -3)")), r"claims the shape \[2, -3\]"),
        (stream("(" * 250 + ")" * 250), "no header"),
        (stream("-" * 3000 + "1"), "no header"),
        (stream("{'shape': (1"), "no header"),
        (stream("{[]: 1}"), "no header"),
        (stream("{1: 2, 'a': 3}"), "no header"),
        (stream(literal(descr="5")), "no header"),
        (stream(literal(descr="'\\d'")), "no header"),
        (stream(literal(descr="[('a', '<f4'), ('a', '<f4')]")), "no header"),
        (stream(literal(order="1")), "no header"),
        (stream(literal(shape="[2]")), "no header"),
        (stream(literal(shape="(1e3,)")), "no header"),
        (stream("__import__('os').system('true')"), "no header"),
        (stream(b"\0\xff"), "no header"),
        (stream(literal() + " " * 10_000, b"\2\0"), "claims 100.. bytes, and may have 10000"),
        (stream("", b"\2\0", 2**32 - 1), "claims 4294967295 bytes, and may have 10000"),
    ],
)
def test_what_is_no_header_is_refused(file: io.BytesIO, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_header(file)


def test_a_header_is_not_read_when_it_claims_too_much() -> None:
    """It may lie packed in a file of a thousandth of its size."""
    asked: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return super().read(size)

    with pytest.raises(ValueError, match="claims 1000000 bytes"):
        read_header(Counting(stream(" " * 10**6, b"\2\0").getvalue()))
    assert sum(asked) < 100


@given(st.one_of(st.binary(max_size=60), st.text(st.sampled_from("{}()[],:'L1-xOVi<> \\\n"), max_size=60)))
def test_any_text_is_a_header_or_an_error(text: Any) -> None:
    for content in (text, literal(descr=repr(text)), literal(shape=str(text))):
        try:
            header = read_header(stream(content))
        except ValueError:
            continue
        assert header.array_bytes >= 0
