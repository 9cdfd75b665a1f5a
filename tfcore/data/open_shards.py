"""Shards that stay open for reading."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from tfcore.data import shard_cache
from tfcore.data.store import in_threads

_AT_ONCE = 16  # shards that are downloaded side by side
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

    def readers(self, numbers: Sequence[int]) -> Iterator[tuple[int, _Reader]]:
        """Yields the numbers of shards with their readers; remote shards are downloaded a few at a time.

        Not all of them are open at once: a batch may come from more shards than a process may have files.

        Raises:
            DataError: one cannot be opened.
        """
        for first in range(0, len(numbers), _AT_ONCE):
            few = numbers[first : first + _AT_ONCE]
            if self._is_remote and any(shard_cache.is_missing(self._paths[number]) for number in few):
                yield from zip(few, in_threads("fetch", self.reader, [(number,) for number in few]), strict=True)
            else:
                yield from ((number, self.reader(number)) for number in few)

    def reader(self, number: int) -> _Reader:
        """The reader of one shard."""
        found = self._open.get(number)
        if found is None:
            found = self._open_shard(number)
            self._open[number] = found
            for oldest in tuple(self._open)[: -self._most]:
                self._open.pop(oldest, None)
            self._close_deleted()
            return found
        self._open[number] = self._open.pop(number, found)  # at the end, with those used last
        if self._is_remote:
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
