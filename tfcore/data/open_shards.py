"""Shards that stay open for reading."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from tfcore.data import shard_cache
from tfcore.data.store import in_threads

_Reader = TypeVar("_Reader")


class OpenShards(Generic[_Reader]):
    """Readers of shards, opened when they are first needed; those used last stay open. For several threads.

    Two threads may open the same shard: a lock could hold up the end of an iterator.

    Args:
        paths: the shards.
        open_shard: opens the one of that number. It is closed when nothing refers to its reader.
        most: shards that stay open.
    """

    def __init__(self, paths: Sequence[Path], open_shard: Callable[[int], _Reader], most: int) -> None:
        self._paths, self._open_shard, self._most = paths, open_shard, most
        self._is_remote = any(map(shard_cache.is_remote, paths))
        self._open: dict[int, _Reader] = {}

    def readers(self, numbers: Sequence[int]) -> dict[int, _Reader]:
        """The readers of shards by number; remote ones are downloaded side by side.

        Raises:
            DataError: one cannot be opened.
        """
        if self._is_remote and any(shard_cache.is_missing(self._paths[number]) for number in numbers):
            found = in_threads("fetch", self.reader, [(number,) for number in numbers])
            return dict(zip(numbers, found, strict=True))
        return {number: self.reader(number) for number in numbers}

    def reader(self, number: int) -> _Reader:
        """The reader of one shard."""
        found = self._open.get(number)
        if found is None:
            found = self._open_shard(number)
            self._open[number] = found
            for oldest in tuple(self._open)[: -self._most]:
                self._open.pop(oldest, None)
            self._close_deleted()
        elif self._is_remote:
            shard_cache.touch(self._paths[number])
        return found

    def __len__(self) -> int:
        return len(self._open)

    def clear(self) -> None:
        """Closes all shards, as soon as no thread reads from them."""
        self._open.clear()

    def _close_deleted(self) -> None:
        """Closes the shards that are no longer in the cache: an open file would go on taking room on the disk."""
        if self._is_remote:
            for number in tuple(self._open):
                if shard_cache.is_missing(self._paths[number]):
                    self._open.pop(number, None)
