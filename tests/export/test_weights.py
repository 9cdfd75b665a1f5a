"""What holds for every format of weights."""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore.errors import DataError, RunError
from tfcore.export.weights import FORMATS

WEIGHTS = {
    "conv_1.weights": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4),
    "file": np.arange(5),  # a name that numpy.savez could not take
    "layers.0.scale": np.array(3.5, np.float32),
    "mask": np.array([[True], [False]]),
    "none": np.zeros((0, 3), np.uint8),
    "odd": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
    "transposed": np.arange(6, dtype=np.float16).reshape(2, 3).T,
}
METADATA = {"architecture": '{"class_names": ["猫", "chien"]}\n' * 4000, "step": "12"}  # more than an HDF5 header holds
every_format = pytest.mark.parametrize("name", FORMATS)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert isinstance(found[name], np.ndarray)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@every_format
def test_weights_and_metadata_come_back_to_the_bit(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"model.{name}"
    FORMATS[name].write(path, WEIGHTS, METADATA)
    found, metadata = FORMATS[name].read(path)
    assert_same(found, WEIGHTS)
    assert metadata == METADATA


@every_format
@given(
    array=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
def test_any_numbers_come_back(tmp_path_factory: pytest.TempPathFactory, name: str, array: Any) -> None:
    path = tmp_path_factory.mktemp("any") / f"model.{name}"
    FORMATS[name].write(path, {"a.b": np.asarray(array)}, {})
    assert_same(FORMATS[name].read(path)[0], {"a.b": np.asarray(array)})


@every_format
def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"model.{name}"
    with pytest.raises(RunError, match=r"'b' is <U1"):
        FORMATS[name].write(path, {"a": np.zeros(3), "b": np.array("x")}, {})
    assert list(tmp_path.iterdir()) == []
    path.write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        FORMATS[name].write(path, WEIGHTS, {})
    assert path.read_text() == "mine"


@every_format
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    own_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, own_limits[1]))  # a larger file meets what a full disk gives
    try:
        with pytest.raises(RunError, match=rf"model\.{name} cannot be written: File too large") as caught:
            FORMATS[name].write(tmp_path / f"model.{name}", {"a": np.ones(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own_limits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@every_format
@pytest.mark.parametrize("content", [b"", b"nonsense", None], ids=["empty", "nonsense", "missing"])
def test_what_is_no_such_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / f"model.{name}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"model\.{name} is no .* file, or it is damaged") as caught:
        FORMATS[name].read(path)
    assert "\n" not in str(caught.value)


@every_format
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / f"model.{name}")
    with pytest.raises(DataError, match=r"is no .* file, or it is damaged: .*it is no regular file"):
        FORMATS[name].read(tmp_path / f"model.{name}")


@every_format
def test_a_file_larger_than_memory_is_not_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / f"model.{name}").open("wb") as file:
        file.truncate(10**13)  # which takes no room on the disk
    with pytest.raises(DataError, match=rf"model\.{name} has 10000000000000 bytes, and this machine's memory"):
        FORMATS[name].read(tmp_path / f"model.{name}")


def damages(content: bytes) -> dict[str, bytes]:
    """Truncations, and bytes set to others, spread over the whole file."""
    places = np.random.default_rng(0).integers(0, len(content), 150)
    flipped = {
        f"byte {place}": content[:place] + bytes([content[place] ^ (1 << number % 8)]) + content[place + 1 :]
        for number, place in enumerate(places)
    }
    return flipped | {f"cut at {end}": content[:end] for end in range(0, len(content), max(1, len(content) // 20))}


@every_format
def test_damage_is_a_data_error_or_harmless(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"model.{name}"
    weights = {"a.weights": np.ones((2, 3), np.float32), "a.biases": np.zeros(3, np.float32)}
    FORMATS[name].write(path, weights, {"step": "1"})
    refused = 0
    for damaged in damages(path.read_bytes()).values():
        path.write_bytes(damaged)
        try:
            FORMATS[name].read(path)
        except DataError:
            refused += 1
    assert refused >= 20  # a byte of the numbers, or of no use, may be any other


def test_each_file_is_what_the_library_of_its_kind_reads(tmp_path: Path) -> None:
    import h5py
    import safetensors.numpy

    readers: dict[str, Callable[[Path], Any]] = {
        "h5": lambda path: h5py.File(path)["conv_1.weights"][()],
        "npz": lambda path: np.load(path, allow_pickle=False)["conv_1.weights"],
        "safetensors": lambda path: safetensors.numpy.load_file(path)["conv_1.weights"],
    }
    for name, read in readers.items():
        FORMATS[name].write(tmp_path / f"m.{name}", WEIGHTS, METADATA)
        np.testing.assert_array_equal(read(tmp_path / f"m.{name}"), WEIGHTS["conv_1.weights"])
    assert readers.keys() == FORMATS.keys()
