"""The manifest of a data set in records: which files hold which examples, with their sizes and checksums, as JSON."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfcore.checks import is_plain_text
from tfcore.data.download import usable
from tfcore.data.shard_cache import is_remote
from tfcore.errors import DataError
from tfcore.files import open_file, read_text

MANIFEST = "manifest.json"
STATE = ".conversion.jsonl"  # of a conversion that has not ended; see record_writer.py
SPLITS = ("train", "test")
ADVICE = "Name a folder that `tfcore convert --format=records` wrote."
RESTORE = "Copy it anew, or convert the data set again."
_FORMAT, _VERSION = "tfcore records", 1
_MOST = 2**48  # examples, or bytes of a file: more than a disk holds, and sums stay far below 2^63
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Piece:
    """One file of a data set in records.

    Args:
        file: its name, inside the data set's folder.
        records: the number of its pictures, labels or weights, at least 1.
        bytes: its size.
        sha256: of all its bytes, 64 hexadecimal digits.
    """

    file: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split.

    Args:
        shards: of the pictures, in the order of the examples.
        labels: an .npy file of int32 [N].
        label_counts: the number of examples of each class.
        weights: an .npy file of float32 [N], or None.
    """

    shards: tuple[Piece, ...]
    labels: Piece
    label_counts: tuple[int, ...]
    weights: Piece | None = None


@dataclass(frozen=True)
class Images:
    """What a record is.

    Args:
        pixels: whether it is the H·W·C bytes of a picture, row by row, or else a picture file (JPEG, PNG and so on).
        size: (H, W) of all pictures, upright; None where they differ.
        channels: of the pixels; of picture files 1 if all are grey, else 3.
    """

    pixels: bool
    size: tuple[int, int] | None
    channels: int


