"""Two data sets have the same fingerprint if and only if they are equal."""

from pathlib import Path

import numpy as np
import pytest

from tfcore.data.dataset import Split
from tfcore.data.encoded import EncodedSplit
from tfcore.data.fingerprint import fingerprint
from tfcore.data.store import FileStore, Stored
from tfcore.data.windows import Fit

IMAGES = np.arange(6 * 4 * 4 * 3, dtype=np.uint8).reshape(6, 4, 4, 3)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)


def changed(place: tuple[int, ...]) -> np.ndarray:
    images = IMAGES.copy()
    images[place] ^= 1
    return images


def test_the_fingerprint_does_not_depend_on_memory_layout() -> None:
    strided = np.concatenate([IMAGES, IMAGES], axis=3)[..., :3]
    assert not strided.flags.c_contiguous
    assert fingerprint(Split(strided, LABELS)) == fingerprint(Split(IMAGES, LABELS))


@pytest.mark.parametrize(
    "other",
    [
        Split(changed((0, 0, 0, 0)), LABELS),
        Split(changed((5, 3, 3, 2)), LABELS),
        Split(IMAGES, LABELS[::-1].copy()),
        Split(IMAGES[:5], LABELS[:5]),
        Split(IMAGES.reshape(6, 2, 8, 3), LABELS),
        Split(IMAGES[[1, 0, 2, 3, 4, 5]], LABELS),
    ],
)
def test_any_difference_changes_the_fingerprint(other: Split) -> None:
    assert fingerprint(other) != fingerprint(Split(IMAGES, LABELS))


def lazy(folder: Path, *, sizes: tuple[int, ...] = (10, 20), names: tuple[str, ...] = ("a", "b")) -> str:
    paths = [folder / "class" / f"{name}.png" for name in names]
    (folder / "class").mkdir(parents=True)
    for path, size_bytes in zip(paths, sizes, strict=True):
        path.write_bytes(bytes(size_bytes))
    return fingerprint(EncodedSplit(Stored(FileStore([str(path) for path in paths]), LABELS[:2]), (4, 4, 3), Fit(None)))


def test_of_files_names_and_sizes_count_and_not_the_folder(tmp_path: Path) -> None:
    here = lazy(tmp_path / "here")
    assert lazy(tmp_path / "there") == here
    assert lazy(tmp_path / "longer", sizes=(10, 21)) != here
    assert lazy(tmp_path / "renamed", names=("a", "c")) != here
