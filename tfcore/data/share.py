"""The rows of every batch that a worker computes, of several that train one run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfcore.errors import ConfigError


@dataclass(frozen=True)
class Share:
    """A worker's share of every batch: the same rows of each of its micro-batches.

    So the rows of a micro-batch are those of one process, whatever the number of workers.

    Attributes:
        number: of the worker, from 0.
        count: of the workers.
        microbatches: equal parts of a batch.
    """

    number: int = 0
    count: int = 1
    microbatches: int = 1

    def check(self, batch_size: int) -> None:
        """Raises ConfigError unless the workers' shares of a batch are equal."""
        unit = self.count * self.microbatches
        if not batch_size % unit:
            return
        below = batch_size // unit * unit
        nearest = f"{below} and {below + unit}" if below else str(unit)
        workers = f" for {self.count} workers" if self.count > 1 else ""
        parts = f" with --microbatches={self.microbatches}" if self.microbatches > 1 else ""
        raise ConfigError(
            f"--batch_size must be a multiple of {unit}{workers}{parts}. Received {batch_size}; "
            f"the nearest that {'are' if below else 'is'}: {nearest}."
        )

    def size(self, batch_size: int) -> int:
        """Returns the number of the worker's rows in a batch."""
        return batch_size // self.count

    def rows(self, batch_size: int, steps: int) -> NDArray[np.int64]:
        """Returns the worker's rows in a block of the batches of `steps` steps, int64 `[n]`, ascending."""
        block = np.arange(steps * batch_size).reshape(steps * self.microbatches, self.count, -1)
        return block[:, self.number].ravel()

    def rows_and_partners(self, batch_size: int, steps: int) -> NDArray[np.int64]:
        """Returns these rows and those that they are mixed with, int64 `[n]`, ascending."""
        rows = self.rows(batch_size, steps)
        return np.union1d(rows, partners(rows, batch_size))


WHOLE = Share()


def partners(rows: NDArray[np.int64], batch_size: int) -> NDArray[np.int64]:
    """Returns the row that each one is mixed with: neighbours 0 and 1, 2 and 3 … of a batch, an odd last one itself."""
    place = rows % batch_size
    return rows - place + np.minimum(place ^ 1, batch_size - 1)
