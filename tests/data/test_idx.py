"""The IDX reader, on small generated files and on the published MNIST."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfcore.data import reading
from tfcore.data.sources import idx
from tfcore.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
LABELS = (np.arange(12) % 10).astype(np.uint8)
LOADERS = {"mnist": idx.mnist, "fashion_mnist": idx.fashion_mnist, "kmnist": idx.kmnist}


def encode(magic: int, array: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    """An IDX file of the array, whose header may claim another shape."""
    shape = shape or array.shape
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + array.tobytes()


def write(folder: Path, compressed: bool) -> None:
    folder.mkdir()
    for prefix in ("train", "t10k"):
        for name, data in [
            ("images-idx3-ubyte", encode(2051, IMAGES)),
            ("labels-idx1-ubyte", encode(2049, LABELS)),
        ]:
            replace(folder, f"{prefix}-{name}", data, compressed)


def replace(folder: Path, name: str, data: bytes, compressed: bool) -> None:
    """Writes one file, plain or compressed."""
    if compressed:
        (folder / f"{name}.gz").write_bytes(gzip.compress(data, 1))
    else:
        (folder / name).write_bytes(data)


@pytest.fixture(params=[False, True], ids=["plain", "gz"])
def compressed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def data_dir(tmp_path: Path, compressed: bool) -> Path:
    """A data folder with an MNIST of twelve pictures."""
    write(tmp_path / "mnist", compressed)
    return tmp_path


@pytest.mark.parametrize("name", LOADERS)
def test_pixels_and_labels_come_through(tmp_path: Path, name: str, compressed: bool) -> None:
    write(tmp_path / name, compressed)
    dataset = LOADERS[name](tmp_path)
    assert dataset.name == name
    assert len(dataset.class_names) == 10
    for split in (dataset.train, dataset.test):
        np.testing.assert_array_equal(split.images, IMAGES[..., np.newaxis])
        np.testing.assert_array_equal(split.labels, LABELS)
        assert split.images.ctypes.data % 64 == 0
        assert split.images.flags.c_contiguous


def test_the_plain_file_goes_first(tmp_path: Path) -> None:
    write(tmp_path / "mnist", compressed=True)
    replace(tmp_path / "mnist", "train-labels-idx1-ubyte", encode(2049, LABELS[::-1]), compressed=False)
    np.testing.assert_array_equal(idx.mnist(tmp_path).train.labels, LABELS[::-1])


def test_gz_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mnist", compressed=True)
    monkeypatch.setattr(reading, "PIECE_BYTES", 1000)
    np.testing.assert_array_equal(idx.mnist(tmp_path).train.images, IMAGES[..., np.newaxis])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(2049, IMAGES), "magic number 2051. It starts with 2049"),
        (encode(2051, IMAGES, (12, 32, 28)), r"\[N >= 1, 28, 28\]. Its header says \[12, 32, 28\]"),
        (encode(2051, IMAGES[:0]), r"says \[0, 28, 28\]"),
        (encode(2051, IMAGES)[:9], "header of 16 bytes. It has 9"),
        (b"", "header of 16 bytes. It has 0"),
        (encode(2051, IMAGES[:-1]), "12 labels|11 and 12"),
    ],
)
def test_images_that_are_none_are_refused(data_dir: Path, compressed: bool, data: bytes, message: str) -> None:
    replace(data_dir / "mnist", "t10k-images-idx3-ubyte", data, compressed)
    with pytest.raises(DataError, match=f"t10k-images-idx3-ubyte.*({message})"):
        idx.mnist(data_dir)


def test_labels_with_the_magic_number_of_images_are_refused(data_dir: Path, compressed: bool) -> None:
    replace(data_dir / "mnist", "train-labels-idx1-ubyte", encode(2051, LABELS), compressed)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.*magic number 2049\. It starts with 2051"):
        idx.mnist(data_dir)


def test_a_label_out_of_range_is_named(data_dir: Path, compressed: bool) -> None:
    replace(data_dir / "mnist", "train-labels-idx1-ubyte", encode(2049, LABELS + np.uint8(3)), compressed)
    with pytest.raises(DataError, match=r"mnist must be within 0\.\.9\. Received 10 at index 7 of train"):
        idx.mnist(data_dir)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(2051, IMAGES)[:-1], "claims a file of 9424 bytes. It has 9423"),
        (encode(2051, IMAGES) + b"\0", "claims a file of 9424 bytes. It has 9425"),
        (encode(2051, IMAGES, (2**32 - 1, 28, 28)), "It has 9424"),
    ],
)
def test_a_plain_file_has_the_size_that_its_header_claims(tmp_path: Path, data: bytes, message: str) -> None:
    write(tmp_path / "mnist", compressed=False)
    replace(tmp_path / "mnist", "train-images-idx3-ubyte", data, compressed=False)
    with pytest.raises(DataError, match=message):
        idx.mnist(tmp_path)


def cut(data: bytes) -> bytes:
    return gzip.compress(data)[:-20]


def corrupt(data: bytes) -> bytes:
    packed = bytearray(gzip.compress(data))
    packed[-8] ^= 1  # the first byte of gzip's checksum
    return bytes(packed)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (gzip.compress(encode(2051, IMAGES)[:-1]), "must hold 9408 bytes after its header. It ends after 9407"),
        (gzip.compress(encode(2051, IMAGES) + b"\0"), "must end after 9408 bytes of array. More follows"),
        (gzip.compress(encode(2051, IMAGES, (2**32 - 1, 28, 28))), "claims 3367254359296 bytes, more than"),
        (cut(encode(2051, IMAGES)), r"damaged \(EOFError\)"),
        (corrupt(encode(2051, IMAGES)), r"damaged \(BadGzipFile\)"),
        (b"no gzip at all", r"damaged \(BadGzipFile\)"),
        (gzip.compress(b"")[:10] + b"\xff" * 20, r"damaged \(error\)"),
    ],
)
def test_a_compressed_file_is_what_its_header_claims(tmp_path: Path, packed: bytes, message: str) -> None:
    write(tmp_path / "mnist", compressed=True)
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(packed)
    with pytest.raises(DataError, match=rf"train-images-idx3-ubyte.gz.*{message}"):
        idx.mnist(tmp_path)


@pytest.mark.parametrize("claimed", [2**32 - 1, 100_000])
def test_nothing_is_allocated_for_a_lying_header(
    tmp_path: Path, compressed: bool, claimed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mnist", compressed)
    # Zeros pack to nearly nothing, so a claim of 78 MB is too much for them although 9 KB are there.
    data = encode(2051, np.zeros_like(IMAGES), (claimed, 28, 28))
    replace(tmp_path / "mnist", "train-images-idx3-ubyte", data, compressed)
    monkeypatch.setattr(reading, "aligned_empty", forbidden)
    with pytest.raises(DataError, match="claims"):
        idx.mnist(tmp_path)


def forbidden(shape: tuple[int, ...]) -> np.ndarray:
    raise AssertionError(f"allocated {shape}")


@pytest.mark.parametrize(
    ("load", "first", "last"), [(idx.fashion_mnist, "T-shirt/top", "Ankle boot"), (idx.kmnist, "o", "wo")]
)
def test_class_names(tmp_path: Path, load: Callable[[Path], idx.Dataset], first: str, last: str) -> None:
    write(tmp_path / load.__name__, compressed=True)
    names = load(tmp_path).class_names
    assert (names[0], names[9]) == (first, last)


@pytest.mark.parametrize("size", [(28, 28), (5, 9)])
def test_a_folder_of_the_users_own(tmp_path: Path, compressed: bool, size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, *size), np.uint8)
    write(tmp_path / "own", compressed)
    for prefix, count in (("train", 12), ("t10k", 3)):
        replace(tmp_path / "own", f"{prefix}-images-idx3-ubyte", encode(2051, images[:count]), compressed)
        replace(tmp_path / "own", f"{prefix}-labels-idx1-ubyte", encode(2049, LABELS[:count]), compressed)
    dataset = idx.idx(tmp_path / "own")
    assert dataset.name == f"idx:{tmp_path / 'own'}"
    assert dataset.image_shape == (*size, 1)
    assert dataset.class_names == tuple("0123456789")
    np.testing.assert_array_equal(dataset.train.images[..., 0], images)
    np.testing.assert_array_equal(dataset.test.labels, LABELS[:3])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("train-labels-idx1-ubyte", encode(2049, LABELS * np.uint8(2)), "class 1 of 19 is an empty class"),
        (
            "t10k-labels-idx1-ubyte",
            encode(2049, LABELS + np.uint8(1)),
            r"within 0\.\.9. Received 10 at index 9 of test",
        ),
        ("t10k-images-idx3-ubyte", encode(2051, IMAGES[:, 1:]), r"\(28, 28, 1\) in train and \(27, 28, 1\) in test"),
        ("t10k-images-idx3-ubyte", encode(2051, IMAGES[:, :0]), r"\[N >= 1, any, any\]. Its header says \[12, 0, 28\]"),
        (
            "t10k-images-idx3-ubyte",
            None,
            "There is no t10k-images-idx3-ubyte or .*gz in .*own. Name a folder with",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    write(tmp_path / "own", compressed=False)
    if data is None:
        (tmp_path / "own" / name).unlink()
    else:
        (tmp_path / "own" / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        idx.idx(tmp_path / "own")


def test_the_published_mnist(real_data: Path) -> None:
    dataset = idx.mnist(real_data)
    assert dataset.train.images.shape == (60_000, 28, 28, 1)
    assert dataset.test.images.shape == (10_000, 28, 28, 1)
    assert dataset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # The commonly quoted mean.
    assert round(float(dataset.train.images.mean()) / 255, 4) == 0.1307
    assert dataset.class_names[5] == "5"
