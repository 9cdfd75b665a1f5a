"""Remote data sets as folders: links to the shards in the cache, which are downloaded when they are opened."""

import itertools
import logging
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from tfcore.checks import is_plain_text
from tfcore.data import fetching, shard_cache
from tfcore.data.download import usable
from tfcore.data.record_manifest import MANIFEST, SPLITS, parsed_manifest
from tfcore.data.remote_files import shown
from tfcore.data.shard_cache import RemoteFile
from tfcore.errors import ConfigError, DataError
from tfcore.files import TEXT_BYTES

KINDS = ("records", "tfrecord", "webdataset", "huggingface", "tfds")
_NAMES = ("class_names.txt", "classes.txt")
_BESIDE = (*_NAMES, "label.labels.txt", "dataset_info.json")  # the shards
_SHARD = r"(?!\.).+\.(tar|tfrecords?|tfrec|parquet|arrow|array_record)(-\d+-of-\d+)?|(?!\.)[^.]*-\d+-of-\d+"
_LISTED = re.compile(f"{_SHARD}|{'|'.join(map(re.escape, _BESIDE))}", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/?]+.*", re.IGNORECASE | re.DOTALL)
_BRACES = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
_MOST_SHARDS = 10**6
_LOG = logging.getLogger(__name__)


def is_url(place: str) -> bool:
    """Whether the text is an address such as https://…, and no path."""
    return "://" in place


