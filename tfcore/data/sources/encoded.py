"""Makes data sets of encoded pictures: looks at their headers, splits off a test share, fits them to one size."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data import windows
from tfcore.data.dataset import Dataset
from tfcore.data.encoded import EncodedSplit
from tfcore.data.headers import Header
from tfcore.data.pictures import shown
from tfcore.data.sources.assemble import check_lengths, held_out_rows, own_dataset
from tfcore.data.store import Rows, Store, Stored, in_threads
from tfcore.errors import DataError

AS_THEY_ARE = (1,)  # in place of a size, where files are copied and not decoded
_LOG = logging.getLogger(__name__)
_BLOCK = 1024  # pictures handed to the threads at a time
_ALL_HEADERS = 100_000  # at most so many pictures are all looked at, where --image_size is given
_SAMPLE = 1000  # of more


class Known(NamedTuple):
    """What a source knows of all of its pictures: whether all are grey, and their size (H, W) if they have one."""

    grey: bool
    size: tuple[int, int] | None


class PictureSettings(TypedDict):
    """The settings of all readers of encoded pictures.

    Attributes:
        image_size: (H, W) of the model's input, or (H,) for a square; None where all pictures have one size.
        image_fit: how other pictures become it; see `windows.fit`.
        test_share: the share to test on where there is no test part, above 0 and below 1.
        seed: for the choice of that share.
        skip_bad_pictures: whether all pictures are decoded once, and bad ones are reported and left out.
    """

    image_size: tuple[int, ...] | None
    image_fit: str
    test_share: float
    seed: int
    skip_bad_pictures: bool


def encoded_dataset(
    name: str,
    train: Stored,
    test: Stored | None,
    class_names: tuple[str, ...],
    *,
    known: Known | None = None,
    **settings: Unpack[PictureSettings],
) -> Dataset:
    """Makes a data set of encoded pictures, which are read and decoded when a batch needs them.

    The pictures are grey if all of them are, else RGB. Their headers are read for that, and for their common size; of
    more than 100,000 pictures whose size is given, those of 1,000.

    Args:
        name: of the data set.
        train, test: the pictures; without `test`, a share of `train` is held out.
        class_names: in the order of the labels.
        known: of all pictures, in place of a look at them.
        settings: see `PictureSettings`.

    Raises:
        DataError: pictures are bad or differ in size, or a class has no training example.
        ConfigError: an invalid size or fit, or a share that leaves one of the splits empty.
    """
    checks.share("test_share", settings["test_share"])
    image_size, skip_bad_pictures = windows.sides(settings["image_size"]), settings["skip_bad_pictures"]
    check_lengths("image_size", image_size, "H,W")
    fit = windows.fit(settings["image_fit"])
    parts = [train] if test is None else [train, test]
    rows: list[Rows] = [range(len(part.labels)) for part in parts]
    if known is None or skip_bad_pictures:
        known, rows = _inspected(name, parts, image_size, skip_bad_pictures)
    size = (image_size[0], image_size[1]) if image_size else known.size
    if size is None:
        raise DataError(f"The pictures of {shown(name)} differ in size. Give one with --image_size=H,W.")
    if test is None:
        split = held_out_rows(train.labels[np.asarray(rows[0])], settings["test_share"], settings["seed"])
        parts, rows = [train, train], [np.asarray(rows[0])[places] for places in split]
    shape = (*size, 1 if known.grey else 3)
    trained, tested = (EncodedSplit(part, shape, fit, chosen) for part, chosen in zip(parts, rows, strict=True))
    return own_dataset(name, trained, tested, class_names)


def _inspected(
    name: str, parts: Sequence[Stored], image_size: tuple[int, ...] | None, skip_bad: bool
) -> tuple[Known, list[Rows]]:
    """Looks at the pictures; returns what is common to them, and the rows of the good ones of each part."""
    ends = np.cumsum([len(part.labels) for part in parts])
    is_sampled = image_size is not None and not skip_bad and ends[-1] > _ALL_HEADERS
    places = np.linspace(0, ends[-1] - 1, _SAMPLE).astype(np.int64) if is_sampled else np.arange(ends[-1])

    def picture(place: int) -> tuple[Store, int]:
        number = int(np.searchsorted(ends, place, side="right"))
        return parts[number].store, int(place - (ends[number - 1] if number else 0))

    good, grey, first_bad = np.ones(len(places), bool), True, ""
    sizes: dict[tuple[int, int], str] = {}  # the first two, each with a picture
    for place, found in enumerate(_looked_at(places, picture, _decoding if skip_bad else _reading)):
        if isinstance(found, str):
            good[place], first_bad = False, first_bad or found
        else:
            grey &= found.grey
            if len(sizes) < 2 and found.size not in sizes:
                store, row = picture(places[place])
                sizes[found.size] = store.name(row)
    _complain(name, [picture(place) for place in places[~good]], len(places), first_bad, skip_bad)
    if image_size is None and len(sizes) > 1:
        examples = " and ".join(f"{picture} is {height}x{width}" for (height, width), picture in sizes.items())
        raise DataError(
            f"The pictures of {shown(name)} differ in size: {examples} (HxW). Give one with --image_size=H,W."
        )
    known = Known(grey, next(iter(sizes)) if len(sizes) == 1 else None)
    if not skip_bad:
        return known, [range(len(part.labels)) for part in parts]
    return known, [np.flatnonzero(mask) for mask in np.split(good, ends[:-1])]


def _reading(store: Store, row: int) -> Header:
    return store.header(row)


def _decoding(store: Store, row: int) -> Header:
    from tfcore.data.encoded_reader import check  # loads TensorFlow

    return check(store, row)


def _looked_at(
    places: NDArray[np.int64], picture: Callable[[int], tuple[Store, int]], look: Callable[[Store, int], Header]
) -> Iterator[Header | str]:
    """Yields the header that `look` returns for the picture at each place, or the message of its error."""

    def found(store: Store, row: int) -> Header | str:
        try:
            return look(store, row)
        except DataError as error:
            return str(error)

    for start in range(0, len(places), _BLOCK):
        yield from in_threads("decode", found, [picture(place) for place in places[start : start + _BLOCK]])


def _complain(name: str, bad: Sequence[tuple[Store, int]], count: int, first: str, skip: bool) -> None:
    """Reports bad pictures, in a warning or in an error."""
    if not bad:
        return
    if not skip or len(bad) == count:
        leave_out = "" if skip else " or leave them out with --skip_bad_pictures"
        raise DataError(
            f"{len(bad)} of {count} pictures in {shown(name)} are bad. {first} Mend or remove them{leave_out}."
        )
    first_ones = ", ".join(store.name(row) for store, row in bad[:3]) + (", …" if len(bad) > 3 else "")
    text = "%s: %d of %d pictures are bad and are left out: %s"
    _LOG.warning(text, shown(name), len(bad), count, first_ones)
