"""Makes a `Dataset` of what users have in Python: arrays, a `tf.data.Dataset`, sequences, or classes with a `read`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfcore import checks
from tfcore.build.own_source import Items, MappedPixels, OwnSource, calling
from tfcore.build.own_stream import is_stream, read_stream
from tfcore.data import download, windows
from tfcore.data.dataset import Dataset, Split
from tfcore.data.labels import class_numbers, read_labels
from tfcore.data.pixels import PixelFormat, as_array
from tfcore.data.source import Readable, Source
from tfcore.data.sources.assemble import held_out_rows, hold_out, own_dataset
from tfcore.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf


class ItemSequence(Protocol):
    """Gives (picture, label) by index, as a `Dataset` of PyTorch does."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


OwnPart: TypeAlias = "tuple[ArrayLike, ArrayLike] | tf.data.Dataset | ItemSequence | Readable"
OwnData: TypeAlias = "OwnPart | tuple[OwnPart, OwnPart] | Mapping[str, OwnPart]"  # training data, or also for testing

TEST_SHARE = 0.1  # where nothing else is said
_FORMS = (
    "a pair of arrays (x, y), a tf.data.Dataset, a sequence of (picture, label), or a class with `labels` and "
    "`read(indices)`; or two of them, (train, test) or {'train': …, 'test': …}"
)


class _Part(NamedTuple):
    """One part as it was handed over: its pictures, its labels, and the names of the classes if it says them."""

    pictures: NDArray[np.uint8] | Readable
    labels: NDArray[Any]  # int32 or text, [N]
    class_names: tuple[str, ...] | None


class _Reading(NamedTuple):
    """How a part is read."""

    form: PixelFormat
    threads: int
    folder: Path
    say: Callable[[str], None]


def dataset(
    data: OwnData,
    *,
    name: str = "",
    class_names: Sequence[str] | None = None,
    pixel_range: tuple[float, float] | None = None,
    channels_first: bool = False,
    image_size: tuple[int, ...] | None = None,
    image_fit: str = "stretch",
    threads: int = 1,
    test_share: float | None = None,
    seed: int = 0,
    data_dir: str | Path = "",
    say: Callable[[str], None] = print,
) -> Dataset:
    """Makes a data set of what there is in Python, for `tfcore.train` and `tfcore.evaluate`.

    These take the same `data`, too, so this is for what must be said besides: names of the classes, the range of the
    pixels, the order of their axes.

    Args:
        data: the training data or, as (train, test) or {"train": …, "test": …}, both. Each is one of

            - (x, y): pictures [N, H, W, C] or [N, H, W], and labels [N] or [N, 1]; arrays, tensors or lists. They are
              copied, except for uint8 that `numpy.load(path, mmap_mode="r")` keeps in its file;
            - a finite `tf.data.Dataset` of (picture, label), in batches or not, always in the same order. It is read
              once; its pixels stay in memory or, if they take more than a quarter of it, in a file;
            - a sequence, `__len__` and `__getitem__(index) -> (picture, label)`, such as a `Dataset` of PyTorch; a
              picture is an array, a tensor or a picture of Pillow. Items are read by index, one at a time, when a batch
              needs them; labels are its `targets` or `labels`, or else of every item, read once;
            - a class of one's own that reads batches, see `tfcore.data.source.Readable`, or a complete `Source`.

            Labels are numbers from 0, or text: the names of the classes.
        name: of the data set; "" for a short one by the kind of `data`.
        class_names: in the order of the labels; None for the attribute `class_names` or `classes` of the training data,
            for the labels themselves where they are text, sorted, and else for "0", "1", ….
        pixel_range: the values of black and white, such as (0, 1) or (-1, 1). Pixels become bytes, rounded, so those
            that were bytes are the same again. None for pixels that are whole numbers from 0 to 255.
        channels_first: whether pictures are [C, H, W], as PyTorch's tensors are; pictures of Pillow never are.
        image_size: (H, W) that pictures are resized to, or (H,) for squares; None where all have one size.
        image_fit: how pictures of other proportions become that: "stretch", "crop" or "crop:0.875". Say it in the
            configuration, too, for `predict` to do the same.
        threads: that may call the `__getitem__` of a sequence at once, if its code allows more than one.
        test_share: without a test part, the share of the training data to test on, stratified by class; None for 0.1.
        seed: for the choice of that share; a run gives its own.
        data_dir: the folder for a file of pixels; "" for the one of downloads.
        say: is called with a line for each `tf.data.Dataset` that is read.

    Raises:
        ConfigError: `data` is nothing of this, or an argument does not apply to it.
        DataError: pictures or labels of another form, or an error in the user's class, with its place.
        DiskError: the file of pixels cannot be written.

    Example:
        tfcore.train(config, data=tfcore.dataset((train_set, test_set), pixel_range=(0, 1), channels_first=True))
    """
    train, test = _parts(data)
    name = name or name_of(data)
    if test is not None and test_share is not None:
        raise ConfigError(f"{name} takes no `test_share`, as it has a test part. Leave it out.")
    share = TEST_SHARE if test_share is None else test_share
    checks.share("test_share", share)
    checks.positive_integer("threads", threads)
    size = cast("tuple[int, int] | None", windows.sides(image_size))
    form = PixelFormat(pixel_range, channels_first, size, windows.fit(image_fit))
    reading = _Reading(form, threads, download.data_dir(str(data_dir)), say)
    first = _read(train, "training", reading)
    names = first.class_names if class_names is None else tuple(class_names)
    labels, names = class_numbers(first.labels, names, "The training labels")
    if test is None:
        return own_dataset(name, *_held_out(first.pictures, labels, share, seed), names)
    second = _read(test, "test", reading)
    test_labels, _ = class_numbers(second.labels, names, "The test labels")
    return own_dataset(name, _source(first.pictures, labels), _source(second.pictures, test_labels), names)


