"""Reads data sets in records, as `tfcore convert --format=records` writes them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcore.data.dataset import Dataset
from tfcore.data.download import usable
from tfcore.data.encoded import EncodedSplit
from tfcore.data.npy import NUMBERS, read_npy
from tfcore.data.record_manifest import ADVICE, RESTORE, SPLITS, Images, Piece, SplitFiles, read_manifest
from tfcore.data.records import PixelRecords, RecordStore, verify
from tfcore.data.shard_cache import discard, held
from tfcore.data.source import Source
from tfcore.data.sources.assemble import own_dataset
from tfcore.data.sources.encoded import AS_THEY_ARE, Known, encoded_dataset
from tfcore.data.store import Stored
from tfcore.errors import ConfigError, DataError
from tfcore.files import IN_MEMORY_BYTES

_FIT = "stretch"  # the default
_NO_SHARE = 0.1  # of no effect, since there is a test split


def records(path: Path, *, image_size: tuple[int, ...] | None, image_fit: str, skip_bad_pictures: bool) -> Dataset:
    """`records:PATH`: a folder with manifest.json, shards of pictures, and arrays of labels.

    The examples are in the order of the data set that was converted. Pixels are read into memory if those of both
    splits take at most a quarter of it, and else when a batch needs them, as picture files always are.

    Args:
        path: the folder.
        image_size, image_fit, skip_bad_pictures: of picture files, see `encoded_dataset`; pixels take none of them.

    Raises:
        DataError: a file is missing, of another size, or not as the manifest says; or see `encoded_dataset`.
        ConfigError: a setting of picture files for pixels; or see `encoded_dataset`.
    """
    manifest = read_manifest(path)
    name, weights_file = f"records:{path}", manifest.splits["train"].weights
    stores = [RecordStore(path, manifest.splits[split].shards) for split in SPLITS]
    labels = [_labels(path, manifest.splits[split]) for split in SPLITS]
    weights = _array(path, weights_file, np.dtype(np.float32)) if weights_file else None
    if manifest.images.pixels:
        _refuse_settings(name, image_size=image_size, image_fit=image_fit, skip_bad_pictures=skip_bad_pictures)
        with usable(path, ADVICE):  # there may be too little memory
            train, test = _pixels(manifest.images, stores, labels)
        return replace(own_dataset(name, train, test, manifest.class_names), train_weights=weights)
    train_files, test_files = map(Stored, stores, labels)
    dataset = encoded_dataset(
        name, train_files, test_files, manifest.class_names,
        image_size=image_size, image_fit=image_fit, test_share=_NO_SHARE, seed=0, skip_bad_pictures=skip_bad_pictures,
        known=Known(manifest.images.channels == 1, manifest.images.size),
    )  # fmt: skip
    if weights is None or not isinstance(dataset.train, EncodedSplit):
        return dataset
    return replace(
        dataset, train_weights=weights[np.asarray(dataset.train.rows)]
    )  # without those of pictures that are left out


def _labels(path: Path, files: SplitFiles) -> NDArray[np.int32]:
    """Reads the labels of a split, and compares them with the manifest's counts."""
    labels: NDArray[np.int32] = _array(path, files.labels, np.dtype(np.int32))
    classes = len(files.label_counts)
    in_range = labels.min() >= 0 and labels.max() < classes
    if not in_range or np.bincount(labels, minlength=classes).tolist() != list(files.label_counts):
        raise DataError(f"The labels in {path / files.labels.file} are not those that the manifest counts. {RESTORE}")
    return labels


def _array(path: Path, piece: Piece, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Reads labels or weights, after a comparison with their checksum."""
    with held(path / piece.file):
        try:
            verify(path, [piece])
        except DataError:
            discard(path / piece.file)
            raise
        array = read_npy(path / piece.file, NUMBERS)
    if array.dtype != dtype or array.shape != (piece.records,):
        raise DataError(
            f"{path / piece.file} must hold {dtype} of shape [{piece.records}]. Received {array.dtype} of shape "
            f"{list(array.shape)}. {RESTORE}"
        )
    return array


def _refuse_settings(name: str, *, image_size: object, image_fit: str, skip_bad_pictures: bool) -> None:
    """Raises ConfigError on a setting of picture files."""
    given = {
        "image_size": image_size not in (None, AS_THEY_ARE),
        "image_fit": image_fit != _FIT,
        "skip_bad_pictures": skip_bad_pictures,
    }
    for setting, value in given.items():
        if value:
            raise ConfigError(f"--dataset={name} holds pixels of one size, and takes no --{setting}. Leave it out.")


def _pixels(images: Images, stores: list[RecordStore], labels: list[NDArray[np.int32]]) -> tuple[Source, Source]:
    """The splits of a data set of pixels, in memory where there is room for both."""
    assert images.size is not None
    shape = (*images.size, images.channels)
    train, test = (PixelRecords(*split, shape) for split in zip(stores, labels, strict=True))
    if train.nbytes + test.nbytes > IN_MEMORY_BYTES:
        return train, test
    return train.loaded(), test.loaded()
