"""Pictures in .npz files: Keras's layout, and headers compared with the file before memory is allocated."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcore.data import reading
from tfcore.data.dataset import Dataset
from tfcore.data.sources import npz as source
from tfcore.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (6, 4, 3), np.uint8)
Y = np.array([0, 1, 2, 0, 1, 2], np.uint8)
ARRAYS = {"x_train": X, "y_train": Y, "x_test": X[:3], "y_test": Y[:3]}


def read(path: Path, **settings: Any) -> Dataset:
    return source.npz(path, **{"test_share": 0.5, "seed": 0, **settings})


def save(path: Path, packed: bool = True, **arrays: Any) -> Path:
    (np.savez_compressed if packed else np.savez)(path / "my.npz", **arrays)
    return path / "my.npz"


def changed(**arrays: Any) -> dict[str, Any]:
    """Returns ARRAYS with some replaced; None removes one."""
    return {name: array for name, array in {**ARRAYS, **arrays}.items() if array is not None}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("arrays", "shape"),
    [
        (ARRAYS, (4, 3, 1)),
        (changed(x_train=X[..., None], x_test=X[:3]), (4, 3, 1)),
        (changed(x_train=X.reshape(6, 2, 2, 3), x_test=X[:3].reshape(3, 2, 2, 3)), (2, 2, 3)),
        (changed(y_train=Y[:, None].astype(">i8"), y_test=Y[:3, None].astype(np.uint64)), (4, 3, 1)),
    ],
)
def test_what_keras_publishes_is_read(tmp_path: Path, packed: bool, arrays: Any, shape: tuple[int, ...]) -> None:
    dataset = read(save(tmp_path, packed, **arrays))
    assert dataset.image_shape == shape
    np.testing.assert_array_equal(dataset.train.images.reshape(X.shape), X)
    np.testing.assert_array_equal(dataset.train.labels, Y)
    np.testing.assert_array_equal(dataset.test.images.reshape(X[:3].shape), X[:3])
    np.testing.assert_array_equal(dataset.test.labels, Y[:3])
    assert dataset.train.labels.dtype == np.int32
    assert dataset.train.images.ctypes.data % 64 == 0
    assert dataset.train.images.flags.writeable
    assert dataset.class_names == ("0", "1", "2")


def test_names_of_classes_are_read(tmp_path: Path) -> None:
    names = np.array(["cat", "größer", "cow"])
    assert read(save(tmp_path, class_names=names, **ARRAYS)).class_names == ("cat", "größer", "cow")


def test_without_test_pictures_a_share_is_held_out(tmp_path: Path) -> None:
    dataset = read(save(tmp_path, x_train=X, y_train=Y))
    assert (len(dataset.train), len(dataset.test)) == (3, 3)
    both = np.concatenate([dataset.train.images, dataset.test.images]).reshape(6, -1)
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(X.reshape(6, -1), axis=0))
    with pytest.raises(ConfigError, match=r"must leave examples"):
        read(tmp_path / "my.npz", test_share=0.01)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(x_train=None), "must hold the array x_train. It holds y_train, x_test, y_test"),
        (changed(y_test=None), "must hold the array y_test"),
        (changed(x_test=None), "must hold the array x_test"),
        (changed(x_train=X.astype(np.float32)), "`x_train` in .* must hold whole numbers or text. Received float32"),
        (changed(x_train=X.astype(np.int16)), r"`x_train` in .* must be uint8 .* Received int16 of shape \[6, 4, 3\]"),
        (changed(x_train=X[0]), r"not empty. Received uint8 of shape \[4, 3\]"),
        (changed(x_train=X[:0], y_train=Y[:0]), r"Received uint8 of shape \[0, 4, 3\]"),
        (changed(x_train=X[:, :, :0]), r"Received uint8 of shape \[6, 4, 0\]"),
        (changed(x_train=np.asfortranarray(X)), "in Fortran's order. Save np.ascontiguousarray"),
        (changed(y_train=Y[:5]), r"one whole number for each of 6 pictures. Received uint8 of shape \[5\]"),
        (changed(y_train=np.eye(6, 3, dtype=np.uint8)), r"Received uint8 of shape \[6, 3\]"),
        (changed(y_train=Y.astype(float)), "must hold whole numbers"),
        (changed(y_test=Y[:3].astype(np.int64) - 1), "`y_test` in .* must be 0 or more. Received -1 at index 0"),
        (changed(y_test=Y[:3].astype(np.uint64) + 2**32), "must be 0 or more. Received 4294967296"),
        (changed(y_train=Y * 2), "class 1 of 5 is an empty class"),
        (changed(y_test=Y[:3] + 1), r"within 0\.\.2. Received 3 at index 2 of test"),
        (changed(y_train=Y.astype(object)), "must hold whole numbers or text. Received object"),
        (changed(class_names=np.array(["a", "b"], object)), "`class_names` .* must hold whole numbers or text"),
        (changed(class_names=np.array([b"a", b"b", b"c"])), "`class_names` in .* must be text"),
        (
            changed(class_names=np.array([0x110000, 0x61, 0x62], "<u4").view("<U1")),
            "Received 1114112, which is no char",
        ),
        (
            changed(class_names=np.array([0x110000, 0x61, 0x62], ">u4").view(">U1")),
            "Received 1114112, which is no char",
        ),
        (changed(class_names=np.array(["a", "b"])), r"within 0\.\.1. Received 2"),
        (changed(x_test=X[:3, 1:]), r"\(4, 3, 1\) in train and \(3, 3, 1\) in test"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(save(tmp_path, **arrays))


@pytest.mark.parametrize("codes", [[0x110000, 97, 98], [0xD800, 97, 98], [0x1B, 97, 98]])
def test_names_that_are_no_plain_text_are_refused(tmp_path: Path, codes: list[int]) -> None:
    names = np.array(codes, "<u4").view("<U1")
    with pytest.raises(DataError, match=r"class_names` in .*my\.npz must be text|text without control characters"):
        read(save(tmp_path, **changed(class_names=names)))


def forbidden(shape: tuple[int, ...]) -> np.ndarray:
    raise AssertionError(f"allocated {shape}")


def header(shape: str, descr: str = "'|u1'", order: str = "False", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (header("(10**9, 28, 28)"), "no header of an array"),
        (header("(1000000000, 28, 28)") + bytes(99), "claims 784000000082 bytes. It has 181"),
        (header("(6, 4, 3)") + bytes(71), "claims 1.. bytes"),
        (header("(6, 4, 3)") + bytes(73), "claims 1.. bytes"),
        (header("(-6, -12)") + bytes(72), r"claims the shape \[-6, -12\]"),
        (header("(6, 4, 3)", descr="[('a', '|u1')]") + bytes(72), "must hold whole numbers or text"),
        (header("(6, 4, 3)", descr="('|u1', (1,))") + bytes(72), "must hold whole numbers or text"),
        (header("(6, 4, 3)", descr="'<U0'"), "must hold whole numbers or text"),
        (header("(6, 4, 3)", version=b"\x09\x00") + bytes(72), "no header of an array"),
        (header("(" * 250 + ")" * 250), "no header of an array"),
        (header("-" * 3000 + "1"), "no header of an array"),
        (b"\x93NUMPY", "no header of an array"),
        (b"", "no header of an array"),
        (b"cos\nsystem\n", "no header of an array"),
    ],
)
def test_nothing_is_allocated_for_a_lying_header(
    tmp_path: Path, member: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, **changed(x_train=None))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", member)
    monkeypatch.setattr(reading, "aligned_empty", forbidden)
    with pytest.raises(DataError, match=f"x_train.*{message}"):
        read(path)


def directory_entry(data: bytes) -> int:
    """Returns the offset of the directory entry of x_train, the first member."""
    return data.index(b"PK\x01\x02")


def claims_much(data: bytearray) -> None:
    """The directory says that the member has 3 GB."""
    start = directory_entry(data)
    data[start + 24 : start + 28] = struct.pack("<I", 3 * 10**9)


def claims_a_little(data: bytearray) -> None:
    """The directory says that the member has more bytes than are stored of it."""
    start = directory_entry(data)
    data[start + 24 : start + 28] = struct.pack("<I", 1000)


def is_encrypted(data: bytearray) -> None:
    data[directory_entry(data) + 8] |= 1


def is_bzip2(data: bytearray) -> None:
    data[directory_entry(data) + 10] = 12


def has_other_pixels(data: bytearray) -> None:
    """Stored pixels that the checksum does not fit."""
    data[data.index(X.tobytes())] ^= 1


def is_cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (claims_much, "`x_train` in .*my.npz claims 3000000000 bytes, more than"),
        (claims_a_little, "`x_train` in .*my.npz claims 1000 bytes, more than 200 can unpack to"),
        (is_encrypted, "`x_train` in .*my.npz is encrypted or packed in an unusual way"),
        (is_bzip2, "packed in an unusual way"),
        (has_other_pixels, r"`x_train` in .*my.npz is damaged or no .npz file \(BadZipFile\)"),
        (is_cut, r"my.npz is damaged or no .npz file \(BadZipFile\)"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytearray], None], message: str) -> None:
    path = save(tmp_path, packed=False, **ARRAYS)
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_single_array_is_no_npz(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, X)
    (tmp_path / "my.npz").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"damaged or no .npz file"):
        read(tmp_path / "my.npz")
    with pytest.raises(DataError, match=r"Cannot use .*nothing.npz: No such file or directory. Name an .npz file"):
        read(tmp_path / "nothing.npz")
    with pytest.raises(DataError, match=r"it is no regular file"):
        read(tmp_path)


@pytest.mark.parametrize("place", range(0, 900, 7))
def test_one_wrong_byte_is_an_error_in_one_line_or_none(tmp_path: Path, place: int) -> None:
    path = save(tmp_path, packed=bool(place % 2), **ARRAYS)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0xFF
    path.write_bytes(data)
    message = ""
    try:
        assert len(read(path).train) in (6, 3)  # 3 where x_test and y_test have lost their names
    except DataError as error:
        message = str(error)
    assert "\n" not in message


def test_weights_are_read_and_follow_the_pictures(tmp_path: Path) -> None:
    weights = np.arange(1, 7) / 4
    assert read(save(tmp_path, **ARRAYS)).train_weights is None
    np.testing.assert_array_equal(read(save(tmp_path, **ARRAYS, train_weights=weights)).train_weights, weights)
    marked = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 3), np.uint8)
    found = read(save(tmp_path, x_train=marked, y_train=Y, train_weights=weights))
    np.testing.assert_array_equal(found.train_weights, weights[found.train.images[:, 0, 0, 0]])
    with pytest.raises(DataError, match=r"`train_weights` in .*my.npz must hold one number for each of 6"):
        read(save(tmp_path, **ARRAYS, train_weights=weights[1:]))