@dataclass(frozen=True)
class Manifest:
    """A data set in records.

    Args:
        name: of the data set that was converted.
        class_names: in the order of the labels.
        images: what the records are.
        splits: the files of `train` and `test`.
    """

    name: str
    class_names: tuple[str, ...]
    images: Images
    splits: Mapping[str, SplitFiles]

    def to_json(self) -> str:
        """Serialises the manifest as a JSON object."""
        found = {"format": _FORMAT, "version": _VERSION, **asdict(self)}
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def shard_names(split: str, count: int) -> list[str]:
    """The names of a split's shards, such as train-00000-of-00008.arrayrecord."""
    return [f"{split}-{number:05d}-of-{count:05d}.arrayrecord" for number in range(count)]


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a folder; compares it with itself and with the sizes of the files.

    Raises:
        DataError: it is missing, of another version or not as written; a file is missing or of another size.
    """
    with usable(folder, ADVICE):
        if not (folder / MANIFEST).exists() and (folder / STATE).exists():
            raise DataError(f"{folder} is an unfinished conversion. Give the same `tfcore convert` again to finish it.")
        manifest = parsed_manifest(folder / MANIFEST)
    for split in manifest.splits.values():
        for piece in (*split.shards, split.labels, *([split.weights] if split.weights else [])):
            _check_size(folder / piece.file, piece)
    return manifest


def parsed_manifest(path: Path) -> Manifest:
    """Reads a manifest alone; compares it with itself.

    Raises:
        DataError: it is of another version or not as written.
        OSError: it is missing.
    """
    try:
        found = json.loads(read_text(path), object_pairs_hook=_without_duplicates, parse_constant=_no_number)
        return _manifest(found)
    except (ValueError, RecursionError) as error:  # ValueError: also no UTF-8, no JSON, numbers of too many digits
        raise DataError(f"{path} is no manifest of a data set in records: {error}. {RESTORE}") from None


def _check_size(path: Path, piece: Piece) -> None:
    if is_remote(path):  # its size is compared when it is downloaded
        return
    with usable(path, RESTORE), open_file(path) as file:
        found = os.fstat(file.fileno()).st_size
    if found != piece.bytes:
        raise DataError(f"{path} must have {piece.bytes} bytes, by {MANIFEST}. It has {found}. {RESTORE}")


def _manifest(found: Any) -> Manifest:
    """Builds a manifest from parsed JSON; raises ValueError with the part that is not as written."""
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise ValueError(f'it lacks "format": "{_FORMAT}"')
    if found.get("version") != _VERSION or type(found["version"]) is not int:
        raise ValueError(f"its version is {found.get('version')!r}, and this tfcore reads {_VERSION}")
    _check_keys(found, ("format", "version", "name", "class_names", "images", "splits"), "it")
    names = _list_of(found["class_names"], "class_names", _text)
    if not names:
        raise ValueError("class_names is empty")
    images = _images(found["images"])
    _check_keys(found["splits"], SPLITS, "splits")
    splits = {split: _split(found["splits"][split], split, len(names), images) for split in SPLITS}
    return Manifest(_text(found["name"], "name"), names, images, splits)


def _images(found: Any) -> Images:
    _check_keys(found, ("pixels", "size", "channels"), "images")
    pixels, channels = found["pixels"], _whole(found["channels"], "images.channels")
    if type(pixels) is not bool:
        raise ValueError(f"images.pixels must be true or false, not {_shown(pixels)}")
    size = None if found["size"] is None else _list_of(found["size"], "images.size", _whole)
    if (size is None and pixels) or (size is not None and len(size) != 2):
        raise ValueError(f"images.size must be height and width, not {_shown(found['size'])}")
    if not pixels and channels not in (1, 3):
        raise ValueError(f"images.channels must be 1 or 3, not {channels}")
    return Images(pixels, size and (size[0], size[1]), channels)


def _split(found: Any, split: str, classes: int, images: Images) -> SplitFiles:
    """Builds the files of one split; the names of files are those that the writer gives, so none is outside."""
    _check_keys(found, ("shards", "labels", "label_counts", "weights"), f"splits.{split}")
    shards = _list_of(found["shards"], f"{split}.shards", _piece)
    labels = _piece(found["labels"], f"{split}.labels")
    weights = None if found["weights"] is None else _piece(found["weights"], f"{split}.weights")
    counts = _list_of(found["label_counts"], f"{split}.label_counts", lambda value, where: _whole(value, where, 0))
    expected = [*shard_names(split, len(shards)), f"{split}-labels.npy", f"{split}-weights.npy"]
    for piece, name in zip((*shards, labels, weights), expected, strict=True):
        if piece is not None and piece.file != name:
            raise ValueError(f"{split} must name the file {name}, not {_shown(piece.file)}")
    records = sum(shard.records for shard in shards)
    sums = {"labels": labels.records, "label_counts": sum(counts), "weights": weights.records if weights else records}
    for name, total in sums.items():
        if total != records:
            raise ValueError(f"the shards of {split} have {records} records, and its {name} make {total}")
    if len(counts) != classes:
        raise ValueError(f"{split}.label_counts has {len(counts)} numbers for {classes} classes")
    least = math.prod((*(images.size or ()), images.channels)) if images.pixels else 1  # bytes of a record
    for shard in shards:
        if shard.records * least > shard.bytes:
            raise ValueError(f"{shard.records} records do not fit into the {shard.bytes} bytes of {shard.file}")
    return SplitFiles(shards, labels, counts, weights)


def _piece(found: Any, where: str) -> Piece:
    _check_keys(found, ("file", "records", "bytes", "sha256"), where)
    sha256 = _text(found["sha256"], f"{where}.sha256")
    if len(sha256) != 64 or not _HEX.issuperset(sha256):
        raise ValueError(f"{where}.sha256 must be 64 hexadecimal digits, not {_shown(sha256)}")
    records, size_bytes = (_whole(found[name], f"{where}.{name}") for name in ("records", "bytes"))
    return Piece(_text(found["file"], f"{where}.file"), records, size_bytes, sha256)


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise ValueError(f"it has {_shown(twice)} twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"it has the number {text}")


def _check_keys(found: Any, names: Sequence[str], where: str) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{where} must be an object, not {_shown(found)}")
    for name in names:
        if name not in found:
            raise ValueError(f'{where} lacks "{name}"')
    for name in found:
        if name not in names:
            raise ValueError(f"{where} has an unknown {_shown(name)}")


def _list_of(found: Any, where: str, part: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    if not isinstance(found, list):
        raise ValueError(f"{where} must be a list, not {_shown(found)}")
    return tuple(part(value, where) for value in found)


def _text(found: Any, where: str) -> str:
    if not isinstance(found, str) or not is_plain_text(found):
        raise ValueError(f"{where} must be text without control characters, not {_shown(found)}")
    return found


def _whole(found: Any, where: str, least: int = 1) -> int:
    if type(found) is not int or not least <= found <= _MOST:
        raise ValueError(f"{where} must be a whole number from {least} to {_MOST}, not {_shown(found)}")
    return found


def _shown(value: Any) -> str:
    """Shortens and escapes a value for a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