def name_of(data: Any) -> str:
    """The name of what was handed over: a `Dataset`'s own, or a short one by the kind of the training data.

    Raises:
        ConfigError: it is no data.
    """
    if isinstance(data, Dataset):
        return data.name
    train, _ = _parts(data)
    if _is_arrays(train):
        return "arrays"
    return "tf_data" if is_stream(train) else type(train).__name__


def _parts(data: Any) -> tuple[Any, Any | None]:
    """Returns the training part and the test part, if there is one."""
    if isinstance(data, Mapping):
        if "train" not in data or not set(data) <= {"train", "test"}:
            raise ConfigError(
                f"Data in a dict must be {{'train': …, 'test': …}}. Received {', '.join(map(str, data)) or 'no key'}. "
                "For validation, a share of the training data is held out: RunConfig(validation=0.1)."
            )
        train, test = data["train"], data.get("test")
    elif isinstance(data, tuple) and len(data) == 2 and not _is_arrays(data):
        train, test = data
    else:
        train, test = data, None
    _check_kind(train)
    if test is not None:
        _check_kind(test)
    return train, test


def _check_kind(part: Any) -> None:
    """Raises ConfigError, with what to do, unless it is of one of the kinds that can be read."""
    advice = ""
    if isinstance(part, Dataset):
        advice = " A Dataset of tfcore has both parts: hand it over by itself."
    elif isinstance(part, str | Path):
        advice = " Files are named in the configuration: RunConfig(dataset='folder:PATH')."
    elif hasattr(part, "__array__"):
        advice = " Pictures need labels."
    elif isinstance(part, tuple) and not _is_arrays(part):
        advice = " Of four arrays, hand over ((x_train, y_train), (x_test, y_test))."
    elif is_stream(part) or hasattr(part, "read") or (hasattr(part, "__len__") and hasattr(part, "__getitem__")):
        return
    elif hasattr(part, "dataset"):
        advice = " Of a DataLoader, hand over its `dataset`."
    elif hasattr(part, "__iter__"):
        advice = " Pictures are read by index, in another order in each epoch: make a list of it."
    raise ConfigError(f"Data must be {_FORMS}. Received {type(part).__name__}.{advice}")


def _is_arrays(part: Any) -> bool:
    """Tells whether it is a pair of arrays (x, y), and not a pair of parts or a list of items."""
    return isinstance(part, tuple) and len(part) == 2 and all(map(_is_array, part))


def _is_array(values: Any) -> bool:
    is_list = isinstance(values, list) and not (values and isinstance(values[0], tuple))
    return is_list or hasattr(values, "__array__")


def _read(part: Any, what: str, reading: _Reading) -> _Part:
    """Reads one part, "training" or "test"."""
    pictures, form = f"The {what} pictures", reading.form
    if _is_arrays(part):
        images, labels = part
        return _read_arrays(images, labels, what, form)
    names = _class_names(part)
    if is_stream(part):
        return _Part(*read_stream(part, pictures, form, reading.folder, reading.say), names)
    name = type(part).__name__
    if not hasattr(part, "read"):
        items = Items(part, name, form, reading.threads)
        return _Part(items, items.labels, names)
    if form != PixelFormat():
        raise ConfigError(
            f"{name}.read returns pictures as they are trained on, uint8 [n, H, W, C]. Leave out `pixel_range`, "
            "`channels_first`, `image_size` and `image_fit`."
        )
    with calling(name):
        count, labels = len(part), part.labels
    labels = as_array(labels, f"The labels of {name}")
    return _Part(part, read_labels(labels, count, f"The labels of {name}"), names)


def _read_arrays(images: Any, labels: Any, what: str, form: PixelFormat) -> _Part:
    """Reads arrays: in memory, but for bytes that NumPy keeps in a file."""
    pictures = f"The {what} pictures"
    if isinstance(images, np.memmap) and images.dtype == np.uint8 and form == PixelFormat():
        form.pixels(images[:1], pictures)  # checks the shape
        found = read_labels(as_array(labels, f"The {what} labels"), len(images), f"The {what} labels")
        return _Part(MappedPixels(images, found), found, None)
    pixels = form.in_memory(images, pictures)
    found = read_labels(as_array(labels, f"The {what} labels"), len(pixels), f"The {what} labels")
    return _Part(pixels, found, None)


def _class_names(part: Any) -> tuple[str, ...] | None:
    """The names of the classes as Keras, torchvision and `Readable` call them; None where there are none."""
    for key in ("class_names", "classes"):
        names = getattr(part, key, None)
        if isinstance(names, tuple | list) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None


def _source(pictures: NDArray[np.uint8] | Readable | Source, labels: NDArray[np.int32]) -> Source:
    """The source of all pictures of a part; one that is complete already stays as it is."""
    if isinstance(pictures, np.ndarray):
        return Split(pictures, labels)
    if hasattr(pictures, "batch_reader"):
        return cast("Source", pictures)
    return OwnSource(pictures, labels, type(pictures).__name__)


def _held_out(
    pictures: NDArray[np.uint8] | Readable | Source, labels: NDArray[np.int32], test_share: float, seed: int
) -> tuple[Source, Source]:
    """Divides the pictures into training and test source, as `folder:` and `npz:` do."""
    if isinstance(pictures, np.ndarray):
        return hold_out(pictures, labels, test_share, seed)
    whole = OwnSource(pictures, labels, type(pictures).__name__)
    train, test = (whole.part(rows) for rows in held_out_rows(labels, test_share, seed))
    return train, test
