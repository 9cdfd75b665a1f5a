"""The safetensors format: headers that lie are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcore.errors import DataError
from tfcore.export import safetensors


def file_of(path: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_file_made_by_hand_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path / "m", {"a": entry([2], 0, 8), "__metadata__": {"x": "y"}}, np.float32([1, 2]).tobytes())
    weights, metadata = safetensors.read(path)
    assert weights["a"].tolist() == [1, 2]
    assert metadata == {"x": "y"}


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({"a": entry([10**12], 0, 4 * 10**12)}, None),
        ({"a": entry([3], 0, 8)}, None),
        ({"a": entry([2], 0, 8), "b": entry([2], 0, 8)}, None),
        ({"a": entry([2], 0, 8, "F3")}, None),
        ({"a": entry([2], 0, 8)}, 10**15),
        ({"a": entry([1], 0, 8, "C64")}, None),
        ([1, 2], None),
        ({"a": entry([0, 2**62], 0, 0)}, None),
        ({"a": entry([2**32, 2**32], 0, 0)}, None),
        ({"a": entry([-2], 0, 8)}, None),
        ({"a": entry([2], 8, 0)}, None),
        ({"a": entry([1], 0, 4)}, None),
        ({"a": entry([4], 0, 8, "BF16")}, None),
        ({"a": entry([2] + [1] * 100, 0, 8)}, None),
        ({"__metadata__": {"x": 3}, "a": entry([2], 0, 8)}, None),
    ],
    ids=[
        "larger than the file",
        "other shape",
        "overlap",
        "unknown type",
        "endless header",
        "complex",
        "no object",
        "huge axis",
        "overflow",
        "negative",
        "backwards",
        "left over",
        "not a NumPy type",
        "many axes",
        "metadata of numbers",
    ],
)
def test_what_lies_is_refused(tmp_path: Path, header: Any, length: int | None) -> None:
    with pytest.raises(DataError, match="is no safetensors file, or it is damaged"):
        safetensors.read(file_of(tmp_path / "m", header, bytes(8), length=length))