def local_folder(kind: str, url: str, cache: Path, cache_bytes: int) -> Path:
    """Makes a folder of links to the shards of a remote data set, and downloads the small files beside them.

    Args:
        kind: of the data set, one of KINDS.
        url: of the folder; for other kinds than records also of a shard, or of several, as in train-{000..099}.tar.
        cache: the folder of the cache.
        cache_bytes: the size of all shards in it after a download, at most.

    Returns:
        The path to read the data set from.

    Raises:
        ConfigError: a kind that cannot be remote, no address, or a cache that does not hold the largest shard.
        DataError: a file cannot be fetched, there is none, or the cache cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(
            f"--dataset={kind}: reads local files. Received {shown(url)}. Convert the data set where it is with "
            "`tfcore convert --format=records`, and give records: and the address of the result."
        )
    if not _URL.fullmatch(url):
        raise ConfigError(f"--dataset={kind}: takes a path, or an address such as https://HOST/FOLDER. Received {url}.")
    digest = sha256(f"{kind} {shown(url)}".encode()).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9_.=-]", "_", shown(url).rstrip("/").rpartition("/")[2]) or "data"
    folder = cache / f"{name}-{digest}"
    with usable(cache, "Name a folder that you may write to in --data_dir or in TFCORE_DATA_DIR."):
        folder.mkdir(parents=True, exist_ok=True)
        files = _of_records(url, folder) if kind == "records" else _listed(url, folder)
        _check_room(url, files, cache_bytes)
        shard_cache.set_limit(cache, cache_bytes)
        for path, file in files.items():
            shard_cache.put_link(cache, folder / path, file)
        _remove_others(folder, {folder / path for path in files})
    is_file = kind != "records" and len(files) == 1 and _is_file(url)
    return folder / next(iter(files)) if is_file else folder


def _at(url: str, name: str) -> str:
    """The address of a file in a folder; a query stays at the end."""
    base, mark, query = url.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


def _of_records(url: str, folder: Path) -> dict[str, RemoteFile]:
    """Fetches the manifest, which has the sizes and checksums of all other files."""
    _copy_text(_at(url, MANIFEST), folder / MANIFEST, optional=False)
    found: dict[str, RemoteFile] = {}
    manifest = parsed_manifest(folder / MANIFEST)
    for split in SPLITS:
        files = manifest.splits[split]
        for piece in (*files.shards, files.labels, *([files.weights] if files.weights else [])):
            found[piece.file] = RemoteFile(_at(url, piece.file), piece.bytes, "", {"sha256": piece.sha256})
    return found


def _copy_text(url: str, path: Path, *, optional: bool) -> None:
    """Copies a small text file, which readers open by its name; deletes the copy where it is no longer there."""
    text = fetching.ask("read", url=url, most_bytes=TEXT_BYTES, optional=optional)
    if text is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    shard_cache.write_text(path, text)


def _listed(url: str, folder: Path) -> dict[str, RemoteFile]:
    """Asks the server for the shards, by name where the address has braces, else by the listing of the folder."""
    if _is_file(url):
        found = fetching.ask("describe", urls=_expanded(url))
        for name in _NAMES:
            _copy_text(_at(_folder_of(url), name), folder / name, optional=True)
        named = {_name(one["url"]): _file(one) for one in found}
        if len(named) < len(found):
            raise ConfigError(f"{shown(url)} must name shards that differ in the last part of the address.")
        return named
    listed = {one["name"]: one for one in fetching.ask("list", url=url, pattern=_LISTED.pattern)}
    safe = {name: one for name, one in listed.items() if _is_inside(name)}
    for name in [name for name in safe if Path(name).name in _BESIDE]:
        _copy_text(safe.pop(name)["url"], folder / name, optional=False)
    if not safe:
        raise DataError(
            f"{shown(url)} lists no shard. Name a folder that the server lists, or the shards, such as "
            "https://HOST/train-{000..099}.tar."
        )
    return {name: _file(one) for name, one in safe.items()}


def _is_inside(name: str) -> bool:
    """Whether a name that a server lists is one inside the folder, and not hidden."""
    return is_plain_text(name) and not any(part.startswith(".") for part in name.split("/")) and name[0] != "/"


def _folder_of(url: str) -> str:
    """The address of the folder that a file is in; a query stays at the end."""
    base, mark, query = url.partition("?")
    return base.rpartition("/")[0] + mark + query


def _file(found: dict[str, Any]) -> RemoteFile:
    return RemoteFile(found["url"], found["size"], found["tag"], {"md5": found["md5"]} if found["md5"] else {})


def _name(url: str) -> str:
    return shown(url).rpartition("/")[2]


def _is_file(url: str) -> bool:
    """Whether an address is of one shard or of several, and not of a folder."""
    return bool(re.fullmatch(_SHARD, _BRACES.sub("0", _name(url)), re.IGNORECASE))


def _expanded(url: str) -> list[str]:
    """The addresses that {000..099} stands for."""
    ranges = [(match[1], match[2]) for match in _BRACES.finditer(url)]
    counts = [int(last) - int(first) + 1 for first, last in ranges]
    total = 1
    for count in counts:
        total *= max(0, count)
    if not 0 < total <= _MOST_SHARDS:
        raise ConfigError(f"{shown(url)} must name 1 to {_MOST_SHARDS} shards. It names {total}.")
    numbers = (range(int(first), int(last) + 1) for first, last in ranges)
    texts = ([str(number).zfill(len(first)) for number in row] for row, (first, _) in zip(numbers, ranges, strict=True))
    pieces = _BRACES.split(url)[::3]
    return ["".join(itertools.chain(*zip(pieces, (*found, ""), strict=True))) for found in itertools.product(*texts)]


def _check_room(url: str, files: dict[str, RemoteFile], cache_bytes: int) -> None:
    """Raises ConfigError where the largest file is larger than the cache."""
    name, largest = max(files.items(), key=lambda pair: pair[1].size)
    if largest.size > cache_bytes:
        raise ConfigError(
            f"--cache_bytes must hold the largest file of {shown(url)}, which is {name} with {largest.size} bytes. "
            f"Received {cache_bytes}."
        )


def _remove_others(folder: Path, wanted: set[Path]) -> None:
    """Removes the links to files that are no longer in the data set."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if path not in wanted and shard_cache.is_remote(path):
                path.unlink(missing_ok=True)
