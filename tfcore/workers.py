"""The processes that train one run together, as each of them sees the others; one process alone is the case of one."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

AllReduce = Callable[[Any], Any]  # from a worker's tensor to the sum of those of all workers
_across: ContextVar[AllReduce | None] = ContextVar("_across", default=None)


class Workers:
    """The workers of a run; this class is the single process, whose methods add no op to any graph.

    Each worker has a copy of all variables and computes its share of every batch. What they exchange is summed, so all
    of them hold the same numbers, to the bit. All workers must make the same calls in the same order.

    Attributes:
        number: of this worker, from 0.
        count: of all workers.
    """

    number = 0
    count = 1

    @property
    def is_chief(self) -> bool:
        """Whether this is the worker that reads and writes the run folder, and prints."""
        return self.number == 0

    def all_reduce(self, tensor: Any) -> Any:
        """Sums a tensor of equal shape over all workers, eagerly or in a graph; gradients flow through it."""
        return tensor

    def exchange(self, value: Any) -> list[Any]:
        """Returns the values of all workers, in the order of their numbers.

        Args:
            value: a number, text, None, or lists and dictionaries of them, as in JSON.
        """
        return [value]

    def broadcast(self, value: Any) -> Any:
        """Returns the chief's value; see `exchange`."""
        return self.exchange(value if self.is_chief else None)[0]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raises an error that names the worker, inside the context, where another one is gone."""
        yield

    def leave(self) -> None:
        """Waits until all workers have come here, after their last exchange: one that ended would disturb it."""

    def share(self, variables: Iterable[Any]) -> None:
        """Gives the variables of all workers the chief's values, to the bit."""
        del variables


ALONE = Workers()


@contextmanager
def summed_across(all_reduce: AllReduce) -> Iterator[None]:
    """Inside the context, layers that need sums over the whole batch get them from all workers; set while tracing."""
    token = _across.set(all_reduce)
    try:
        yield
    finally:
        _across.reset(token)


def across_workers() -> AllReduce | None:
    """Returns the sum over all workers for a layer that is traced now; None where its batch is the whole one."""
    return _across.get()
