"""Unpacks the expected files of published archives, and nothing else."""

import gzip
import io
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from tfcore.errors import DataError

PIECE_BYTES = 1 << 16
OTHER_BYTES = 1 << 20  # that an archive may contain beside the expected files: headers, padding, a readme
# What gzip and tarfile raise on damaged input; RecursionError comes from a long chain of tar headers.
DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError, RecursionError)


def unpack(archive: Path, folder: str, sizes: dict[str, int], into: Path) -> None:
    """Extracts the files named in `sizes` from an archive's `folder`, and nothing else."""
    wanted = {f"{folder}/{name}": size_bytes for name, size_bytes in sizes.items()}
    try:
        with gzip.open(archive) as stream:
            bounded = _Bounded(stream, OTHER_BYTES + sum(wanted.values()), archive)
            with tarfile.open(fileobj=bounded, mode="r|") as tar:
                for member in tar:
                    _take(tar, member, wanted, into, archive)
            # gzip verifies its checksum only at the end.
            while bounded.read(PIECE_BYTES):
                pass
    except DAMAGE as error:
        raise DataError(f"{archive} is damaged ({type(error).__name__}). Delete it and get it anew.") from error
    absent = [name for name in sizes if not (into / name).is_file()]
    if absent:
        raise DataError(f"{archive} must hold {folder}/{absent[0]}. It does not: delete it and get it anew.")


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, sizes: dict[str, int], into: Path, archive: Path) -> None:
    """Writes one member, if it is expected, under its base name into the folder `into`."""
    path = PurePosixPath(member.name)
    plain = (member.isreg() and not member.issparse()) or member.isdir()
    if not plain or path.is_absolute() or ".." in path.parts:
        raise DataError(f"{archive} holds {member.name!r}, which is no plain file in a folder of it. Do not trust it.")
    limit_bytes = sizes.get(str(path), OTHER_BYTES)
    # Members that are not expected are checked too: with a false size, tarfile would search for the next one for years.
    if not 0 <= member.size <= limit_bytes:
        raise DataError(f"{member.name} in {archive} must have at most {limit_bytes} bytes. It has {member.size}.")
    if str(path) not in sizes or member.isdir():
        return
    source = tar.extractfile(member)
    assert source is not None  # None is returned for links and folders only
    with source, (into / path.name).open("wb") as target:
        shutil.copyfileobj(source, target)


class _Bounded(io.BufferedIOBase):
    """A stream of at most `limit_bytes`, so that no header and no member can fill memory or disk."""

    def __init__(self, stream: gzip.GzipFile, limit_bytes: int, path: Path) -> None:
        self._stream, self._left, self._path = stream, limit_bytes, path

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left >= 0:
            return data
        raise DataError(f"{self._path} holds more than the published archive. Delete it and get it anew.")
