"""Where the examples of a source lie: its shards, and how many examples each has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcore.data import shard_cache


@dataclass(frozen=True, eq=False)
class Layout:
    """The shards of a source.

    Args:
        paths: of the shards, in the order of the examples.
        ends: int64 [K], the number of examples up to the end of each shard.
        is_loaded: whether the examples are in memory, so that no shard is read any more.
    """

    paths: Sequence[Path]
    ends: NDArray[np.int64]
    is_loaded: bool = False

    @property
    def is_remote(self) -> bool:
        """Whether shards are downloaded when they are needed."""
        return not self.is_loaded and any(map(shard_cache.is_remote, self.paths))

    def sizes_bytes(self) -> list[int]:
        """The size of each shard.

        Raises:
            OSError: one is missing.
        """
        return [shard_cache.status(path)[0] for path in self.paths]

    def of_rows(self, rows: range | NDArray[np.int64]) -> "Layout":
        """The layout of some of the examples: in ascending order, or the first ones."""
        if isinstance(rows, range):
            return replace(self, ends=np.minimum(self.ends, len(rows)))
        return replace(self, ends=np.searchsorted(rows, self.ends))


def layout_of(source: object) -> Layout | None:
    """The layout of a source; None if it is in no shards."""
    found = getattr(source, "layout", None)
    return found if isinstance(found, Layout) else None
