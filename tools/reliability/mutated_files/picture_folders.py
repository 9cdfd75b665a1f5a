"""Draws folders of pictures with one mutated, or replaced by something that is not a picture."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tfcore.data import pictures
from tfcore.data.encoded import read_picture
from tfcore.data.sources.folder import folder as read_folder
from tfcore.data.windows import Fit
from tfcore.errors import DataError
from tools.reliability.mutated_files.picture_files import GOOD, SETTINGS, SIZE, good, odd
from tools.reliability.mutated_files.reader import MIB, Files, Link, Pipe, Reader, check_dataset

_NAMES = (
    "\udcff.png",
    "a\nb.png",
    "\x1b[31m.gif",
    ".hidden.png",
    "a" * 200 + ".PNG",
    "b.jpeg",
    "no_ending",
    "c.webp",
    "²é.bmp",
)


def _files(draw: Random, bad: bool) -> Files:
    """Draws two classes of two or three pictures, with or without a test split; the mutated picture is named odd."""
    parts = draw.choice((("",), ("train/", "test/")))
    kind = draw.choice(list(SETTINGS))
    files: Files = {}
    for part in parts:
        for label in ("cat", "dog"):
            for number in range(2):
                files[f"{part}{label}/{number}.{kind}"] = good(kind, draw.randrange(GOOD))
    if not bad:
        return files
    if draw.random() < 0.1:
        return _odd_tree(draw, files, parts[0], kind)
    del files[f"{parts[0]}cat/0.{kind}"]
    return {**files, f"{parts[0]}cat/odd.{kind}": odd(draw, kind, draw.randrange(GOOD))}


def _odd_tree(draw: Random, files: Files, part: str, kind: str) -> Files:
    """The folder with an unusual entry, or with a picture missing."""
    entries: list[tuple[str, bytes | Link | Pipe]] = [
        (f"{part}cat/odd.png", Pipe()), (f"{part}cat/odd.png", Link("odd.png")),
        (f"{part}cat/odd.png", Link("nowhere")),
        (f"{part}cat/odd.png", Link(f"1.{kind}")), (f"{part}cat/odd.png", Link("/dev/zero")),
        (f"{part}cat/odd.png", Link("..")), (f"{part}cat/odd.png/x", b""), (f"{part}\udcff/1.png", good("png", 0)),
        (f"{part}odd", Link(".")), (f"{part}odd", b""), (f"{part}odd/readme.txt", b""),
        (f"{part}od\nd/1.png", good("png", 0)),
        (f"{part}cat/{draw.choice(_NAMES)}", good(kind, 0)), (f"{part}\x1b[31m/1.png", good("png", 0)),
        (f"{part}odd", Link("/dev/fd")), (f"{part}{'n' * 250}/1.png", good("png", 0)),
    ]  # fmt: skip
    name, content = draw.choice(entries)
    if draw.random() < 0.1:
        del files[draw.choice(list(files))]
    return {**files, name: content}


def _read(folder: Path, draw: Random, past: Callable[[], None]) -> None:
    size, skip = draw.choice((None, None, SIZE, (3, 7))), draw.random() < 0.3
    odd = [path for path in (*folder.glob("*/odd.*"), *folder.glob("*/*/odd.*")) if path.is_file()]
    if skip:
        for path in odd:
            _try_alone(path, draw, past)
    dataset = read_folder(folder, image_size=size, image_fit="stretch", test_share=0.5, seed=0, skip_bad_pictures=skip)
    if not skip or not odd:
        past()  # all headers were read
    check_dataset(dataset)


def _try_alone(path: Path, draw: Random, past: Callable[[], None]) -> None:
    """Reads the mutated picture as `predict` does; the folder's reader then has to refuse it too."""
    try:
        pictures.read_header(path)
        past()
        read_picture(path, (*SIZE, draw.choice((1, 3))), Fit(draw.choice((None, 0.5, 1.0))))
    except DataError as error:
        if os.fspath(path) not in str(error):
            raise


# A picture may have 64 million pixels, of 4 bytes while it is converted, in up to four copies.
FOLDER = Reader(_files, _read, memory_bytes=1280 * MIB)
