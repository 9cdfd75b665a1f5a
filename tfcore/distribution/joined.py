"""The workers of a cluster: what they sum and exchange, by TensorFlow's collective ops."""

import itertools
import json
import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.distribution.cluster import TF_CONFIG, Cluster, LostWorkerError
from tfcore.distribution.waiting import limited
from tfcore.errors import RunError
from tfcore.workers import Workers

_GROUP = 7001  # a key of TensorFlow's for the group of all workers
_FEW, _MANY = 2**9, 2**20  # words in one exchange: each size is traced once
_GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)
_PEER = re.compile(r"remote target /job:(\w+)/replica:0/task:(\d+)")


class Joined(Workers):
    """One of several workers; see `join`."""

    def __init__(self, cluster: Cluster) -> None:
        self.number, self.count, self._cluster = cluster.number, len(cluster.addresses), cluster
        self._keys = itertools.count(1)
        # It starts the servers and the watch over the other workers, and only that: variables are ordinary ones.
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._sums = {size: _traced(self._summed, size) for size in (_FEW, _MANY)}

    def all_reduce(self, tensor: tf.Tensor) -> tf.Tensor:
        """See `Workers`. The gradient of a sum over workers is the sum of their gradients."""

        @tf.custom_gradient
        def summed(values: tf.Tensor) -> Any:
            return self._summed(values), self._summed

        return summed(tensor)

    def _summed(self, tensor: tf.Tensor) -> tf.Tensor:
        """Adds a collective op; its key is the number of such ops before it, the same in every worker's program."""
        return tf.raw_ops.CollectiveReduceV2(
            input=tensor,
            group_size=self.count,
            group_key=_GROUP,
            instance_key=next(self._keys),
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
        )

    def exchange(self, value: Any) -> list[Any]:
        """See `Workers`."""
        own = json.dumps(value).encode()
        lengths = np.zeros(self.count, np.int64)
        lengths[self.number] = len(own)
        lengths = self._sum(lengths)
        ends = np.cumsum(lengths)
        text = np.zeros(ends[-1], np.uint8)
        text[ends[self.number] - len(own) : ends[self.number]] = np.frombuffer(own, np.uint8)
        text = self._sum_bytes(text)
        return [json.loads(text[end - length : end].tobytes()) for length, end in zip(lengths, ends, strict=True)]

    def leave(self) -> None:
        """See `Workers`. Those that leave first may already be gone when others learn that all have come."""
        with suppress(*_GONE):
            self.exchange(None)

    def share(self, variables: Iterable[tf.Variable]) -> None:
        """See `Workers`."""
        variables = list(variables)
        sizes = [variable.shape.num_elements() * variable.dtype.size for variable in variables]
        data = np.zeros(sum(sizes), np.uint8)
        if self.is_chief:
            data = np.frombuffer(b"".join(variable.numpy().tobytes() for variable in variables), np.uint8)
        ends = np.cumsum([0, *sizes])
        data = self._sum_bytes(data)
        if self.is_chief:
            return
        for variable, start, end in zip(variables, ends, ends[1:], strict=False):
            values = np.frombuffer(data[start:end].tobytes(), variable.dtype.as_numpy_dtype)
            variable.assign(values.reshape(variable.shape))

    def _sum_bytes(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Sums bytes that are 0 for all workers but one each."""
        words = np.zeros(-(-len(data) // 8), np.int64)
        words.view(np.uint8)[: len(data)] = data
        return self._sum(words).view(np.uint8)[: len(data)]

    def _sum(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums words [n] over all workers, piece by piece."""
        size = _FEW if len(words) <= _FEW else _MANY
        padded = np.zeros(-(-len(words) // size) * size, np.int64)
        padded[: len(words)] = words
        pieces = [self._sums[size](tf.constant(piece)).numpy() for piece in padded.reshape(-1, size)]
        return np.concatenate([np.zeros(0, np.int64), *pieces])[: len(words)]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raises LostWorkerError in place of TensorFlow's error that another worker is gone."""
        try:
            yield
        except _GONE as error:
            if isinstance(error, tf.errors.InternalError) and "Collective" not in error.message:
                raise
            raise LostWorkerError(
                f"{self._lost(error.message)} ended or does not answer, so the run has stopped. The same command goes "
                "on from its newest checkpoint."
            ) from None

    def _lost(self, message: str) -> str:
        """Names the workers that are gone: those that cannot be reached, else the one in TensorFlow's message."""
        gone = self._cluster.unreachable()
        found = [int(number) for kind, number in _PEER.findall(message) if kind == "worker"]
        gone = gone or [number for number in found[-1:] if number != self.number]
        return ", ".join(map(self._cluster.named, gone)) or "Another worker"


def _traced(summed: Callable[[tf.Tensor], tf.Tensor], size: int) -> Any:
    traced = tf.function(summed, autograph=False)
    return traced.get_concrete_function(tf.TensorSpec([size], tf.int64))


def join(cluster: Cluster, *, timeout_secs: float) -> Joined:
    """Connects this process with the other workers; call it before TensorFlow's first op, and after all its settings.

    A process whose peers do not come within `timeout_secs` ends here with status 1 and a line that names them, since
    TensorFlow would wait forever.
    """
    os.environ[TF_CONFIG] = cluster.tf_config  # where TensorFlow reads it
    try:
        with limited(cluster, timeout_secs):
            workers = Joined(cluster)
            workers.exchange(None)
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split())
        raise RunError(
            f"{cluster.named(cluster.number)} cannot join the others: {reason}. Check that no other process uses the "
            "port, and that all workers were started anew."
        ) from error
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # TensorFlow's handler would ignore the signal
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return workers
