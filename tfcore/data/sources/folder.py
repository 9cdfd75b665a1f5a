"""Reads picture files, a folder for each class: keeps labels and paths in memory, decodes pixels batch by batch."""

import logging
from pathlib import Path
from typing import Unpack

from tfcore.data.dataset import Dataset
from tfcore.data.pictures import shown
from tfcore.data.sources.encoded import PictureSettings, encoded_dataset
from tfcore.data.sources.listing import listed
from tfcore.errors import DataError

_LOG = logging.getLogger(__name__)


def folder(path: Path, **settings: Unpack[PictureSettings]) -> Dataset:
    """`folder:PATH`: PATH/train/CLASS/* with PATH/test/CLASS/*, or PATH/CLASS/* of which a share is held out as test.

    The classes are the folders in the order of their names. The examples are the first file of each class, then the
    second of each, and so on, so that the first N of them are balanced.

    Args:
        path: the folder. Links are followed; hidden files and folders are ignored.
        settings: see `PictureSettings`.

    Raises:
        DataError: the folder is missing or has another layout, a class is empty, pictures are bad or differ in size.
        ConfigError: an invalid size, or a share that leaves one of the splits empty.
    """
    found = listed(path)
    if found.ignored:
        examples = ", ".join(found.examples) + (", …" if found.ignored > len(found.examples) else "")
        text = "%s: %d entries are no picture files and are ignored: %s"
        _LOG.warning(text, shown(path), found.ignored, examples)
    (first, trained), *tested = found.parts.items()
    for part, files in tested:
        if files.class_names != trained.class_names:
            odd = sorted(set(trained.class_names) ^ set(files.class_names))
            raise DataError(
                f"{path}/{first} and {path}/{part} must hold the same classes. Only one of them has '{odd[0]}'."
            )
    train, *test = (files.stored(path / part) for part, files in found.parts.items())
    return encoded_dataset(f"folder:{path}", train, test[0] if test else None, trained.class_names, **settings)
