"""The CIFAR readers, on small generated files and on the published CIFAR-10."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfcore.data import download
from tfcore.data.sources import cifar
from tfcore.errors import DataError

RECORD_BYTES = 1 + 3072
CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def records(seed: int, count: int, *label_classes: int) -> np.ndarray:
    """Random records whose label bytes are below `label_classes`."""
    generator = np.random.default_rng(seed)
    labels = [generator.integers(0, classes, (count, 1), np.uint8) for classes in label_classes]
    return np.concatenate([*labels, generator.integers(0, 256, (count, 3072), np.uint8)], axis=1)


@pytest.fixture
def cifar10_dir(tmp_path: Path) -> Path:
    """A data folder with a CIFAR-10 of few records; batch n has n of them."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number in range(1, 6):
        records(number, number, 10).tofile(folder / f"data_batch_{number}.bin")
    records(6, 3, 10).tofile(folder / "test_batch.bin")
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR10_NAMES) + "\n\n")
    return tmp_path


@pytest.fixture
def cifar100_dir(tmp_path: Path) -> Path:
    """A data folder with a CIFAR-100 of few records."""
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    records(1, 5, 20, 100).tofile(folder / "train.bin")
    records(2, 2, 20, 100).tofile(folder / "test.bin")
    (folder / "fine_label_names.txt").write_text("".join(f"name {number}\n" for number in range(100)))
    return tmp_path


def test_cifar10_keeps_order_and_pixels(cifar10_dir: Path) -> None:
    dataset = cifar.cifar10(cifar10_dir)
    expected = np.concatenate([records(number, number, 10) for number in range(1, 6)])
    np.testing.assert_array_equal(dataset.train.labels, expected[:, 0])
    for image, record in zip(dataset.train.images, expected, strict=True):
        for channel in range(3):
            plane = record[1 + 1024 * channel : 1 + 1024 * (channel + 1)].reshape(32, 32)
            np.testing.assert_array_equal(image[:, :, channel], plane)
    assert len(dataset.test) == 3
    assert dataset.name == "cifar10"
    assert list(dataset.class_names) == CIFAR10_NAMES


def test_cifar100_takes_the_fine_label(cifar100_dir: Path) -> None:
    dataset = cifar.cifar100(cifar100_dir)
    expected = records(1, 5, 20, 100)
    np.testing.assert_array_equal(dataset.train.labels, expected[:, 1])
    np.testing.assert_array_equal(dataset.train.images[4, 0, :, 0], expected[4, 2:34])
    assert dataset.classes == 100
    assert dataset.class_names[7] == "name 7"


def test_files_are_read_in_chunks(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cifar.cifar10(cifar10_dir)
    monkeypatch.setattr(cifar, "CHUNK_RECORDS", 2)
    chunked = cifar.cifar10(cifar10_dir)
    np.testing.assert_array_equal(whole.train.images, chunked.train.images)
    np.testing.assert_array_equal(whole.train.labels, chunked.train.labels)


def test_images_are_aligned(cifar10_dir: Path) -> None:
    dataset = cifar.cifar10(cifar10_dir)
    for split in (dataset.train, dataset.test):
        assert split.images.ctypes.data % 64 == 0
        assert split.images.flags.c_contiguous


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(("change", "size_bytes"), [(truncate, 4 * RECORD_BYTES - 1), (empty, 0)])
def test_a_broken_record_is_refused(cifar10_dir: Path, change: Callable[[Path], None], size_bytes: int) -> None:
    change(cifar10_dir / "cifar-10-batches-bin" / "data_batch_4.bin")
    with pytest.raises(DataError, match=rf"data_batch_4.bin must .* records of 3073 bytes.* has {size_bytes} bytes"):
        cifar.cifar10(cifar10_dir)


def test_a_label_out_of_range_is_named(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "CHUNK_RECORDS", 2)
    bad = records(5, 5, 10)
    bad[3, 0] = 10
    bad.tofile(cifar10_dir / "cifar-10-batches-bin" / "data_batch_5.bin")
    with pytest.raises(DataError, match=r"data_batch_5.bin must be within 0\.\.9\. Received 10 in record 3"):
        cifar.cifar10(cifar10_dir)


@pytest.mark.parametrize(("column", "value", "limit"), [(0, 20, 19), (1, 100, 99)])
def test_both_labels_of_cifar100_are_checked(cifar100_dir: Path, column: int, value: int, limit: int) -> None:
    bad = records(2, 2, 20, 100)
    bad[1, column] = value
    bad.tofile(cifar100_dir / "cifar-100-binary" / "test.bin")
    with pytest.raises(DataError, match=rf"test.bin must be within 0\.\.{limit}\. Received {value} in record 1"):
        cifar.cifar100(cifar100_dir)


def test_the_number_of_names_is_checked(cifar10_dir: Path) -> None:
    (cifar10_dir / "cifar-10-batches-bin" / "batches.meta.txt").write_text("airplane\n")
    with pytest.raises(DataError, match=r"must hold 10 names of classes, one per line\. It holds 1\."):
        cifar.cifar10(cifar10_dir)


def test_names_with_control_characters_are_refused(cifar10_dir: Path) -> None:
    path = cifar10_dir / "cifar-10-batches-bin" / "batches.meta.txt"
    path.write_text("\n".join(["a\x1b[2J", *"bcdefghij"]))
    with pytest.raises(DataError, match=r"batches.meta.txt must hold names of classes without control characters"):
        cifar.cifar10(cifar10_dir)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("cifar-10-batches-py", cifar.cifar10),
        ("cifar-10-python.tar.gz", cifar.cifar10),
        ("cifar-100-python", cifar.cifar100),
        ("cifar-100-python.tar.gz", cifar.cifar100),
    ],
)
def test_the_pickled_version_is_refused(tmp_path: Path, name: str, load: Callable[[Path], object]) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=rf"{name} is the pickled version.*runs any code.*binary version"):
        load(tmp_path)


def test_the_pickled_version_may_lie_beside_the_binary_one(cifar10_dir: Path) -> None:
    (cifar10_dir / "cifar-10-batches-py").mkdir()
    assert len(cifar.cifar10(cifar10_dir).train) == 15


def test_every_file_that_is_read_is_obtained() -> None:
    for layout in (cifar.CIFAR10, cifar.CIFAR100):
        published = download.PUBLISHED[layout.name]
        assert isinstance(published, download.Archive)
        assert set(published.sizes) == {*layout.train_files, *layout.test_files, layout.names_file}


def test_the_published_cifar10(real_data: Path) -> None:
    dataset = cifar.cifar10(real_data)
    assert dataset.train.images.shape == (50_000, 32, 32, 3)
    assert dataset.test.images.shape == (10_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(dataset.train.labels), np.full(10, 5000))
    np.testing.assert_array_equal(np.bincount(dataset.test.labels), np.full(10, 1000))
    assert list(dataset.class_names) == CIFAR10_NAMES
    # The commonly quoted mean of each channel; copies that were compressed again differ in the fourth digit.
    np.testing.assert_allclose(dataset.train.images.mean((0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=5e-4)
